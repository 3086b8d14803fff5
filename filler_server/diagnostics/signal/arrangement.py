"""Operations that arrange values anew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from filler_server.diagnostics.signal.combination import added, product, to_part
from filler_server.diagnostics.signal.gradients import Gradient
from filler_server.diagnostics.signal.layout import Parts
from filler_server.diagnostics.signal.moments import APART, CROSS, NEAR, OTHER, UNITS
from filler_server.diagnostics.signal.normal import Reals
from filler_server.diagnostics.signal.parts import beside, mixture, overlaps, summed
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import Activation
from filler_server.diagnostics.signal.windows import blended, cut, surrounded
from filler_server.net.operations import arrangement, detection


@rule(arrangement.Concat)
def concat(operation: arrangement.Concat, layer: Layer) -> Passed:
    """Lead through Concat: the distributions of the bottoms mixed."""
    axis = operation.axis
    dims = [layer.shape(index) for index in range(len(layer.bottoms))]
    if operation.flatten:
        counts = [size(shape[axis:], "values") for shape in dims]
    else:
        counts = [size(shape[axis : axis + 1], "values") for shape in dims]
    top = mixture(layer.bottoms, counts, between=axis == 1)
    if not operation.flatten:
        parts: list[tuple[int, Activation]] = []
        for count, bottom in zip(counts, layer.bottoms, strict=True):
            inner = bottom.parts
            parts += inner.each if inner is not None and inner.axis == axis else [(count, bottom)]
        top = top.but(parts=Parts(axis, tuple(parts)))

    def back(tops: Gradients) -> Back:
        gradient, parts = tops[0].alike(), tops[0].parts
        if parts is not None and parts.axis == axis and not operation.flatten:
            return Back(tuple(beside(axis, within) for within in overlaps(parts.each, counts)))
        if axis > 1 and gradient.profile is not None and not operation.flatten:
            return Back(tuple(_of_places(gradient, kept) for kept in _places(dims, axis)))
        gradient = replace(gradient, profile=gradient.profile if axis == 1 else None)
        return Back(tuple(gradient for _ in layer.bottoms))

    return Passed((top,), back) if len(layer.bottoms) > 1 else _same(layer)


@rule(arrangement.Slice)
def slice_(operation: arrangement.Slice, layer: Layer) -> Passed:
    """Lead through Slice: the same distribution for each top, of its places if it is along an axis of these."""
    number = len(layer.plan.tops)

    def extents() -> list[int]:
        return [size(layer.top_shape(index)[operation.axis : operation.axis + 1]) for index in range(number)]

    def pieces() -> Sequence[Sequence[range]]:
        """Return the places of each top along each axis."""
        return _places([layer.top_shape(index) for index in range(number)], operation.axis)

    parts = [(layer.bottom, 1.0)] * number
    inner = layer.bottom.parts
    if inner is not None and inner.axis == operation.axis:
        parts = [(top, 1.0) for top in _cut_parts(inner, extents())]
    elif operation.axis > 1 and layer.bottom.profile is not None:
        parts = [_kept_places(layer.bottom, kept) for kept in pieces()]

    def back(tops: Gradients) -> Back:
        for _, mean in parts:
            _check_even(layer.bottom, mean)
        each = list(zip(extents(), tops, strict=True))
        gradient = beside(operation.axis, each)
        if operation.axis > 1:
            whole, dims = sum(extents()) or 1, _known(layer.shape()[2:])
            profiles = [
                (extent / whole * top.mean_square, surrounded(top.profile, kept, dims))
                for (extent, top), kept in zip(each, pieces(), strict=True)
            ]
            gradient = replace(gradient, profile=blended(profiles))
        return Back((gradient,))

    return Passed(tuple(top for top, _ in parts), back)


def _places(shapes: Sequence[tuple[int | None, ...]], axis: int) -> Sequence[Sequence[range]]:
    """Return the places along each axis of values that lie side by side along one of these."""
    found, start = [], 0
    for shape in shapes:
        dims = _known(shape[2:])
        found.append([range(start, start + dim) if place == axis else range(dim) for place, dim in enumerate(dims, 2)])
        start += dims[axis - 2]
    return found


def _of_places(gradient: Gradient, kept: Sequence[range]) -> Gradient:
    """Return the part of a gradient that comes to some places."""
    mean, profile = cut(gradient.profile, kept)
    return replace(gradient.scaled(mean), profile=profile)


def _cut_parts(parts: Parts[Activation], extents: Sequence[int]) -> Iterator[Activation]:
    """Yield the distributions of pieces of values that lie side by side, of some extents."""
    for within in overlaps(parts.each, extents):
        whole = [part for _, part in within]
        # What a column tells of a nonlinearity it does not tell of a piece.
        yield (
            whole[0].but(saturated=None, together=None)
            if len(whole) == 1
            else mixture(whole, [shared for shared, _ in within], between=parts.axis == 1)
        )


def _kept_places(of: Activation, kept: Sequence[range]) -> tuple[Activation, float]:
    """Return the distribution at some places, and the mean square there relative to that of all."""
    mean, profile = cut(of.profile, kept)
    made = of if mean == 1 else of.with_points(of.points * sqrt(mean))
    return made.but(profile=profile, empty=of.empty), mean


_EVEN = 1.25
"""Ratio of the mean square of the places that are kept to that of all, up to which what all have in common stands for
them as well."""


def _check_even(of: Activation, mean: float) -> None:
    """Check that places which go together are about as large as those of which a gradient comes back.

    Raises:
        NotKnown: they are not.
    """
    goes_together = abs(float(of.products[APART])) > 1e-9 * of.mean_square
    if goes_together and not 1 / _EVEN < mean < _EVEN:
        raise NotKnown("values at the places that it keeps are larger or smaller than elsewhere, and go together")


def _known(dims: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return extents.

    Raises:
        NotKnown: one of them is not known.
    """
    size(dims, "places")
    return tuple(dim for dim in dims if dim is not None)


@rule(arrangement.Split)
def split(operation: arrangement.Split, layer: Layer) -> Passed:
    """Lead through Split."""

    def back(tops: Gradients) -> Back:
        return Back((summed(tops),))

    return Passed((layer.bottom,) * len(layer.plan.tops), back)


def _same(layer: Layer) -> Passed:
    """Return the way through for elements that go to other places."""

    def back(tops: Gradients) -> Back:
        return Back((replace(tops[0], profile=None), *(None,) * (len(layer.bottoms) - 1)))

    return Passed((layer.bottom.but(profile=None),), back)


@rule(
    arrangement.Flatten,
    arrangement.Flip,
    arrangement.Permute,
    arrangement.Reshape,
    arrangement.Reverse,
    arrangement.ShuffleChannel,
    detection.Reorg,
)
def rearranged(operation: object, layer: Layer) -> Passed:
    """Lead through operations that move elements: what is known of each stays."""
    passed, dims, made = _same(layer), layer.shapes[0], layer.plan.tops[0].shape
    if dims is None or made is None or layer.channel not in range(1, len(dims)):
        return passed
    if isinstance(operation, arrangement.Permute):
        order = operation.order
        is_swapped = 0 in order[1:] and order[0] != layer.channel
        return _with_pairs(passed, _swapped, _swapped) if is_swapped else passed
    # Samples and places become one or part, and the channels stay the last axis.
    is_last = len(dims) != len(made) > 1 and layer.channel == len(dims) - 1 and dims[-1] == made[-1]
    if not is_last or None in dims or None in made:
        return passed
    return _with_pairs(passed, _mixed(dims), _mixed(made))


def _swapped(pairs: Reals) -> Reals:
    """Return what pairs are by kinds where samples and places change their roles."""
    return pairs[[CROSS, CROSS, APART, OTHER, UNITS]]


def _mixed(dims: tuple[int | None, ...]) -> Callable[[Reals], Reals]:
    """Return what tells the mean over all pairs of samples and places of a value whose channels are the last axis."""
    rows, places = size(dims[:1]), size(dims[1:-1])
    counts = np.array([0, places - 1, rows - 1, (rows - 1) * (places - 1), 0])

    def function(pairs: Reals) -> Reals:
        mean = float(counts @ pairs) / max(rows * places - 1, 1)
        return np.array([mean, mean, mean, mean, pairs[UNITS]])

    return function


def _with_pairs(passed: Passed, forward: Callable[[Reals], Reals], backward: Callable[[Reals], Reals]) -> Passed:
    """Return the way through for elements of which pairs are of other kinds after than before.

    Args:
        passed: the way through for each element.
        forward: what pairs of the top are, by those of the bottom.
        backward: what pairs of the bottom are, by those of the top.
    """
    (top,) = passed.tops
    assert isinstance(top, Activation)  # noqa: S101 - for the type checker

    def back(tops: Gradients) -> Back:
        return passed.back((replace(tops[0].alike(), products=backward(tops[0].products)),))

    return Passed((replace(top, correlations=forward(top.correlations)),), back)


@rule(arrangement.Identity)
def identity(operation: arrangement.Identity, layer: Layer) -> Passed:
    """Lead through Identity."""
    return Passed(layer.bottoms, lambda tops: Back(tops))


@rule(arrangement.Crop)
def crop(operation: arrangement.Crop, layer: Layer) -> Passed:
    """Lead through Crop: gradients reach a part of the bottom, and nothing comes to the places that are cut."""

    def kept() -> list[range]:
        """Return the places that are kept along each axis."""
        starts = [0] * operation.axis + list(operation.offsets)
        extents = _known(layer.top_shape()[2:])
        return [range(start, start + extent) for start, extent in zip(starts[2:], extents, strict=True)]

    bottom, mean = layer.bottom, 1.0
    top = bottom
    if bottom.profile is not None:
        top, mean = _kept_places(bottom, kept())

    def back(tops: Gradients) -> Back:
        _check_even(bottom, mean)
        share = size(layer.top_shape()) / max(size(layer.shape()), 1)
        products = tops[0].products * share * share
        # Elements at one place are kept together, and neighbors nearly so.
        products[[NEAR, CROSS]] = tops[0].products[[NEAR, CROSS]] * share
        profile = surrounded(tops[0].profile, kept(), _known(layer.shape()[2:]))
        pull = tops[0].pull * share * mean
        return Back((Gradient(tops[0].mean_square * share, products, None, profile, pull), None))

    return Passed((top,), back)


@rule(arrangement.Tile)
def tile(operation: arrangement.Tile, layer: Layer) -> Passed:
    """Lead through Tile: gradients of the copies add up."""
    bottom, tiles = layer.bottom, operation.tiles

    def back(tops: Gradients) -> Back:
        kind = UNITS if operation.axis == 1 else CROSS if operation.axis == 0 else 1
        square = tiles * tops[0].mean_square + tiles * (tiles - 1) * float(tops[0].products[kind])
        return Back((Gradient(max(square, 0.0), tiles**2 * tops[0].products, pull=tiles * tops[0].pull),))

    return Passed((bottom.but(profile=None),), back)


@rule(arrangement.Axpy)
def axpy(operation: arrangement.Axpy, layer: Layer) -> Passed:
    """Lead through Axpy: a product and a sum of bottoms that do not depend on each other."""
    if layer.same[2] in layer.same[:2]:
        raise NotKnown("it adds a value to a multiple of itself")
    layer.independent()
    factors = replace(layer, bottoms=layer.bottoms[:2], shapes=layer.shapes[:2], same=layer.same[:2])
    passed = product(factors)
    (scaled,) = passed.tops
    assert isinstance(scaled, Activation)  # noqa: S101 - for the type checker

    top = added(scaled, layer.bottoms[2])
    parts = [(scaled, 1.0), (layer.bottoms[2], 1.0)]
    to_scaled, to_other = (to_part(top, parts, place, np.add) for place in range(2))

    def back(tops: Gradients) -> Back:
        return Back((*passed.back((to_scaled(tops[0]),)).bottoms, to_other(tops[0])))

    return Passed((top,), back)


@rule(arrangement.BroadcastMul)
def broadcast_mul(operation: arrangement.BroadcastMul, layer: Layer) -> Passed:
    """Lead through BroadcastMul as through a product."""
    return product(layer)
