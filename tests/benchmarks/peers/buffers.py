"""The memory that is filled, and work on both halves of it."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

PAGE = 4096

_kept: dict[str, NDArray[np.float32]] = {}


def buffer(nbytes: int, name: str = "out") -> NDArray[np.float32]:
    """Return an array of float32 with every page in memory; all works of one size and name share it.

    NumPy asks for huge pages for large arrays, and the array begins on a page: every peer has the same kind of memory.
    """
    if name not in _kept or _kept[name].nbytes != nbytes:
        _kept.pop(name, None)
        memory = np.empty(nbytes + PAGE, np.uint8)
        first = -memory.ctypes.data % PAGE
        _kept[name] = memory[first : first + nbytes].view(np.float32)
        _kept[name].fill(1)
    return _kept[name]


SHARED = 1 << 20
"""Fewer bytes than this are one thread's work: waking another costs more than it saves."""


def parts(nbytes: int, threads: int) -> int:
    """Return how many threads fill so many bytes soonest, of `threads` at most."""
    return threads if nbytes >= SHARED else 1


def divided(array: NDArray[np.float32], threads: int) -> list[NDArray[np.float32]]:
    """Return the array in as many parts as should be filled at once."""
    return np.array_split(array, parts(array.nbytes, threads))


def together(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """Return what makes all calls at once: the first on the calling thread, each other on a thread of its own."""
    first, *others = calls
    if not others:
        return first
    done: SimpleQueue[None] = SimpleQueue()
    wake: list[SimpleQueue[None]] = [SimpleQueue() for _ in others]

    def serve(call: Callable[[], object], woken: "SimpleQueue[None]") -> None:
        while True:
            woken.get()
            call()
            done.put(None)

    for call, woken in zip(others, wake, strict=True):
        threading.Thread(target=serve, args=(call, woken), daemon=True).start()

    def run() -> None:
        for woken in wake:
            woken.put(None)
        first()
        for _ in others:
            done.get()

    return run
