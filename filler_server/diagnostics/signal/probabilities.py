"""Softmax of independent normal numbers: integrals over t of Laplace transforms, E[exp(-t exp(x))].

With S the sum of n terms exp(x), E[sum of p^2] is the integral of t n E[exp(2x - t exp(x))] L^(n - 1) dt, where L is
E[exp(-t exp(x))]; E[log S] is that of (exp(-t) - L^n) / t.
"""

from collections.abc import Callable
from functools import lru_cache
from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np

from filler_server.diagnostics.signal.normal import NODES, WEIGHTS, Reals, mean_of

_WIDEST = 30.0
_STEEPEST = 40.0
_EXACT = 1e-13


class Softmax(NamedTuple):
    """A softmax.

    Attributes:
        square: the mean of the sum of the squares of the probabilities.
        log_sum: the mean of the logarithm of the sum of exponentials.
    """

    square: float
    log_sum: float


def softmax(variance: float, number: int) -> Softmax:
    """Return figures of the softmax of some independent normal numbers.

    Args:
        variance: of the numbers; their mean is 0.
        number: how many there are.
    """
    return _softmax(float(f"{max(variance, 0.0):.6g}"), number)


@lru_cache(maxsize=256)
def _softmax(variance: float, number: int) -> Softmax:
    return softmax_of(NODES, variance, number)


def softmax_of(shape: Reals, variance: float, number: int) -> Softmax:
    """Return figures of the softmax of some independent numbers of any distribution.

    Args:
        shape: the numbers at the nodes, of mean 0 and variance 1.
        variance: their variance.
        number: how many there are.
    """
    if number == 1:
        return Softmax(1.0, 0.0)
    if variance < 1e-12:
        return Softmax(1 / number, log(number))
    std = sqrt(variance)
    narrow = min(std, _WIDEST)
    lowest, highest = min(float(shape.min()), -8.0), max(float(shape.max()), 8.0)
    places = np.linspace(-highest * narrow - log(number) - 6, -lowest * narrow + 6, 500)
    step = places[1] - places[0]
    exponents = np.minimum(places[:, None] + narrow * shape, 300.0)
    terms = np.exp(exponents)
    with np.errstate(under="ignore", divide="ignore"):
        decays = np.exp(-terms)
        transform = np.minimum(decays @ WEIGHTS, 1.0)
        logs = np.log(np.maximum(transform, 1e-300))
        twice = (np.exp(2 * np.minimum(exponents, 200.0)) * decays) @ WEIGHTS
        square = number * float((twice * np.exp((number - 1) * logs)).sum()) * step
        log_sum = float((np.exp(-np.exp(np.minimum(places, 300.0))) - np.exp(number * logs)).sum()) * step
    # Beyond, the largest number has nearly all, and the rest grows less as 1 / std.
    square = 1 - (1 - square) * narrow / std
    return Softmax(min(max(square, 1 / number), 1.0), log_sum * std / narrow)


@lru_cache(maxsize=256)
def probabilities(square: float, number: int) -> Reals:
    """Return the probabilities of a softmax by the nodes: those of a logistic function of a normal variable.

    Args:
        square: the mean of the sum of their squares.
        number: of classes; their mean is 1 / number.
    """
    if number == 1:
        return np.ones_like(NODES)

    def excess(slope: float) -> float:
        points = _logistic(slope, number)
        return number * mean_of(points * points) - square

    points = _logistic(_root(excess, 0.0, _STEEPEST), number)
    return np.minimum(points * sqrt(square / (number * mean_of(points * points))), 1.0)


def _logistic(slope: float, number: int) -> Reals:
    """Return 1 / (1 + exp(-(shift + slope z))) with the shift of the mean 1 / number."""
    exponents = slope * NODES

    def points(shift: float) -> Reals:
        return 1 / (1 + np.exp(-(shift + exponents)))

    reach = log(number) + 10 + slope * float(NODES[-1])
    # The logarithm of a small mean is nearly a straight line.
    return points(_root(lambda shift: log(number * mean_of(points(shift))), -reach, reach))


def _root(function: Callable[[float], float], below: float, above: float) -> float:
    """Return where a rising function is 0 (Ridders 1979)."""
    low, high = function(below), function(above)
    if low >= 0 or high <= 0:
        return below if low >= 0 else above
    while high > 0 and above - below > _EXACT * (1 + abs(below)):
        middle = (below + above) / 2
        value = function(middle)
        place = middle - (middle - below) * value / sqrt(value * value - low * high)
        for point, found in ((middle, value), (place, function(place))):
            if found < 0 and point > below:
                below, low = point, found
            elif found >= 0 and point < above:
                above, high = point, found
    return above


def shared_square(number: int, variance: float, correlation: float) -> float:
    """Return the mean of the sum over classes of p q, p and q the softmaxes of two samples.

    Averaged over what is not common to both, a softmax is one of the common part, made less steep, as is known of the
    logistic function (MacKay 1992, "The evidence framework applied to classification networks"). The more classes there
    are, the less it is.

    Args:
        number: of classes.
        variance: of the numbers.
        correlation: of those of the two samples.
    """
    less = pi / 4 * (log(2) / log(max(number, 2))) ** 0.75
    return softmax(correlation * variance / (1 + less * (1 - correlation) * variance), number).square
