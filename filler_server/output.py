"""Files that appear whole or not at all."""

import atexit
import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows
    fcntl = None

_TOKEN_BYTES = 4
_PART = ".part"
_DIGEST_BYTES = 8

_unfinished: dict[Path, int] = {}
"""Files that are not complete, by their hidden names, with the process that writes each."""


class _NamedFile(io.FileIO):
    """A file whose errors name another path than its own."""

    def __init__(self, path: Path, shown: Path) -> None:
        super().__init__(path, "x+")
        self._shown = shown

    def write(self, data: Any, /) -> int:
        """Write bytes.

        Raises:
            OSError: the disk is full, or the like; its `filename` is the path to show.
        """
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._shown)) from None


class OpenFile:
    """A file that somebody else has opened, such as standard output."""

    replaced: tuple[Path, ...] = ()
    """Other files that were removed, since they belonged to what was there before."""

    def __init__(self, file: BinaryIO) -> None:
        opened: Any = file
        # A file without a buffer may take a part of what is written, and says so only in its return value.
        self._buffer = io.BufferedWriter(opened) if isinstance(opened, io.RawIOBase) else None
        self.file = file if self._buffer is None else self._buffer

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of what comes to be; none for a file of others."""
        return ()

    def commit(self) -> None:
        """Leave the file open, with everything written."""
        self.file.flush()
        if self._buffer is not None:
            self._buffer.detach()

    def discard(self) -> None:
        """Leave the file as it is: what is written cannot be taken back."""
        if self._buffer is not None:
            with contextlib.suppress(OSError):
                self._buffer.detach()


class AtomicFile(OpenFile):
    """A new file that takes its name when it is complete; until then, and after an error, nothing is seen of it.

    Until then it is hidden beside its place and locked. What a process that was killed has left there, for this file or
    for others of its set, is removed. A file that it replaces gives it its mode; a symbolic link stays, and what it
    points to is replaced.

    Args:
        path: its name.
        token: what its hidden name has in common with those of the other files of a set.

    Raises:
        OSError: it cannot be made, or what is there is no regular file.
    """

    def __init__(self, path: Path, token: str | None = None) -> None:
        self._path = path
        self._place = _followed(path)
        mode = _mode(self._place, path)
        if token is None:
            remove_remains(self._place)
        while True:
            self.token = token or secrets.token_hex(_TOKEN_BYTES)
            self._partial = self._place.with_name(f".{_hidden_name(self._place)}.{self.token}{_PART}")
            _unfinished[self._partial] = os.getpid()
            try:
                super().__init__(io.BufferedRandom(_NamedFile(self._partial, path)))
            except OSError as error:
                del _unfinished[self._partial]
                # Nobody knows the other name.
                raise OSError(error.errno, error.strerror, str(path)) from None
            # Another process may have taken it for remains before it was locked.
            if _lock(self.file):
                if mode is not None:
                    self._partial.chmod(mode)
                return
            self.file.close()
            del _unfinished[self._partial]

    @property
    def files(self) -> tuple[Path, ...]:
        """The path."""
        return (self._path,)

    @property
    def hidden(self) -> Path:
        """Path of the file until it is complete."""
        return self._partial

    def commit(self) -> None:
        """Give the file its name, over an older one; a member of a set may be closed already."""
        if not self.file.closed:
            self.file.flush()
        if fcntl is None:  # pragma: no cover - Windows renames no open file
            self.file.close()
        # Renamed before it is closed: with the lock gone it would be taken for remains.
        self._partial.replace(self._place)
        self.file.close()
        _unfinished.pop(self._partial, None)

    def discard(self) -> None:
        """Remove what was written."""
        # On a full disk closing fails too, because it writes what is left.
        with contextlib.suppress(OSError):
            self.file.close()
        self._partial.unlink(missing_ok=True)
        _unfinished.pop(self._partial, None)


@atexit.register
def _remove_unfinished() -> None:
    """Remove what a signal has left between the making of a file and the block that would have discarded it."""
    for path, process in _unfinished.items():
        if process == os.getpid():
            with contextlib.suppress(OSError):
                path.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    output = AtomicFile(path)
    try:
        output.file.write(content)
        output.commit()
    except BaseException:
        output.discard()
        raise


def remove_remains(path: Path) -> None:
    """Remove hidden files of `path`, and of its shards and their index, that no process is writing."""
    if fcntl is None:  # pragma: no cover - Windows
        return
    sets: dict[str, list[Path]] = {}
    for token, file in _unfinished_of(path):
        sets.setdefault(token, []).append(file)
    for files in sets.values():
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for file in files:
                fcntl.flock(held.enter_context(_open_to_lock(file)).fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            for file in files:
                file.unlink()


def unfinished(path: Path) -> list[Path]:
    """Return the hidden files of `path`, and of its shards and their index, that are being written or are remains."""
    return [file for _, file in _unfinished_of(path)]


def _unfinished_of(path: Path) -> list[tuple[str, Path]]:
    """Return the token and the path of each hidden file of `path`, and of its shards and their index."""
    own = rf"\.{re.escape(path.stem)}(?:-\d{{5}}-of-\d{{5}})?{re.escape(path.suffix)}(?:\.index\.json)?"
    name = re.compile(
        rf"(?:{own}|\.{re.escape(_hidden_name(path))})\.([0-9a-f]{{{2 * _TOKEN_BYTES}}}){re.escape(_PART)}"
    )
    try:
        return [
            (found[1], Path(entry.path)) for entry in os.scandir(path.parent) if (found := name.fullmatch(entry.name))
        ]
    except OSError:
        return []


def _open_to_lock(file: Path) -> BinaryIO:
    """Open a file so that it can be locked.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        # NFS locks only what is open for writing.
        return file.open("r+b")
    except PermissionError:
        return file.open("rb")


def _followed(path: Path) -> Path:
    """Return the place of a file: that to which a symbolic link points.

    Raises:
        OSError: links point to each other.
    """
    if not path.is_symlink():
        return path
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return place


def _mode(place: Path, path: Path) -> int | None:
    """Return the mode of the file at a place, None where there is none.

    Raises:
        OSError: something else is there, or nobody may look.
    """
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return stat.S_IMODE(mode) & 0o777


def _hidden_name(place: Path) -> str:
    """Return the name of a file, or as much of it as leaves room for what is put around it, and a digest."""
    try:
        longest = os.pathconf(place.parent, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # pragma: no cover - Windows, and folders that are not there
        longest = 255
    name = os.fsencode(place.name)
    if len(name) > longest:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(place))
    room = longest - len(f"..{_PART}") - 2 * _TOKEN_BYTES
    if len(name) <= room:
        return place.name
    digest = hashlib.sha256(name).hexdigest()[: 2 * _DIGEST_BYTES]
    return name[: room - 1 - len(digest)].decode(errors="ignore") + "~" + digest


def _lock(file: BinaryIO) -> bool:
    """Show others that a process is writing the file, where the file system can; return whether it is still there."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    return os.fstat(file.fileno()).st_nlink > 0
