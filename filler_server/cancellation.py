"""Work that ends when nobody wants its result any more, or when it takes more than it may.

Whoever asks for long work says how to tell that it is not wanted any more, and how much it may take; the work looks at
both between its blocks.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from caffe_filler.errors import Cancelled, FillerError

_unwanted: ContextVar[Callable[[], bool] | None] = ContextVar("unwanted", default=None)
_meter: ContextVar["_Meter | None"] = ContextVar("meter", default=None)

_LOOKS = 32
"""Checkpoints between two looks at the clock of the processor, which takes longer than the rest of a checkpoint."""


class _Meter:
    __slots__ = ("_end", "_exceeded", "_looks")

    def __init__(self, seconds: float, exceeded: Callable[[], FillerError]) -> None:
        self._end = time.thread_time() + seconds
        self._exceeded = exceeded
        self._looks = 0

    def look(self) -> None:
        self._looks += 1
        if not self._looks % _LOOKS and time.thread_time() > self._end:
            raise self._exceeded()


def cancel_when(unwanted: Callable[[], bool] | None) -> None:
    """Let work in this context (of `contextvars`) end once `unwanted()` is true; None: let it run to its end."""
    _unwanted.set(unwanted)


@contextmanager
def metered(seconds: float, exceeded: Callable[[], FillerError]) -> Iterator[None]:
    """Let the work of the block take so much time of this thread's processor; `exceeded()` is the error after that."""
    token = _meter.set(_Meter(seconds, exceeded))
    try:
        yield
    finally:
        _meter.reset(token)


def checkpoint() -> None:
    """Go on, or not: called between blocks of work that take some milliseconds.

    Raises:
        Cancelled: the result is not wanted any more.
        FillerError: the work takes more than it may.
    """
    unwanted = _unwanted.get()
    if unwanted is not None and unwanted():
        raise Cancelled("the caller gave up")
    meter = _meter.get()
    if meter is not None:
        meter.look()
