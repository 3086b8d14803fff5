"""Origins of values: which are functions of the same elements, and which share a part in some other way.

Random weights part what they make from what they read. All else leaves values that go together.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from filler_server.net.operations import Operation, activations, arrangement, normalization
from filler_server.net.plan import Layer, NetPlan, Shape, Value

_BY_VALUE = frozenset((*activations.BY_VALUE, arrangement.Split))
_BY_CHANNEL = (normalization.Bias, normalization.Scale)

_LONGEST = 64
"""Operations between a value and what it is a function of, beyond which it counts as one of its own."""


class Origin(NamedTuple):
    """Origin of a value.

    Attributes:
        root: the value of which it is a function, element by element.
        steps: the number of layers from there to it.
        parts: a bit for each value that it is made of without random weights, and that is made of none itself.
    """

    root: Value
    steps: int
    parts: int


def is_function(operation: Operation) -> bool:
    """Whether each element of the tops is one function of the same element of the bottom."""
    return type(operation) in _BY_VALUE


def origin(
    layer: Layer,
    value: Value,
    shape: Shape,
    bottoms: Sequence[tuple[Shape, Origin]],
    number: int,
    *,
    whole: bool,
) -> Origin:
    """Return the origin of a value.

    Args:
        layer: the layer that makes it.
        value: the value.
        shape: its shape.
        bottoms: shape and origin of each bottom of the layer.
        number: how many values there are before it.
        whole: whether all elements of the first bottom are there; a Dropout leaves a part of them.
    """
    if whole and is_function(layer.operation):
        _, bottom = bottoms[0]
        is_far = bottom.steps == _LONGEST
        return Origin(value if is_far else bottom.root, 0 if is_far else bottom.steps + 1, bottom.parts)
    blobs = () if isinstance(layer.operation, _BY_CHANNEL) else layer.blobs
    if blobs and any(len(blob.shape or ()) > 1 for blob in blobs):
        return Origin(value, 0, 1 << number)
    parts = 0
    # Of its second bottom a Crop takes the extents only.
    for other, bottom in bottoms[:1] if isinstance(layer.operation, arrangement.Crop) else bottoms:
        # Elements that others stand for in part, as those of a mean over all places, count as others.
        if other == shape:
            parts |= bottom.parts
    return Origin(value, 0, parts or 1 << number)


def path_to(plan: NetPlan, value: Value, root: Value) -> Iterator[int]:
    """Yield the layers on the way back from a value to its root."""
    while value != root:
        yield value.layer
        value = plan.layers[value.layer].producers[0]


def entangled(origins: Iterable[Origin]) -> bool:
    """Return whether two of several values are made of the same one, in part or as a whole."""
    seen = 0
    for found in origins:
        if seen & found.parts:
            return True
        seen |= found.parts
    return False
