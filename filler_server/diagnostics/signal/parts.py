"""Values that lie side by side in one, as a Concat puts them and a Slice takes them, and gradients that do."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from filler_server.diagnostics.signal.gradients import NOTHING, Gradient, total
from filler_server.diagnostics.signal.layout import Parts
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, Rule
from filler_server.diagnostics.signal.values import Activation
from filler_server.diagnostics.signal.windows import blended
from filler_server.net.operations import Operation, activations, arrangement, normalization

_T = TypeVar("_T")

_BY_PARTS = frozenset((*activations.BY_VALUE, activations.Dropout, normalization.Bias, normalization.Scale))
_KEPT = frozenset((*_BY_PARTS, arrangement.Concat, arrangement.Identity, arrangement.Slice, arrangement.Split))


def keeps_parts(operation: Operation) -> bool:
    """Whether values that lie side by side before an operation do so after it as well."""
    return type(operation) in _KEPT


def overlaps(parts: Sequence[tuple[int, _T]], extents: Sequence[int]) -> Iterator[list[tuple[int, _T]]]:
    """Yield what lies in each of some pieces, each part with its extent there.

    Args:
        parts: what lies side by side, each with its extent.
        extents: those of the pieces.
    """
    start = 0
    for extent in extents:
        within, first = [], 0
        for length, part in parts:
            shared = min(start + extent, first + length) - max(start, first)
            if shared > 0:
                within.append((shared, part))
            first += length
        start += extent
        yield within


def beside(axis: int, parts: Sequence[tuple[int, Gradient]]) -> Gradient:
    """Return the gradient of a value of which parts along an axis have their own.

    Args:
        axis: the axis.
        parts: the gradient of each part, with its extent.
    """
    if len(parts) == 1:
        return parts[0][1].alike()
    number = sum(extent for extent, _ in parts) or 1
    shares = [(extent / number, gradient) for extent, gradient in parts]
    square = sum(share * gradient.mean_square for share, gradient in shares)
    products = np.sum([share * gradient.products for share, gradient in shares], axis=0)
    profile = blended([(share * gradient.mean_square, gradient.profile) for share, gradient in shares])
    pull = sum(share * gradient.pull for share, gradient in shares)
    return Gradient(square, products, None, profile, pull, parts=Parts(axis, tuple(parts)))


def summed(gradients: Sequence[Gradient]) -> Gradient:
    """Return the sum of gradients that do not depend on each other, part by part where one has parts.

    Raises:
        NotKnown: they have parts along different axes.
    """
    axes = {gradient.parts.axis for gradient in gradients if gradient.parts is not None}
    if not axes or len(gradients) == 1:
        return gradients[0] if len(gradients) == 1 else total(list(gradients))
    if len(axes) > 1:
        raise NotKnown("gradients that differ along one axis and along another come together")
    sides = [gradient.parts for gradient in gradients if gradient.parts is not None]
    ends = sorted({int(end) for side in sides for end in np.cumsum([extent for extent, _ in side.each])})
    extents = np.diff([0, *ends]).tolist()
    columns = [
        [gradient.alike()] * len(extents)
        if gradient.parts is None
        else [within[0][1] if within else NOTHING for within in overlaps(gradient.parts.each, extents)]
        for gradient in gradients
    ]
    rows = [total(list(row)) for row in zip(*columns, strict=True)]
    return beside(axes.pop(), list(zip(extents, rows, strict=True)))


def by_parts(function: Rule, operation: Operation, layer: Layer) -> Passed:
    """Return the way through an operation, also for each of the values that lie side by side in its bottom.

    Args:
        function: the rule of the operation.
        operation: one that does the same to each element.
        layer: the layer.
    """
    passed, parts = function(operation, layer), layer.bottom.parts
    if type(operation) not in _BY_PARTS or parts is None or len(layer.bottoms) > 1:
        return passed
    axis, each = parts
    dims, (top, *_) = layer.shape(), passed.tops
    assert isinstance(top, Activation)  # noqa: S101 - for the type checker

    def of_part(extent: int, part: Activation) -> Passed:
        shape = (*dims[:axis], extent, *dims[axis + 1 :])
        return function(operation, replace(layer, bottoms=(part,), shapes=(shape,)))

    extents = [extent for extent, _ in each]
    ways = [of_part(extent, part) for extent, part in each]

    def back(tops: Gradients) -> Back:
        found = tops[0].parts
        gradients = [tops[0].alike()] * len(ways)
        if found is not None and found.axis == axis:
            gradients = [beside(axis, within) for within in overlaps(found.each, extents)]
        made: list[Any] = [way.back((gradient,)).bottoms[0] for way, gradient in zip(ways, gradients, strict=True)]
        beneath, whole = beside(axis, list(zip(extents, made, strict=True))), passed.back(tops)
        if found is None and isinstance(whole.bottoms[0], Gradient):
            beneath = replace(whole.bottoms[0], parts=beneath.parts)
        return whole._replace(bottoms=(beneath,))

    tops: list[Any] = [way.tops[0] for way in ways]
    return Passed((top.but(parts=Parts(axis, tuple(zip(extents, tops, strict=True)))),), back)
