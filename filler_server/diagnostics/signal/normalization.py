"""Normalizations, and Scale and Bias, which often follow them."""

from dataclasses import replace
from math import prod, sqrt
from statistics import NormalDist

import numpy as np

from filler_server.diagnostics.signal.activations import by_value
from filler_server.diagnostics.signal.combination import product
from filler_server.diagnostics.signal.gradients import NOTHING, Gradient, scale_square
from filler_server.diagnostics.signal.layout import Terms
from filler_server.diagnostics.signal.moments import (
    APART,
    CROSS,
    KINDS,
    NEAR,
    ONES,
    OTHER,
    UNITS,
    Moments,
    Weights,
    parameter_square,
    shifted,
    weighted_sum,
)
from filler_server.diagnostics.signal.normal import WEIGHTS, Reals, clipped, mean_of, quantiles
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size, summed_axes
from filler_server.diagnostics.signal.values import Activation, constant, dead_shares, shaped
from filler_server.diagnostics.signal.windows import flattened
from filler_server.net.operations import normalization


def _common(moments: Moments, rows: int, places: int) -> float:
    """Return the mean square of the mean over batch and places."""
    number = rows * places
    _, apart, cross, other, _ = moments.products.tolist()
    batch = (rows - 1) * (cross + (places - 1) * other)
    return float(moments.mean_square + (places - 1) * apart + batch) / number


@rule(normalization.BatchNorm)
def batch_norm(operation: normalization.BatchNorm, layer: Layer) -> Passed:
    """Lead through BatchNorm, by the batch or by what is stored."""
    if operation.scale_bias:
        raise NotKnown("its scale and bias are those of a fork")
    if operation.use_global_stats:
        return _by_stored(operation, layer)
    return _by_batch(layer, operation.eps, (None,) * len(layer.weights))


def _by_stored(operation: normalization.BatchNorm, layer: Layer) -> Passed:
    """Return the way through with stored statistics; without a filler they are 0, which divides by sqrt(eps)."""
    stored = [layer.blob(index) for index in range(3)]
    if any(weights.mean or weights.variance for weights in stored):
        raise NotKnown("its stored statistics are not those at the start")
    scale = 1 / sqrt(operation.eps)
    passed = by_value(layer, lambda points: (points * scale, np.full_like(points, scale)))
    return Passed(passed.tops, lambda tops: Back(passed.back(tops).bottoms, (None,) * len(layer.weights)))


def _by_batch(layer: Layer, eps: float, blobs: tuple[float | None, ...]) -> Passed:
    dims = layer.shape()
    rows, places = size(dims[:1], "samples"), size(dims[2:], "places")
    bottom = layer.bottom.plain()
    common = _common(bottom.moments, rows, places)
    within = max(bottom.mean_square - common, 0.0)
    if within <= 1e-13 * bottom.mean_square:
        within = 0.0
    scale = 1 / sqrt(within + eps)
    # By channel the mean is 0 in each batch; between samples what remains is one part of all.
    rest = bottom.products - common
    points = (
        (bottom.points - bottom.mean) * _narrowed(bottom, within) * scale if within else np.zeros_like(bottom.points)
    )
    correlations = clipped(rest / within) if within else np.zeros(KINDS)
    correlations[UNITS] = 0.0
    # Where the bottom is larger, so is its part in the mean that is subtracted.
    slope = max(within - common, 0.0) / (within or 1.0)
    top = Activation(points, correlations, profile=flattened(bottom.profile, slope), ties=bottom.ties)
    (dead,) = dead_shares([layer.bottom]) if within and layer.bottom.together is not None else (None,)
    if dead is not None and dead > _SOME:
        top = _without(top, dead)
    # Variances of channels differ, by their weights and by what these are for; so do those of batches. The mean of
    # 1 / variance is larger than 1 / mean. Of what the weights are for half counts: of several taps about half go
    # together, and of one the weights take back as much.
    share = within / (within + eps)
    excess = share * bottom.spread
    wider = 1 + excess + share * (max(bottom.ties - bottom.spread / 2, 0.0) + 2 / max(rows * places, 2))

    def back(tops: Gradients) -> Back:
        if dead is not None and dead > _SOME:
            raise NotKnown("where a channel is 0 in a whole batch, gradients are divided by sqrt(eps)")
        gradient = tops[0].moments
        along = (scale_square(top, tops[0], Weights(1.0, 0.0), rows, places) or 0.0) / (rows * places) ** 2
        level = _common(gradient, rows, places)
        square = max(gradient.mean_square - level - along * top.mean_square, 0.0)
        pairs = gradient.products - level - along * top.products
        pairs[UNITS] = gradient.products[UNITS]
        gain = wider * scale * scale
        return Back((Gradient(square * gain, pairs * gain, profile=tops[0].profile, excess=excess),), blobs)

    return Passed((top,), back)


_SOME = 1e-3
"""Share of channels that are 0 in a whole batch, up to which they do not count: a layer has none of them."""


def _without(of: Activation, share: float) -> Activation:
    """Return the distribution where a share of the channels is 0."""
    left = 1 - share
    points = quantiles(np.append(of.points, 0.0), np.append(WEIGHTS * left, share))
    made = shaped(points, Moments(of.mean * left, of.mean_square * left, of.products * left))
    return made.but(profile=of.profile, ties=of.ties)


def _narrowed(bottom: Activation, within: float) -> float:
    """Return what brings deviations from the mean of all to the size of those from the means of channels."""
    return sqrt(within / bottom.variance) if bottom.variance > 0 else 0.0


@rule(normalization.BN)
def bn(operation: normalization.BN, layer: Layer) -> Passed:
    """Refuse BN."""
    if operation.statistics == "batch":
        raise NotKnown("its scale and bias are those of a fork")
    raise NotKnown("its stored statistics are not known")


@rule(normalization.LRN)
def lrn(operation: normalization.LRN, layer: Layer) -> Passed:
    """Lead through LRN, with the mean square in place of the sum over neighbors."""
    bottom = layer.bottom
    across = operation.region == "across_channels"
    dims = layer.shape()
    number = operation.local_size if across else operation.local_size**2
    rate, first = operation.alpha / number, operation.k if across else 1.0
    # What lies beyond the border counts as 0.
    inside = prod(_covered(operation.local_size, extent) for extent in (dims[1:2] if across else dims[2:]))

    others = _sums(bottom, max(inside - 1, 0.0))

    def function(points: Reals) -> tuple[Reals, Reals]:
        levels = first + rate * (points[:, None] ** 2 + others)
        made = levels**-operation.beta
        slopes = made - 2 * operation.beta * rate * points[:, None] ** 2 * made / levels
        return points * np.sqrt((made**2).mean(1)), np.sqrt((slopes**2).mean(1))

    return by_value(layer, function)


def _sums(bottom: Activation, number: float) -> Reals:
    """Return the sums of squares of some elements, by their quantiles: those of a gamma distribution.

    Source: Wilson and Hilferty (1931).
    """
    square = bottom.mean_square
    if not (number and square):
        return np.zeros(1)
    spread = max(mean_of(bottom.points**4) / bottom.kept**3 / square**2 - 1, 0.0) / number
    return number * square * np.maximum(1 - spread / 9 + sqrt(spread) / 3 * _QUANTILES, 0) ** 3


_QUANTILES = np.array([NormalDist().inv_cdf((place + 0.5) / 15) for place in range(15)])


def _covered(number: int, extent: int | None) -> float:
    """Return how many of a window's places lie within an axis, on average; all where its extent is not known."""
    if not extent:
        return number
    half = (number - 1) // 2
    inside = (min(place + half + 1, extent) - max(place - half, 0) for place in range(extent))
    return sum(inside) / extent


@rule(normalization.MVN)
def mvn(operation: normalization.MVN, layer: Layer) -> Passed:
    """Lead through MVN."""
    dims = layer.shape()
    channels, places = size(dims[1:2], "channels"), size(dims[2:], "places")
    bottom = layer.bottom.plain()

    def common(of: Moments) -> float:
        """Return the mean square of the mean that is subtracted."""
        image = (of.mean_square + (places - 1) * float(of.products[APART])) / places
        return (
            image if not operation.across_channels else (image + (channels - 1) * float(of.products[UNITS])) / channels
        )

    lost = common(bottom.moments)
    within = max(bottom.mean_square - lost, 0.0)
    normalizes = operation.normalize_variance
    scale = 1 / (sqrt(within) + operation.eps) if normalizes else 1.0
    products = bottom.products - lost
    # Of two samples, or channels, the means that are subtracted go together as their elements do.
    samples = [CROSS, OTHER]
    products[samples] = 0.0 if not operation.across_channels else bottom.products[samples] - bottom.mean**2
    products[UNITS] = 0.0
    correlations = clipped(products / within) if within > 1e-13 * bottom.mean_square else np.zeros(KINDS)
    narrow = _narrowed(bottom, within) * scale
    top = Activation((bottom.points - bottom.mean) * narrow, correlations, profile=bottom.profile, ties=bottom.ties)

    def back(tops: Gradients) -> Back:
        gradient = tops[0].moments
        along = Moments(0.0, gradient.mean_square * top.mean_square, gradient.products * top.products)
        gone = max(common(gradient), 0.0) + (common(along) * top.mean_square if normalizes else 0.0)
        gain = scale * scale * (_wider(places * (channels if operation.across_channels else 1)) if normalizes else 1.0)
        square = max(gradient.mean_square - gone, 0.0) * gain
        products = gradient.products.copy()
        products[[NEAR, APART]] -= gone
        pull = 0.0 if normalizes else tops[0].pull
        return Back((Gradient(square, products * gain, None, tops[0].profile, pull),))

    return Passed((top,), back)


def _wider(number: int) -> float:
    """Return the mean of 1 / variance of some independent normal numbers, relative to 1 / mean.

    Raises:
        NotKnown: there is none.
    """
    if number == _NONE_FROM:
        raise NotKnown("it divides by the variance of three values, which are nearly alike in some sample")
    return (number - 1) / (number - _NONE_FROM) if number > _NONE_FROM else 1.0


_NONE_FROM = 3
"""Values of which 1 / variance has no mean; of fewer, what is normalized has no gradient."""


@rule(normalization.Normalize)
def normalize(operation: normalization.Normalize, layer: Layer) -> Passed:
    """Lead through Normalize, with the mean square in place of the norm."""
    dims = layer.shape()
    number = size(dims[1:] if operation.across_spatial else dims[1:2], "values")
    weights = layer.blob(0)
    if weights.variance:
        raise NotKnown("its scales differ")
    scale = weights.mean / sqrt(number * layer.bottom.mean_square + operation.eps)
    kept = 1 - 1 / max(number, 1)

    def function(points: Reals) -> tuple[Reals, Reals]:
        return points * scale, np.full_like(points, scale * sqrt(kept))

    passed = by_value(layer, function)

    def back(tops: Gradients) -> Back:
        return Back(passed.back((_without_norm(tops[0], layer.bottom),)).bottoms, (None,))

    return Passed(passed.tops, back)


def _without_norm(gradient: Gradient, of: Activation) -> Gradient:
    """Return the gradient without what it pulls of a value whose norm is the same for all multiples of a sample."""
    # Of a twin there is what it has not in common with the value: of x - y with the correlation c, y - c x.
    common = float(of.products[CROSS]) / of.mean_square if gradient.twin and of.mean_square else -1.0
    return replace(gradient, pull=gradient.pull * sqrt(max(1 + common, 0.0) / 2))


@rule(normalization.NormalizeChannels)
def normalize_channels(operation: normalization.NormalizeChannels, layer: Layer) -> Passed:
    """Lead through NormalizeChannels, with the mean norm in place of the norm, which a second top holds."""
    number = size(layer.shape()[1:2], "channels")
    bottom = layer.bottom.plain()
    by_size = number * mean_of(np.abs(bottom.points))
    norm = (by_size if operation.norm == "l1" else sqrt(number * bottom.mean_square)) + 1e-6
    passed = by_value(layer, lambda points: (points / norm, np.full_like(points, sqrt(1 - 1 / max(number, 1)) / norm)))
    tops = (*passed.tops, constant(norm))[: len(layer.plan.tops)]

    def back(gradients: Gradients) -> Back:
        if len(gradients) > 1 and gradients[1] is not NOTHING:
            raise NotKnown("a gradient comes to its norm")
        return passed.back((_without_norm(gradients[0], layer.bottom),))

    return Passed(tops, back)


@rule(normalization.Bias)
def bias(operation: normalization.Bias, layer: Layer) -> Passed:
    """Lead through Bias."""
    if operation.from_bottom:
        raise NotKnown("its bias is computed")
    weights, bottom = layer.blob(0), layer.bottom
    top = (
        _moved(bottom, 1.0, weights.mean)
        if not weights.variance
        else _reshaped(bottom, shifted(bottom.moments, weights))
    )

    def back(tops: Gradients) -> Back:
        return Back((_kept(tops[0], weights.variance),), (_sum_square(_terms(operation, layer), layer, tops[0]),))

    return Passed((top,), back)


def _kept(gradient: Gradient, variance: float) -> Gradient:
    """Return the gradient, without what it tells of elements that are no longer those of the top."""
    return gradient.alike() if variance else gradient


@rule(normalization.Scale)
def scale_(operation: normalization.Scale, layer: Layer) -> Passed:
    """Lead through Scale."""
    if operation.from_bottom:
        if operation.bias:
            raise NotKnown("its scale is computed")
        return product(layer)
    scale, bottom = layer.blob(0), layer.bottom
    shift = layer.blob(1) if operation.bias else None
    is_plain = not scale.variance and (shift is None or not shift.variance)
    if is_plain:
        top = _moved(bottom, scale.mean, 0.0 if shift is None else shift.mean)
    else:
        moments = weighted_sum(scale, 1, 1, bottom.moments)
        moments.products[UNITS] = scale.mean**2 * bottom.products[UNITS]
        top = _reshaped(bottom, moments if shift is None else shifted(moments, shift))

    def back(tops: Gradients) -> Back:
        gradient = tops[0] if is_plain else tops[0].alike()
        elements = _terms(operation, layer)
        square = None if elements is None else scale_square(bottom, gradient, scale, *elements)
        blobs = (square, _sum_square(elements, layer, gradient)) if operation.bias else (square,)
        return Back((gradient.scaled(scale.mean_square),), blobs)

    return Passed((top,), back)


def _moved(bottom: Activation, scale: float, shift: float) -> Activation:
    if scale == 1 and shift == 0:
        return bottom
    if shift and bottom.kept != 1:
        bottom = bottom.plain()
    return bottom.with_points(bottom.points * scale + shift)


def _reshaped(bottom: Activation, moments: Moments) -> Activation:
    """Return the distribution with other moments, of about the same shape."""
    plain = bottom.plain()
    variance = max(moments.mean_square - moments.mean**2, 0.0)
    wider = sqrt(variance / plain.variance) if plain.variance else 0.0
    points = (plain.points - plain.mean) * wider + moments.mean
    correlations = np.clip((moments.products - moments.mean**2) / (variance or 1.0), -1, 1)
    return Activation(points, correlations, profile=plain.profile, drift=plain.drift, ties=plain.ties)


def _terms(operation: normalization.Scale | normalization.Bias, layer: Layer) -> Terms | None:
    """Return the elements that each number of a blob counts for; None where their number is not known."""
    if operation.axis is None or operation.num_axes is None:
        return None
    try:
        return summed_axes(layer, operation.axis, operation.axis + operation.num_axes)
    except NotKnown:
        return None


def _sum_square(elements: Terms | None, layer: Layer, gradient: Gradient) -> float | None:
    if elements is None:
        return None
    # What goes along with values that have a mean has one, too.
    moments = Moments(gradient.pull * layer.bottom.mean, gradient.mean_square, gradient.products)
    return parameter_square(ONES, moments, *elements)
