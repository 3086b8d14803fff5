"""Work that ends when nobody wants its result any more.

Whoever asks for long work says how to tell that it is not wanted any more; the work looks at it between its blocks.
"""

from collections.abc import Callable
from contextvars import ContextVar

from caffe_filler.errors import Cancelled

_unwanted: ContextVar[Callable[[], bool] | None] = ContextVar("unwanted", default=None)


def cancel_when(unwanted: Callable[[], bool] | None) -> None:
    """Let work in this context (of `contextvars`) end once `unwanted()` is true; None: let it run to its end."""
    _unwanted.set(unwanted)


def checkpoint() -> None:
    """Go on, or not: called between blocks of work that take some milliseconds.

    Raises:
        Cancelled: the result is not wanted any more.
    """
    unwanted = _unwanted.get()
    if unwanted is not None and unwanted():
        raise Cancelled("the caller gave up")
