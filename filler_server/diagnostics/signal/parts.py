"""Values that lie side by side in one, as a Concat puts them and a Slice takes them, and gradients that do."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from filler_server.diagnostics.signal.gradients import NOTHING, Gradient, total
from filler_server.diagnostics.signal.layout import Parts
from filler_server.diagnostics.signal.moments import UNITS, Moments
from filler_server.diagnostics.signal.normal import WEIGHTS, quantiles
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, Rule
from filler_server.diagnostics.signal.values import Activation, shaped
from filler_server.diagnostics.signal.windows import blended
from filler_server.net.operations import Operation, activations, arrangement, normalization, pooling

_T = TypeVar("_T")

_BY_PARTS = frozenset(
    (*activations.BY_VALUE, activations.Dropout, activations.PReLU, normalization.Bias, normalization.Scale)
)
_NORMALIZING = (normalization.BatchNorm, normalization.LRN, normalization.MVN)
_BY_CHANNEL = (*_NORMALIZING, pooling.Pooling)
_KEPT = frozenset(
    (*_BY_PARTS, *_BY_CHANNEL, arrangement.Concat, arrangement.Identity, arrangement.Slice, arrangement.Split)
)


def keeps_parts(operation: Operation) -> bool:
    """Whether values that lie side by side before an operation do so after it as well."""
    return type(operation) in _KEPT


def _is_by_parts(operation: Operation, axis: int) -> bool:
    """Whether what an operation makes of a part of a value along an axis depends on this part alone, or nearly."""
    if isinstance(operation, normalization.MVN) and operation.across_channels:
        return False
    return type(operation) in _BY_PARTS or (axis == 1 and type(operation) in _BY_CHANNEL)


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


def mixture(parts: Sequence[Activation], counts: Sequence[float], *, between: bool = True) -> Activation:
    """Return the distribution of elements of several values together.

    Args:
        parts: the values.
        counts: how many elements each has, relative to the others.
        between: whether they are channels beside each other.
    """
    shares = np.array(counts, float) / (sum(counts) or 1)
    mean = float(sum(share * part.mean for share, part in zip(shares, parts, strict=True)))
    square = float(sum(share * part.mean_square for share, part in zip(shares, parts, strict=True)))
    products = np.sum([share * part.products for share, part in zip(shares, parts, strict=True)], axis=0)
    if between:
        inner = sum(share**2 * float(part.products[UNITS]) for share, part in zip(shares, parts, strict=True))
        products[UNITS] = (
            inner + mean**2 - sum((share * part.mean) ** 2 for share, part in zip(shares, parts, strict=True))
        )
    points = np.concatenate([part.plain().points for part in parts])
    weights = np.concatenate([share * WEIGHTS for share in shares])
    spread = float(sum(share * part.spread for share, part in zip(shares, parts, strict=True)))
    made = shaped(quantiles(points, weights), Moments(mean, square, products), spread)
    profile = blended([(share * part.mean_square, part.profile) for share, part in zip(shares, parts, strict=True)])
    drift = sum((share * part.mean_square) ** 2 * part.drift for share, part in zip(shares, parts, strict=True))
    drift = float(drift) / (square * square or 1.0)
    ties = sum(share * share * part.tied for share, part in zip(shares, parts, strict=True)) if between else 0.0
    return made.but(profile=profile if between else None, drift=drift, ties=float(ties))


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
        NotKnown: they have parts along different axes, or are of several differences of one value and its twins.
    """
    if len(gradients) == 1:
        return gradients[0]
    if sum([gradient.twin for gradient in gradients]) > 1:
        raise NotKnown("gradients of several differences of values that come through the same weights go together")
    axes = {gradient.parts.axis for gradient in gradients if gradient.parts is not None}
    if not axes:
        return total(list(gradients))
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
        operation: the operation.
        layer: the layer.
    """
    passed, parts = function(operation, layer), layer.bottom.parts
    if parts is None or len(layer.bottoms) > 1 or not _is_by_parts(operation, parts.axis):
        return passed
    axis, each = parts
    is_normalized = isinstance(operation, _NORMALIZING)
    dims, (top, *_) = layer.shape(), passed.tops
    assert isinstance(top, Activation)  # noqa: S101 - for the type checker

    def of_part(extent: int, part: Activation) -> Passed:
        shape = (*dims[:axis], extent, *dims[axis + 1 :])
        return function(operation, replace(layer, bottoms=(part,), shapes=(shape,)))

    extents = [extent for extent, _ in each]
    ways = [of_part(extent, part) for extent, part in each]

    def back(tops: Gradients) -> Back:
        found = tops[0].parts
        if found is None and isinstance(operation, pooling.Pooling):
            return passed.back(tops)
        gradients = [tops[0].alike()] * len(ways)
        if found is not None and found.axis == axis:
            gradients = [beside(axis, within) for within in overlaps(found.each, extents)]
        made: list[Any] = [way.back((gradient,)).bottoms[0] for way, gradient in zip(ways, gradients, strict=True)]
        beneath, whole = beside(axis, list(zip(extents, made, strict=True))), passed.back(tops)
        if found is None and not is_normalized and isinstance(whole.bottoms[0], Gradient):
            beneath = replace(whole.bottoms[0], parts=beneath.parts)
        return whole._replace(bottoms=(beneath,))

    tops: list[Any] = [way.tops[0] for way in ways]
    if is_normalized:
        top = mixture(tops, extents)
    return Passed((top.but(parts=Parts(axis, tuple(zip(extents, tops, strict=True)))),), back)
