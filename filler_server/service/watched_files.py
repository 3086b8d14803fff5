"""Files that may be replaced while the server runs."""

import os
from collections.abc import Sequence
from pathlib import Path


class WatchedFiles:
    """Notices that files have changed, by what the file system says of them; cheap enough to be asked for each call.

    A replaced file is noticed, and one behind a changed link, as Kubernetes changes secrets.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen: list[tuple[int, ...] | None] = []

    def changed(self) -> bool:
        """Return whether the files have changed since the last call; true at the first one."""
        now = [_identity(path) for path in self._paths]
        changed = now != self._seen
        self._seen = now
        return changed


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
