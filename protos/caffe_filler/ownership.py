"""Folders whose files are run as code: nobody but their user, and who could change the code itself, may write there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_ROOT = 0
_OVERFLOW = Path("/proc/sys/kernel/overflowuid")
"""Number for owners that are unknown in a user namespace, such as those of the host's files in a container."""


def stranger(folder: Path, *, trusted: Path) -> str | None:
    """Return why others could change what lies in a folder, with what mends it, or None where nobody else can.

    The folder, the files in it and every folder above it must belong to this process's user, to root or to the owner of
    the file `trusted`, and others must not be able to write to them. Folders above it may be open to all if they are
    sticky, as `/tmp` is. Where the platform has no owners there is nothing to check.
    """
    if not hasattr(os, "geteuid"):
        return None
    owners = {_ROOT, os.geteuid(), trusted.stat().st_uid}
    above = owners | _unmapped()
    real = folder.resolve()
    for path in (*_parents(folder.absolute()), *_parents(real)):
        if (cause := _cause(path, above, sticky=True)) is not None:
            return cause
    for path in (real, *real.iterdir()):
        if (cause := _cause(path, owners, sticky=False)) is not None:
            return cause
    return None


def _parents(folder: Path) -> Iterator[Path]:
    return reversed(folder.parents)


def _cause(path: Path, owners: set[int], *, sticky: bool) -> str | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        # Another process has just replaced it.
        return None
    if found.st_uid not in owners:
        return f"{path} belongs to user {found.st_uid}: run `chown {os.geteuid()} {path}`"
    if stat.S_ISLNK(found.st_mode) or (sticky and found.st_mode & stat.S_ISVTX):
        return None
    if found.st_mode & stat.S_IWOTH:
        return f"{path} can be written by all users (mode {stat.S_IMODE(found.st_mode):o}): run `chmod o-w {path}`"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        return f"{path} can be written by its group (mode {stat.S_IMODE(found.st_mode):o}): run `chmod g-w {path}`"
    return None


def _is_private(group: int, user: int) -> bool:
    """Whether a group has no other member than its user, who gave it his name."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(user).pw_name
        found = grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def _unmapped() -> set[int]:
    try:
        return {int(_OVERFLOW.read_text())}
    except (OSError, ValueError):
        return set()
