"""Gives memory back to the kernel that large requests have left behind, freed but scattered."""

import gc
import os
import threading

from caffe_filler.memory import give_back_freed_memory

_ROUND = 1.0
_GROWTH = 32 << 20
"""Bytes that the process may keep beyond the least that it had, or had when memory was given back last."""

_WORTH = 8 << 20
_LONGEST_PAUSE = 32
"""Rounds between two attempts, each of which takes some milliseconds, when they give back less than is worth it."""

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
        least = last = _resident()
        pause = rounds = 1
        while not self._closed.wait(_ROUND):
            now = _resident()
            least, rounds = min(least, now), rounds + 1
            # What was in use when memory was given back last may be free by now, which nothing shows.
            if now > last + _GROWTH or (now > least + _GROWTH and rounds > pause):
                # Calls that have ended are garbage in circles.
                gc.collect()
                give_back_freed_memory()
                last = _resident()
                pause = 1 if now - last >= _WORTH else min(2 * pause, _LONGEST_PAUSE)
                least, rounds = min(least, last), 1


def _resident() -> int:
    """Bytes of memory that the process has, 0 where nobody tells."""
    try:
        with open(_STATISTICS, "rb") as file:  # noqa: PTH123 - once a second
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0
