"""Functions that compute operations, by the class of the operation.

A further operation is a function under `computes`:

    @computes(activations.AbsVal)
    def absolute_value(operation: activations.AbsVal, layer: Layer) -> Array:
        return np.abs(layer.bottom)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from numpy.typing import NDArray

from filler_server.models.graph import Node
from filler_server.net.operations import Operation, unknown_reason

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """Values that a function computes from; it changes none of them.

    Attributes:
        bottoms: arrays of the dtype in which all is computed.
        blobs: learnable blobs, in their shapes and of that dtype.
        num_tops: how many tops are wanted.
    """

    bottoms: tuple[Array, ...]
    blobs: tuple[Array, ...]
    num_tops: int

    @property
    def bottom(self) -> Array:
        """The first bottom."""
        return self.bottoms[0]


Function: TypeAlias = Callable[[Any, Layer], Array | tuple[Array, ...]]
"""Computes the tops of a layer; further ones than are wanted do not count."""

Refusal: TypeAlias = Callable[[Any, Node], str | None]
"""Tells why a layer cannot be computed although its operation is known, or None."""

_O = TypeVar("_O", bound=Operation)
_F = TypeVar("_F", bound=Function)

_functions: dict[type[Operation], tuple[Function, Refusal]] = {}


def computes(kind: type[Operation], *, unless: Refusal = lambda operation, node: None) -> Callable[[_F], _F]:
    """Return a decorator that registers a function for a class of operations.

    Args:
        kind: the class.
        unless: tells which layers the function cannot compute.

    Raises:
        ValueError: the class has a function.
    """

    def add(function: _F) -> _F:
        if kind in _functions:
            raise ValueError(f"operation already registered. Received: kind={kind.__name__}")
        _functions[kind] = function, unless
        return function

    return add


def function_for(operation: Operation) -> Function:
    """Return the function that computes an operation."""
    return _functions[type(operation)][0]


def reason(node: Node) -> str | None:
    """Return why a node cannot be computed, or None where it can."""
    why = unknown_reason(node.operation)
    if why is not None:
        return why
    if type(node.operation) not in _functions:
        return f"{type(node.operation).__name__} is not among the operations that are computed"
    return _functions[type(node.operation)][1](node.operation, node)


def computed_operations() -> tuple[type[Operation], ...]:
    """Return the classes of operations that have a function."""
    return tuple(_functions)


def random_reason(operation: Any, node: Node) -> str | None:
    """Return why a layer cannot be computed that draws random numbers in the phase of the plan."""
    if getattr(operation, "random_in_test", False):
        return "it draws random numbers in both phases"
    return "it draws random numbers in phase TRAIN" if operation.random else None
