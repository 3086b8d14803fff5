"""Poolings over windows that do not depend on data."""

from math import prod

import numpy as np

from filler_server.diagnostics.signal.gradients import Gradient
from filler_server.diagnostics.signal.moments import APART, CROSS, NEAR, OTHER, Moments
from filler_server.diagnostics.signal.normal import NODES, WEIGHTS, Reals, largest, winners
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule
from filler_server.diagnostics.signal.values import Activation, normal, shaped
from filler_server.diagnostics.signal.windows import Axis, averaged, axes, scaled, whole
from filler_server.net.operations import pooling


@rule(pooling.Pooling)
def pooling_(operation: pooling.Pooling, layer: Layer) -> Passed:
    """Lead through Pooling: averages, or the largest of normal variables."""
    windows = _Windows(operation, layer)
    if operation.method == "ave":
        return _average(windows, layer)
    if operation.method == "max" and len(layer.plan.tops) == 1:
        return _maximum(windows, layer)
    raise NotKnown("it draws at random" if operation.method == "stochastic" else "it has a mask")


class _Windows:
    """The windows of a pooling.

    Attributes:
        places: number of places of the bottom.
        count: number of windows.
        axes: the windows along each axis.
        size: places of a window, those of the padding included.
        held: places of a window that lie within the bottom, on average.
        shared: the part of a window that the next one has as well.
        neighbors: the part of a window whose places have their next one in it.
        mean, single, double: sums over the places of a window that lie within the bottom, on average: of what each
            counts for in an average, of its square, and of the products of all two.
        cover: along each axis, the square of an average over a window relative to that over one without padding.
        twice: how many other windows have the same largest place as one has.
    """

    def __init__(self, operation: pooling.Pooling, layer: Layer) -> None:
        dims = layer.shape()
        kernel = _known(operation.kernel)
        stride, pad = _known(operation.stride), _known(operation.pad)
        spatial = len(kernel)
        extents = _known(dims[len(dims) - spatial :])
        tops = (1,) * spatial if operation.global_pooling else _known(layer.top_shape()[len(dims) - spatial :])
        self.places, self.count, self.size = prod(extents), prod(tops), prod(kernel)
        self.axes = axes(extents, tops, kernel, stride, pad)
        self.held = whole(self.axes) / max(self.count, 1)
        kept = zip(kernel, stride, tops, strict=True)
        shared = [max(extent - step, 0) / extent for extent, step, number in kept if number > 1]
        self.shared = sum(shared) / len(shared) if shared else 0.0
        self.neighbors = sum((extent - 1) / extent for extent in kernel) / max(spatial, 1)
        parts = [_axis(axis) for axis in self.axes]
        self.mean = prod(float(held.mean()) for held, _ in parts)
        self.single = prod(float((held / divisors).mean()) for held, divisors in parts)
        self.double = prod(float((held**2).mean()) for held, _ in parts)
        self.cover = [held**2 for held, _ in parts]
        self.twice = _twice(kernel, stride, tops)
        if not (self.places and self.count and self.held):
            raise NotKnown("it has no values")


def _axis(axis: Axis) -> tuple[Reals, Reals]:
    """Return the part of each window that lies within the bottom, and its extent cut to the padded bottom."""
    starts = np.arange(axis.windows) * axis.stride - axis.pad
    ends = starts + axis.kernel
    divisors = np.maximum(np.minimum(ends, axis.extent + axis.pad) - starts, 1)
    held = np.maximum(np.minimum(ends, axis.extent) - np.maximum(starts, 0), 0) / divisors
    if not held.all():
        raise NotKnown("a window lies beyond its bottom")
    return held, divisors


_FARTHEST = 4


def _twice(kernel: tuple[int, ...], stride: tuple[int, ...], tops: tuple[int, ...]) -> float:
    """Return how many other windows have the same largest place as one, each place being equally likely."""
    whole = prod(kernel)
    common, there = np.ones(()), np.ones(())
    for extent, step, number in zip(kernel, stride, tops, strict=True):
        farthest = min((extent - 1) // step, number - 1, _FARTHEST)
        steps = np.abs(np.arange(-farthest, farthest + 1))
        common = np.multiply.outer(common, extent - steps * step)
        # At a border there is no window on the other side.
        there = np.multiply.outer(there, 1 - steps / number)
    return float((there * common / (2 * whole - common)).sum()) - 1


def _known(extents: tuple[int | None, ...] | None) -> tuple[int, ...]:
    known = tuple(extent for extent in extents or () if extent is not None)
    if extents is None or len(known) < len(extents):
        raise NotKnown("its windows are not known")
    return known


def _average(windows: _Windows, layer: Layer) -> Passed:
    bottom, held = layer.bottom, windows.held
    # Of a window over all places two are as far apart as any.
    share = held / windows.places
    near = float((1 - share) * bottom.products[NEAR] + share * bottom.products[APART])
    square = windows.single * bottom.mean_square + (windows.double - windows.single) * near
    products = windows.double * bottom.products
    products[CROSS] -= (1 - 1 / held) * share * float(products[CROSS] - products[OTHER])
    overlap = windows.shared * max(square - products[NEAR], 0.0)
    products[NEAR] += overlap
    products[APART] += overlap * min(2 / max(windows.count - 1, 1), 1.0)
    mean = windows.mean * bottom.mean
    moments = Moments(mean, max(square, mean * mean), products)
    profile = scaled(averaged(windows.axes, bottom.profile), windows.cover)
    top = average_of(bottom, moments, held)
    wobble = min(bottom.wobble * (bottom.variance / top.variance) ** 2, 1.0) if top.variance else 0.0
    top = top.but(profile=profile, drift=bottom.drift, wobble=wobble, ties=bottom.tied, empty=bottom.empty)

    def back(tops: Gradients) -> Back:
        gradient, cover = tops[0], windows.count * held / windows.places
        # A place has a part of the gradient of each window over it, and has it in common with their other places.
        each = windows.single / held
        several = max(cover - 1, 0.0) * float(gradient.products[NEAR])
        square = each * cover * (gradient.mean_square + several)
        common = each * cover * cover * gradient.products
        # Places of one window have its gradient in common.
        same = (held - 1) / max(windows.places - 1, 1)
        common[OTHER] += max(float(common[CROSS] - common[OTHER]), 0.0) * same
        own = max(square - float(common[NEAR]), 0.0)
        common[NEAR] += own * windows.neighbors
        common[APART] += own * same
        spread = averaged(windows.axes, gradient.profile, back=True)
        return Back((Gradient(square, common, None, spread, _pull(gradient, windows, top, bottom)),))

    return Passed((top,), back)


def _pull(gradient: Gradient, windows: _Windows, top: Activation, bottom: Activation) -> float:
    """Return the pull before a pooling, through which the sum of gradient times value stays the same."""
    after = windows.count * top.mean_square
    return gradient.pull * after / (windows.places * bottom.mean_square) if bottom.mean_square else 0.0


def average_of(bottom: Activation, moments: Moments, number: float) -> Activation:
    """Return the distribution of averages: of the shape of the bottom for few, normal for many."""
    plain = bottom.plain()
    zeros = bottom.zeros
    if zeros == 0 or number > 64:
        return normal(moments)
    # Zeros stay where all of a window are 0: one after the other, as each goes together with its neighbor.
    correlation = float(np.clip(plain.correlations[NEAR], 0, 1))
    points, _ = largest(max(round(number), 1), round(correlation, 3))
    return shaped(np.interp(points, NODES, plain.points), moments)


def _maximum(windows: _Windows, layer: Layer) -> Passed:
    bottom = layer.bottom.plain()
    number = max(round(windows.held), 1)
    correlation = round(float(np.clip(bottom.correlations[NEAR], 0, 1)), 3)
    places, variance = largest(number, correlation)
    points: Reals = np.interp(places, NODES, bottom.points)
    own = np.maximum(bottom.correlations, 0)
    own[NEAR] += windows.shared * max(variance - own[NEAR], 0.0)
    profile = averaged(windows.axes, bottom.profile)
    correlations, wobble = np.clip(own / variance, -1, 1), min(bottom.wobble / variance**2, 1.0)
    top = Activation(points, correlations, profile=profile, drift=bottom.drift, wobble=wobble, ties=bottom.ties)
    top = top.but(empty=layer.bottom.empty)
    amplitude = winners(number, correlation)
    is_whole = bottom is layer.bottom

    def back(tops: Gradients) -> Back:
        gradient, share = tops[0], windows.count / windows.places
        several = windows.twice * float(gradient.products[NEAR])
        products = gradient.products * share * share
        before = amplitude
        if gradient.amplitude is not None:
            # The amplitude of the top is by rank among the largest; that of the bottom by its own.
            before = amplitude * np.interp(NODES, places, gradient.amplitude)
            before = before / max(float(np.sqrt(WEIGHTS @ (before * before))), 1e-12)
        square = share * max(gradient.mean_square + several, 0.0)
        spread = averaged(windows.axes, gradient.profile, back=True)
        pull = _pull(gradient, windows, top, bottom)
        return Back((Gradient(square, products, before if is_whole else None, spread, pull),))

    return Passed((top,), back)
