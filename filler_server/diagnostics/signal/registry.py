"""Rules by the class of the operation.

A rule takes a `Layer` and returns its tops, and a function that leads gradients back:

    @rule(activations.AbsVal)
    def absolute_value(operation: activations.AbsVal, layer: Layer) -> Passed:
        ...

What it cannot know it refuses with `NotKnown`: forward in the rule, backward in the function that it returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from filler_server.diagnostics.signal.gradients import Gradient
from filler_server.diagnostics.signal.layout import Terms, terms
from filler_server.diagnostics.signal.moments import CROSS, Weights
from filler_server.diagnostics.signal.normal import Reals
from filler_server.diagnostics.signal.values import Activation
from filler_server.net.operations import Operation
from filler_server.net.plan import Layer as PlanLayer
from filler_server.net.plan import Shape


class NotKnown(Exception):
    """A thing that a rule cannot know; the message is the reason, to be read after the layer's name."""


class Back(NamedTuple):
    """Gradients before a layer.

    Attributes:
        bottoms: for each bottom what comes to it, None where nothing goes.
        blobs: for each blob the mean square of its gradient, None for one that has none.
        root: what comes to the value that all bottoms are functions of; the bottoms then lead nothing back themselves.
    """

    bottoms: "tuple[Gradient | NotKnown | None, ...]"
    blobs: tuple[float | None, ...] = ()
    root: Gradient | None = None


Gradients: TypeAlias = tuple[Gradient, ...]
"""Gradients of all tops. Python makes the alias anew wherever a function within another spells it out."""

Backward: TypeAlias = Callable[[Gradients], Back]


class Passed(NamedTuple):
    """A layer that activations have passed.

    Attributes:
        tops: its tops.
        back: leads the gradients of the tops back.
    """

    tops: "tuple[Activation | NotKnown, ...]"
    back: Backward


@dataclass(slots=True)
class Layer:
    """Values and weights that a rule starts from.

    Attributes:
        plan: the layer.
        bottoms: activations of the bottoms.
        shapes: their shapes.
        same: for each bottom, the index of the first that is the same value.
        kinds: for each bottom, the operation that made it.
        weights: mean and variance of each blob, None where they are not known.
        channel: the axis of the channels of the first bottom.
        root: the value that all bottoms are functions of, element by element, where they are not all the same value.
        slopes: of each of these functions, at the nodes.
        entangled: whether different bottoms of one shape are made of the same value without random weights.
        twins: whether two of different bottoms come through the same weights in the same way.
    """

    plan: PlanLayer
    bottoms: tuple[Activation, ...]
    shapes: tuple[Shape, ...]
    same: tuple[int, ...] = ()
    kinds: tuple[Operation, ...] = ()
    weights: tuple[Weights | None, ...] = ()
    channel: int = 1
    root: Activation | None = None
    slopes: tuple[Reals, ...] = ()
    entangled: bool = False
    twins: bool = False

    def independent(self) -> None:
        """Check that different bottoms do not depend on each other.

        Raises:
            NotKnown: they do.
        """
        if self.entangled:
            raise NotKnown("its bottoms are made of the same value")
        if self.twins and any(_goes_together(bottom) for bottom in self.bottoms):
            raise NotKnown("its bottoms come through the same weights and go together")

    @property
    def bottom(self) -> Activation:
        """The first bottom."""
        return self.bottoms[0]

    def blob(self, index: int) -> Weights:
        """Return mean and variance of a blob.

        Raises:
            NotKnown: they are not known.
        """
        weights = self.weights[index] if index < len(self.weights) else None
        if weights is None:
            raise NotKnown(f"what its blob {index} is filled with is not known or not finite")
        return weights

    def top_shape(self, index: int = 0) -> tuple[int | None, ...]:
        """Return the shape of a top.

        Raises:
            NotKnown: the number of its axes is not known.
        """
        return _axes(self.plan.tops[index].shape, "its top")

    def shape(self, index: int = 0) -> tuple[int | None, ...]:
        """Return the shape of a bottom.

        Raises:
            NotKnown: the number of its axes is not known.
        """
        return _axes(self.shapes[index], "its bottom")


def _goes_together(value: Activation) -> bool:
    """Whether elements of two samples have more in common than their mean."""
    return abs(float(value.products[CROSS]) - value.mean**2) > _LITTLE * value.mean_square


_LITTLE = 0.02


def _axes(shape: Shape, what: str) -> tuple[int | None, ...]:
    if shape is None:
        raise NotKnown(f"the shape of {what} is not known")
    return shape


def summed_axes(layer: Layer, first: int, last: int) -> Terms:
    """Return the elements of a sum over all axes of the first bottom but some.

    Args:
        layer: the layer.
        first: the first of the axes that are left.
        last: the one after them.

    Raises:
        NotKnown: an extent is not known.
    """
    return _summed_axes(layer.shape(), layer.channel, first, last)


@lru_cache(maxsize=256)
def _summed_axes(dims: tuple[int | None, ...], channel: int, first: int, last: int) -> Terms:
    axes = [axis for axis in range(len(dims)) if not first <= axis < last]
    size(tuple(dims[axis] for axis in axes))
    return terms([dim or 0 for dim in dims], channel, axes)


def size(dims: tuple[int | None, ...], what: str = "its values") -> int:
    """Return the product of dimensions.

    Raises:
        NotKnown: one of them is not known.
    """
    if None in dims:
        raise NotKnown(f"the number of {what} is not known")
    return prod(cast("tuple[int, ...]", dims))


Rule: TypeAlias = Callable[[Any, Layer], Passed]

_F = TypeVar("_F", bound=Rule)

_rules: dict[type[Operation], Rule] = {}


def rule(*kinds: type[Operation]) -> Callable[[_F], _F]:
    """Return a decorator that registers a rule for classes of operations.

    Raises:
        ValueError: a class has a rule.
    """

    def add(function: _F) -> _F:
        for kind in kinds:
            if kind in _rules:
                raise ValueError(f"operation already registered. Received: kind={kind.__name__}")
            _rules[kind] = function
        return function

    return add


def rule_for(operation: Operation) -> Rule | None:
    """Return the rule of an operation, or None."""
    return _rules.get(type(operation))


def ruled_operations() -> tuple[type[Operation], ...]:
    """Return the classes of operations that have a rule."""
    return tuple(_rules)
