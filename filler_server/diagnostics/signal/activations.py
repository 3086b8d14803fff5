"""Operations that work value by value, and Softmax."""

from collections.abc import Callable
from dataclasses import replace
from math import isfinite, log, sqrt
from typing import Any, TypeAlias

import numpy as np

from filler_server.diagnostics.signal.gradients import Gradient, own_square
from filler_server.diagnostics.signal.moments import APART, NEAR, UNITS, Moments
from filler_server.diagnostics.signal.normal import NODES, WEIGHTS, Reals, mean_of, normal_cdf, ranks
from filler_server.diagnostics.signal.probabilities import probabilities, softmax, softmax_of
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size, summed_axes
from filler_server.diagnostics.signal.values import Activation, shaped
from filler_server.net.operations import activations

_Function: TypeAlias = Callable[[Any, Reals], tuple[Reals, Reals]]


def by_value(
    layer: Layer,
    function: Callable[[Reals], tuple[Reals, Reals]],
    filled: float | None = None,
    together: int | None = None,
) -> Passed:
    """Return a layer that computes a function of each element.

    Args:
        layer: the layer.
        function: returns the values and the derivatives at some points.
        filled: as of `Activation`.
        together: as of `Activation`.
    """
    bottom = _undropped(layer.bottom)
    points, slopes = function(bottom.points)
    along, square = mean_of(points * slopes * bottom.points), mean_of(points * points)
    if not isfinite(square) and not np.isfinite(points).all():
        raise NotKnown("it is not defined for all values that its bottom can have")
    is_whole = bottom is layer.bottom
    drift = bottom.drift * (along / square) ** 2 if square else 0.0
    top = Activation(
        points,
        bottom.correlations,
        bottom.kept,
        bottom.spread,
        bottom.profile,
        drift,
        bottom.wobble,
        None,
        bottom.ties,
        filled,
        together,
    )

    def back(tops: Gradients) -> Back:
        pull = tops[0].pull * along / bottom.mean_square if bottom.mean_square else 0.0
        return Back((tops[0].through(slopes, bottom, pull, whole=is_whole),))

    return Passed((top,), back)


def _undropped(bottom: Activation) -> Activation:
    return bottom if bottom.kept == 1 else bottom.plain()


def _values(*kinds: type[Any]) -> Callable[[_Function], _Function]:
    """Return a decorator that makes a rule of values and derivatives at the points of the bottom."""

    def add(function: _Function) -> _Function:
        rule(*kinds)(lambda operation, layer: by_value(layer, lambda points: function(operation, points)))
        return function

    return add


def _rectified(points: Reals, left: float, right: float, above: Reals | None = None) -> tuple[Reals, Reals]:
    """Return the values left and right of 0, and the root mean squares of the slopes over what each node stands for.

    Args:
        points: those before.
        left: the slope left of 0.
        right: that right of 0.
        above: for each node how much of what it stands for is above 0, if that is known already.
    """
    above = _above(points) if above is None else above
    if left == 0 and right == 1:
        return np.maximum(points, 0.0), np.sqrt(above)
    return points * np.where(points > 0, right, left), np.sqrt(above * right**2 + (1 - above) * left**2)


def _above(points: Reals) -> Reals:
    """Return, for each node, how much of what it stands for is above 0."""
    above = np.heaviside(points, 0.0)
    first = len(points) - int(np.count_nonzero(above))
    if 0 < first < len(points) and points[first - 1] < 0 < points[first]:
        low, high = float(points[first - 1]), float(points[first])
        zero = (float(NODES[first - 1]) * high - float(NODES[first]) * low) / (high - low)
        # Where each of the two nodes ends the other begins, and the 0 is in one of them.
        cut = first if zero > _EDGES[first - 1] else first - 1
        above[cut] = (_ENDS[cut + 1] - zero) / (_ENDS[cut + 1] - _ENDS[cut])
    return above


def _sigmoid(points: Reals) -> Reals:
    return 1 / (1 + np.exp(-points))


@_values(activations.AbsVal)
def absolute_value(operation: activations.AbsVal, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of AbsVal."""
    return np.abs(points), np.sign(points)


@_values(activations.BNLL)
def bnll(operation: activations.BNLL, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of BNLL."""
    return np.logaddexp(0, points), _sigmoid(points)


@_values(activations.Clip)
def clip(operation: activations.Clip, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Clip."""
    inside = (points >= operation.lower) & (points <= operation.upper)
    return np.clip(points, operation.lower, operation.upper), inside.astype(float)


@rule(activations.Dropout)
def dropout(operation: activations.Dropout, layer: Layer) -> Passed:
    """Lead through Dropout: squares grow by 1 / (1 - ratio), products of two elements stay."""
    if not operation.random:
        return Passed((layer.bottom,), lambda tops: Back(tops))
    kept = 1 - operation.ratio
    if not kept > 0:
        raise NotKnown("it drops everything")
    bottom = layer.bottom
    if not operation.whole_channels:
        top = replace(bottom, kept=bottom.kept * kept, saturated=None, together=None)
        return Passed((top,), lambda tops: Back((tops[0].scaled_square(1 / kept),)))
    products = bottom.products.copy()
    products[[NEAR, APART]] /= kept
    dropped = replace(bottom, kept=bottom.kept * kept).plain()
    top = shaped(dropped.points, Moments(bottom.mean, bottom.mean_square / kept, products))

    def back(tops: Gradients) -> Back:
        pairs = tops[0].products.copy()
        pairs[[NEAR, APART]] /= kept
        return Back((Gradient(tops[0].mean_square / kept, pairs, pull=tops[0].pull / kept),))

    return Passed((top,), back)


@_values(activations.ELU)
def elu(operation: activations.ELU, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of ELU."""
    left = operation.alpha * np.expm1(np.minimum(points, 0))
    return np.where(points > 0, points, left), np.where(points > 0, 1.0, left + operation.alpha)


@_values(activations.Exp)
def exp(operation: activations.Exp, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Exp."""
    rate = log(operation.base) if operation.base > 0 else float("nan")
    made = np.exp(rate * (operation.shift + operation.scale * points))
    return made, made * rate * operation.scale


@rule(activations.Insanity)
def insanity(operation: activations.Insanity, layer: Layer) -> Passed:
    """Lead through Insanity, but for random slopes."""
    if operation.random:
        raise NotKnown("it draws its slopes at random")
    divisor = (operation.upper - operation.lower) / (log(abs(operation.upper)) - log(abs(operation.lower)))
    return by_value(layer, lambda points: _rectified(points, 1 / divisor, 1.0))


@_values(activations.Log)
def log_(operation: activations.Log, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Log."""
    rate = log(operation.base) if operation.base > 0 else float("nan")
    inner = operation.shift + operation.scale * points
    return np.log(inner) / rate, operation.scale / (inner * rate)


@_values(activations.NegReLU)
def neg_relu(operation: activations.NegReLU, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of NegReLU."""
    return _rectified(points, 1.0, operation.negative_slope)


@rule(activations.Noise)
def noise(operation: activations.Noise, layer: Layer) -> Passed:
    """Lead through Noise where it adds none."""
    if operation.random:
        raise NotKnown("it adds noise")
    return Passed((layer.bottom,), lambda tops: Back(tops))


@_values(activations.Power)
def power(operation: activations.Power, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Power."""
    inner = operation.shift + operation.scale * points
    if operation.power in (0.0, 1.0):
        slope = operation.scale * operation.power
        return inner if operation.power else np.ones_like(points), np.full_like(points, slope)
    if operation.power < 0 and inner[0] * inner[-1] < 0:
        # Near 0 it is so large that there is no mean square.
        return np.full_like(points, np.nan), points
    return inner**operation.power, operation.power * operation.scale * inner ** (operation.power - 1)


@rule(activations.PReLU)
def prelu(operation: activations.PReLU, layer: Layer) -> Passed:
    """Lead through PReLU, of one slope for all channels at the start."""
    slope = layer.blob(0)
    if slope.variance:
        raise NotKnown("its slopes differ from channel to channel")
    passed = _rectifier(layer, slope.mean)
    left = _undropped(layer.bottom)
    left = left.with_points(np.minimum(left.points, 0))

    def back(tops: Gradients) -> Back:
        return Back(passed.back(tops).bottoms, (_slope_square(operation, layer, left, tops[0]),))

    return Passed(passed.tops, back)


def _slope_square(operation: activations.PReLU, layer: Layer, left: Activation, gradient: Gradient) -> float | None:
    shared = operation.channel_shared
    try:
        return own_square(left, gradient, *summed_axes(layer, 1, 1 if shared else 2))
    except NotKnown:
        return None


@rule(activations.ReLU)
def relu(operation: activations.ReLU, layer: Layer) -> Passed:
    """Lead through ReLU, with the share of dead channels."""
    return _rectifier(layer, operation.negative_slope)


def _rectifier(layer: Layer, slope: float) -> Passed:
    """Return the way through for a slope left of 0; if that is 0, with the share of zeros and the size of channels."""
    above = _above(_undropped(layer.bottom).points)
    filled = together = None
    if slope == 0:
        dims, filled = layer.shape(), mean_of(above)
        together = size(dims[:1]) * size(dims[2:]) if dims and None not in (dims[0], *dims[2:]) else None
    passed = by_value(layer, lambda points: _rectified(points, slope, 1.0, above), filled, together)
    return _with_empty(passed) if layer.bottom.empty else passed


def _with_empty(passed: Passed) -> Passed:
    """Return a layer of whose top the places that have no mean square are 0."""
    (top,) = passed.tops
    assert isinstance(top, Activation)  # noqa: S101 - for the type checker
    return Passed((top.but(empty=True),), passed.back)


@_values(activations.ReLU6)
def relu6(operation: activations.ReLU6, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of ReLU6."""
    made, slopes = _rectified(points, operation.negative_slope, 1.0)
    return np.minimum(made, 6), np.where(made < 6, slopes, 0.0)


@rule(activations.Sigmoid)
def sigmoid(operation: activations.Sigmoid, layer: Layer) -> Passed:
    """Lead through Sigmoid, with the saturated share."""

    def function(points: Reals) -> tuple[Reals, Reals]:
        made = _sigmoid(points)
        return made, _spread_slopes(points, made * (1 - made), lambda x: _sigmoid(x) ** 2 * (3 - 2 * _sigmoid(x)) / 6)

    return _with_saturated(by_value(layer, function), lambda points: (points < 0.01) | (points > 0.99))


def _spread_slopes(points: Reals, slopes: Reals, integral: Callable[[Reals], Reals]) -> Reals:
    """Return the slopes of a steep function, for points far apart the root mean square over what each stands for.

    Args:
        points: the points.
        slopes: the slopes at these.
        integral: of the square of the slope.
    """
    edges = np.concatenate([points[:1], np.interp(_EDGES, NODES, points), points[-1:]])
    if not np.isfinite(edges).all():
        return slopes
    widths = np.diff(edges)
    if np.max(np.abs(widths)) < _FAR_APART:
        return slopes
    has_width = widths != 0
    squares = np.diff(integral(edges)) / np.where(has_width, widths, 1.0)
    return np.where(has_width, np.sqrt(np.maximum(squares, 0.0)), slopes)


_FAR_APART = 2.0
"""Distance of points beyond which a slope of a sigmoid may lie between two of them."""

_PLACES = np.linspace(-8, 8, 3201)
_EDGES = np.interp(np.cumsum(WEIGHTS)[:-1], normal_cdf(_PLACES), _PLACES)
"""The bounds between what one node stands for and the next."""
_ENDS = [float(NODES[0]), *_EDGES.tolist(), float(NODES[-1])]


def _with_saturated(passed: Passed, at_bounds: Callable[[Reals], Any]) -> Passed:
    """Return a layer with the share of elements of its top that are at the bounds."""
    (top,) = passed.tops
    assert isinstance(top, Activation)  # noqa: S101 - for the type checker
    rising = top.points
    fine = np.interp(_FINE, ranks(), rising)
    return Passed((top.but(saturated=float(np.mean(at_bounds(fine)))),), passed.back)


_WIDEST_SCORES = 10.0
"""Standard deviation of scores up to which the gradient through a Softmax is known well."""

_FINE = (np.arange(2000) + 0.5) / 2000


@_values(activations.SignedPower)
def signed_power(operation: activations.SignedPower, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of SignedPower."""
    inner = operation.shift + operation.scale * points
    if operation.power < 0:
        return np.full_like(points, np.nan), points
    made = np.sign(inner) * np.abs(inner) ** operation.power
    return made, operation.power * operation.scale * np.abs(inner) ** (operation.power - 1)


@_values(activations.SignedSqrt)
def signed_sqrt(operation: activations.SignedSqrt, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of SignedSqrt."""
    return np.sign(points) * np.sqrt(np.abs(points)), 0.5 / np.sqrt(np.abs(points))


@rule(activations.Softmax)
def softmax_(operation: activations.Softmax, layer: Layer) -> Passed:
    """Lead through Softmax of independent numbers."""
    dims = layer.shape()
    number = size(dims[operation.axis : operation.axis + 1], "classes")
    bottom = layer.bottom
    kind = UNITS if operation.axis <= 1 else APART
    common = float(bottom.products[kind])
    variance = max(bottom.mean_square - common, 0.0)
    plain = bottom.plain()
    is_normal = not plain.variance or np.allclose(plain.points, plain.mean + sqrt(plain.variance) * NODES)
    if is_normal:
        square = softmax(variance, number).square
    else:
        square = softmax_of((plain.points - plain.mean) / sqrt(plain.variance), variance, number).square
    points = probabilities(square, number)
    top = Activation(points, bottom.correlations)

    def back(tops: Gradients) -> Back:
        if variance > _WIDEST_SCORES**2:
            raise NotKnown("its scores are so far apart that nearly all gradients are 0")
        own, others = points * points, (1 - points) ** 2
        # Of the sum of the squares of the others a part goes with the square of what is left for them.
        rest = (square - mean_of(own)) / max(mean_of(others), 1e-30)
        gain = mean_of(own * others) * (1 + min(rest, 1.0))
        products = tops[0].products * gain
        # Over all classes the gradient adds up to 0.
        products[kind] = -tops[0].mean_square * gain / max(number - 1, 1)
        return Back((Gradient(tops[0].mean_square * gain, products),))

    return Passed((top,), back)


@_values(activations.Swish)
def swish(operation: activations.Swish, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Swish."""
    gate = _sigmoid(operation.beta * points)
    return points * gate, gate + operation.beta * points * gate * (1 - gate)


@rule(activations.TanH)
def tanh(operation: activations.TanH, layer: Layer) -> Passed:
    """Lead through TanH, with the saturated share."""

    def function(points: Reals) -> tuple[Reals, Reals]:
        made = np.tanh(points)
        return made, _spread_slopes(points, 1 - made * made, lambda x: np.tanh(x) * (3 - np.tanh(x) ** 2) / 3)

    return _with_saturated(by_value(layer, function), lambda points: np.abs(points) > 0.99)


@_values(activations.Threshold)
def threshold(operation: activations.Threshold, points: Reals) -> tuple[Reals, Reals]:
    """Return values and slopes of Threshold."""
    return (points > operation.threshold).astype(float), np.zeros_like(points)
