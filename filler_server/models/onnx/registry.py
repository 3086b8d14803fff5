"""Functions that say operations in ONNX, one for each operation, by its class."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from filler_server.net.operations import Operation

Emit: TypeAlias = Callable[..., str | Sequence[str]]
"""Takes the nodes of the layer to which it adds, the operation, and the name of each bottom; returns that of each top.

It raises `NoCounterpart` for what standard ONNX cannot say.
"""

_Emit = TypeVar("_Emit", bound=Emit)

_EMITTERS: dict[type[Operation], Emit] = {}


def emits(kind: type[Operation]) -> Callable[[_Emit], _Emit]:
    """Register the decorated function for a class of operations."""

    def register(function: _Emit) -> _Emit:
        _EMITTERS[kind] = function
        return function

    return register


def emitter(operation: Operation) -> Emit | None:
    """Return the function for an operation, or None where there is none."""
    return _EMITTERS.get(type(operation))


def said_operations() -> tuple[type[Operation], ...]:
    """Return the classes of operations that have a function."""
    return tuple(_EMITTERS)
