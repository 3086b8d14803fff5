"""Gives memory back to the kernel that large requests have left behind, freed but scattered."""

import os
import threading

from caffe_filler.memory import give_back_freed_memory

_ROUND = 1.0
_GROWTH = 32 << 20
"""Bytes that the process may keep beyond those that it had when memory was given back last."""

_STATISTICS = "/proc/self/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class FreedMemory:
    """Watches how much memory the process has, from a thread of its own.

    The allocator keeps what is freed, because messages of streams want it again at once; of a large request it would
    keep everything for ever. Nothing happens where the kernel does not tell the memory of a process.
    """

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        least = _resident()
        while least is not None and not self._closed.wait(_ROUND):
            now = _resident() or 0
            if now > least + _GROWTH:
                give_back_freed_memory()
                least = _resident() or 0
            least = min(least, now)


def _resident() -> int | None:
    try:
        with open(_STATISTICS, "rb") as file:  # noqa: PTH123 - once a second
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return None
