"""What values are made of: which are functions of the same elements, and which share a part in some other way.

Random weights part what they make from what they read. All else leaves values that go together.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from filler_server.net.operations import Operation, activations, arrangement, normalization
from filler_server.net.plan import NetPlan, Value

_BY_VALUE: tuple[type[Operation], ...] = (
    activations.AbsVal,
    activations.BNLL,
    activations.Clip,
    activations.ELU,
    activations.Exp,
    activations.Log,
    activations.NegReLU,
    activations.Power,
    activations.ReLU,
    activations.ReLU6,
    activations.Sigmoid,
    activations.SignedPower,
    activations.SignedSqrt,
    activations.Swish,
    activations.TanH,
    activations.Threshold,
    arrangement.Split,
)
"""Operations without blobs of which each element of a top is a function of the same element of the bottom."""


class Origin(NamedTuple):
    """What a value is made of.

    Attributes:
        root: the value of which it is a function, element by element.
        path: the layers from there to it.
        parts: all values that it is made of without random weights.
    """

    root: Value
    path: tuple[int, ...]
    parts: frozenset[Value]


def origin(plan: NetPlan, value: Value, known: Mapping[Value, Origin], *, whole: bool) -> Origin:
    """Return what a value is made of.

    Args:
        plan: the net.
        value: the value.
        known: the origins of the bottoms of its layer.
        whole: whether all elements of the bottoms are there; a Dropout leaves a part of them.
    """
    layer, own = plan.layers[value.layer], frozenset([value])
    if isinstance(layer.operation, _BY_VALUE) and whole:
        bottom = known[layer.producers[0]]
        return Origin(bottom.root, (*bottom.path, value.layer), bottom.parts)
    is_element_wise = isinstance(layer.operation, normalization.Bias | normalization.Scale)
    if not is_element_wise and any(len(blob.shape or ()) > 1 for blob in layer.blobs):
        return Origin(value, (), own)
    # Elements that others stand for in part, as those of a mean over all places, count as others.
    shape = plan.top(value).shape
    # Of its second bottom a Crop takes the extents only.
    producers = layer.producers[:1] if isinstance(layer.operation, arrangement.Crop) else layer.producers
    parts = [known[bottom].parts for bottom in producers if plan.top(bottom).shape == shape]
    return Origin(value, (), own.union(*parts))


def one_root(origins: Sequence[Origin]) -> bool:
    """Return whether all values are functions of the same elements."""
    return len({found.root for found in origins}) == 1


def entangled(bottoms: Mapping[Value, Origin]) -> bool:
    """Return whether two values are made of the same one, in part or as a whole."""
    parts = [found.parts for found in bottoms.values()]
    return len(frozenset().union(*parts)) < sum(map(len, parts))
