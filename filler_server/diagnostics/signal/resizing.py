"""Operations that change height and width."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from filler_server.diagnostics.signal.data import ExactActivation
from filler_server.diagnostics.signal.gradients import Gradient
from filler_server.diagnostics.signal.moments import NEAR, Moments
from filler_server.diagnostics.signal.normal import WEIGHTS, Reals, quantiles
from filler_server.diagnostics.signal.pooling import average_of
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import shaped
from filler_server.net.operations import resizing

_MOST_PLACES = 1 << 16


@rule(resizing.Interp)
def interp(operation: resizing.Interp, layer: Layer) -> Passed:
    """Lead through Interp: at each place a mean of four neighbors, by how near they are."""
    cut = operation.pad_beg + operation.pad_end
    sides = _sides(layer.shape()[-2:])
    extents = [side + cut for side in sides]
    axes = [_stretched(*pair) for pair in zip(extents, _sides(operation.size), strict=True)]
    return _mixed(layer, axes, prod(extents) / prod(sides))


@rule(resizing.Upsample)
def upsample(operation: resizing.Upsample, layer: Layer) -> Passed:
    """Lead through Upsample: values repeated, or back at the places that a mask tells with 0 at the others."""
    if operation.mask:
        return _scattered(layer)
    scale = operation.scale or 1
    return _mixed(layer, [_repeated(extent, scale) for extent in _sides(layer.shape()[-2:])])


def _sides(extents: Sequence[int | None]) -> list[int]:
    known = [extent for extent in extents if extent is not None]
    if len(known) != 2:
        raise NotKnown("the number of its places is not known")
    return known


class _Mixing(NamedTuple):
    """Means along one axis: each place of the top is one of places of the bottom, of which each has a share.

    Attributes:
        taps: how many places one has, on average.
        own: the mean over places of the top of the sum of squared shares.
        following: likewise of the sum of products of the shares of a place and of the next one.
        back: the mean over places of the bottom of the sum of the squared shares that it has.
        back_following: likewise of the sum of products of its shares and those of the next place.
        back_all: likewise of the square of the sum.
    """

    taps: float
    own: float
    following: float
    back: float
    back_following: float
    back_all: float


def _mixing(before: Reals, after: Reals, share: Reals, extent: int) -> _Mixing:
    """Return the means of two places each; `share` is that of the second."""
    shares = [(before, 1 - share), (after, share)]
    # At the last place both may be one.
    own = (1 - share) ** 2 + share**2 + np.where(before == after, 2 * share * (1 - share), 0)
    following = sum(
        np.where(place[:-1] == other[1:], part[:-1] * rest[1:], 0) for place, part in shares for other, rest in shares
    )
    sums = np.sum([np.bincount(place.astype(int), part, extent) for place, part in shares], axis=0)
    squares = np.sum([np.bincount(place.astype(int), part**2, extent) for place, part in shares], axis=0)
    mean = float(np.mean(following)) if len(share) > 1 else 0.0
    common = float(np.where(before == after, 0, share * (1 - share)).sum()) / extent
    taps = 1 + float(np.mean((share > 0) & (before != after)))
    return _Mixing(taps, float(own.mean()), mean, float(squares.mean()), common, float(np.mean(sums**2)))


def _stretched(extent: int, places: int) -> _Mixing:
    """Return linear interpolation with the first and the last value at the ends."""
    if not (0 < extent <= _MOST_PLACES and 0 < places <= _MOST_PLACES):
        raise NotKnown("it has no values, or too many")
    position = np.arange(places) * ((extent - 1) / (places - 1) if places > 1 else 0.0)
    before = np.minimum(np.floor(position), extent - 1)
    return _mixing(before, np.minimum(before + 1, extent - 1), position - before, extent)


def _repeated(extent: int, scale: int) -> _Mixing:
    """Return each place several times; `extent` and `scale` give all that is to be known."""
    if not (extent > 0 and scale > 0):
        raise NotKnown("it has no values")
    places = extent * scale
    same = (places - extent) / (places - 1) if places > 1 else 0.0
    return _Mixing(1.0, 1.0, same, float(scale), 0.0, float(scale) ** 2)


def _mixed(layer: Layer, axes: Sequence[_Mixing], inside: float = 1.0) -> Passed:
    """Return the way through means along both axes; `inside` is the share of places of the bottom that have a part."""
    bottom = layer.bottom
    near, rest = float(bottom.products[NEAR]), bottom.mean_square - float(bottom.products[NEAR])
    own = prod(axis.own for axis in axes)
    square = near + own * rest
    products = bottom.products.copy()
    # Of the next place along either axis.
    products[NEAR] = near + rest * sum(own / axis.own * axis.following for axis in axes) / 2
    moments = Moments(bottom.mean, max(square, bottom.mean**2), products)
    top = shaped(bottom.plain().points, moments)
    if own < 1:
        made = average_of(bottom, moments, 1 / own)
        zeros = average_of(bottom, moments, prod(axis.taps for axis in axes)).zeros
        top = ExactActivation(made.points, made.correlations, exact=moments, share=zeros)

    def back(tops: Gradients) -> Back:
        gradient = tops[0]
        near, rest = float(gradient.products[NEAR]), gradient.mean_square - float(gradient.products[NEAR])
        single, double = prod(axis.back for axis in axes), prod(axis.back_all for axis in axes)
        # Places that a crop has cut off get nothing.
        square = inside * max(double * near + single * rest, 0.0)
        products = inside * double * gradient.products
        products[NEAR] += inside * rest * sum(single / axis.back * axis.back_following for axis in axes) / 2
        times = size(layer.top_shape()) / max(size(layer.shape()), 1)
        pull = gradient.pull * times * top.mean_square / bottom.mean_square if bottom.mean_square else 0.0
        return Back((Gradient(square, products, pull=pull), *(None,) * (len(layer.bottoms) - 1)))

    return Passed((top,), back)


def _scattered(layer: Layer) -> Passed:
    """Return values at other places, with 0 at all that none goes to."""
    bottom, share = layer.bottom.plain(), size(layer.shape()) / max(size(layer.top_shape()), 1)
    if not share <= 1:
        raise NotKnown("several of its values go to one place")
    points = quantiles(np.append(bottom.points, 0.0), np.append(WEIGHTS * share, 1 - share))
    moments = Moments(bottom.mean * share, bottom.mean_square * share, bottom.products * share**2)
    top = shaped(points, moments)

    def back(tops: Gradients) -> Back:
        return Back((Gradient(tops[0].mean_square, tops[0].products, pull=tops[0].pull), None))

    return Passed((top,), back)
