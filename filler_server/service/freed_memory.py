"""Gives memory back to the kernel that large requests have left behind, freed but scattered."""

import gc
import os
import threading
import time

from caffe_filler.memory import give_back_freed_memory

_ROUND = 1.0
_GROWTH = 32 << 20
"""Bytes that the process may keep beyond the least that it had, or had when memory was given back last."""

_WORTH = 8 << 20
_LONGEST_PAUSE = 8
"""Rounds between two attempts, each of which takes some milliseconds, when they give back less than is worth it. On a
machine with more to do than it can, the end of work may not be noticed, and all of them pass."""

_IDLE = 0.1
"""Seconds of processor time in a round below which the process idles, and an attempt disturbs nobody."""

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
        pace = Pace(_resident(), time.process_time())
        while not self._closed.wait(_ROUND):
            if pace.is_due(_resident(), time.process_time()):
                # Calls that have ended are garbage in circles.
                gc.collect()
                give_back_freed_memory()
                pace.given_back(_resident(), time.process_time())


class Pace:
    """Tells in which rounds an attempt to give memory back is worth its time.

    What is in use and what is free look alike from outside. So attempts that give back little become rarer; but when
    work has just ended, there is one at once, since what it had is free then, and nobody waits.

    Args:
        resident: bytes of memory that the process has.
        spent: seconds of processor time that it has taken.
    """

    def __init__(self, resident: int, spent: float) -> None:
        self._least = self._last = self._now = resident
        self._spent = spent
        self._pause = self._rounds = 1
        self._idles, self._has_worked = True, False

    def is_due(self, resident: int, spent: float) -> bool:
        """Whether an attempt is worth it in this round, at the end of which the process has these."""
        self._idles, self._spent = spent - self._spent < _IDLE, spent
        self._has_worked = self._has_worked or not self._idles
        self._now, self._least = resident, min(self._least, resident)
        self._rounds += 1
        is_time = self._rounds > self._pause or (self._idles and self._has_worked)
        # What was in use when memory was given back last may be free by now.
        return resident > self._last + _GROWTH or (resident > self._least + _GROWTH and is_time)

    def given_back(self, resident: int, spent: float) -> None:
        """Note what an attempt has left."""
        self._pause = 1 if self._now - resident >= _WORTH else min(2 * self._pause, _LONGEST_PAUSE)
        self._last, self._least = resident, min(self._least, resident)
        # Work that goes on may free its memory any time now.
        self._rounds, self._has_worked, self._spent = 1, not self._idles, spent


def _resident() -> int:
    """Bytes of memory that the process has, 0 where nobody tells."""
    try:
        with open(_STATISTICS, "rb") as file:  # noqa: PTH123 - once a second
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0
