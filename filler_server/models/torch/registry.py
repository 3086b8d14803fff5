"""Functions that write operations, by the classes of these."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.net.operations import Custom, Operation, Python, Unknown

Written: TypeAlias = str | list[str]
"""An expression for each top of a layer; one alone has the values of all tops."""

_Emitter = TypeVar("_Emitter", bound=Callable[[Layer, Any], Written])

EMITTERS: dict[type[Operation], Callable[[Layer, Any], Written]] = {}
"""Every function that writes an operation."""


def emits(*kinds: type[Operation]) -> Callable[[_Emitter], _Emitter]:
    """Enter a function as the one that writes operations of some classes."""

    def register(emitter: _Emitter) -> _Emitter:
        EMITTERS.update(dict.fromkeys(kinds, emitter))
        return emitter

    return register


def write(layer: Layer, operation: Operation) -> Written:
    """Write an operation.

    Raises:
        NoCounterpart: there are no modules or functions that compute the same, or a shape is not known.
    """
    emitter = EMITTERS.get(type(operation))
    if emitter is None:
        raise NoCounterpart(_reason(operation))
    return emitter(layer, operation)


def _reason(operation: Operation) -> str:
    match operation:
        case Python():
            return f"it is code of its own, '{operation.layer}' of the module '{operation.module}'"
        case Unknown():
            return operation.reason
        case Custom():
            return "it is known by its shapes alone"
        case _:
            return f"no module is known that computes {type(operation).__name__}"
