"""The share that one of n >= 2 independent uniform values of [0, 1] has of their sum, in float64.

u / (u + S) <= x means u <= S x / (1 - x), S being the sum of the n - 1 others, so that with a = (1 - x) / x

    cdf(x) = 1 - E[max(a - S, 0)] / a          density(x) = E[S where S <= a, else 0] / (1 - x)^2

S has the distribution of Irwin and Hall (1927).
"""

from functools import cache, lru_cache
from math import comb, factorial, lgamma, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.shapes import MAX_COUNT
from filler_server.cancellation import checkpoint

_SUMMED = 12
"""Up to so many values their sum's distribution is an alternating sum that loses less than two digits."""

_REACH = 9
"""Standard deviations from the mean beyond which lies less than 1e-18 of it."""

_SMALLEST = 1e-300
"""Shares below this are taken for it, so that nothing overflows."""

_Reals = NDArray[np.float64]


def cdf(n: int, x: _Reals) -> _Reals:
    """Return the probability that the share is at most x; NaN gives 0."""
    others, inside, within = n - 1, (x > 0) & (x < 1), _within(x)
    a = (1 - within) / within
    _, shortfall = _lower_half(others, np.minimum(a, others - a))
    probability = np.where(a <= others / 2, 1 - shortfall / a, (others / 2 - shortfall) / a)
    return np.where(inside, probability, np.where(x >= 1, 1.0, 0.0))


def density(n: int, x: _Reals) -> _Reals:
    """Return the density at x; NaN gives 0."""
    others, inside, within = n - 1, (x > 0) & (x < 1), _within(x)
    a = (1 - within) / within
    below, shortfall = _lower_half(others, np.minimum(a, others - a))
    mean = np.where(a <= others / 2, a * below - shortfall, others / 2 - a * below - shortfall)
    at_ends = np.where(x == 0, others / 2, np.where((x == 1) & (n == 2), 0.5, 0.0))
    return np.where(inside, np.maximum(mean, 0.0) / (1 - within) ** 2, at_ends)


def quantile(n: int, q: _Reals) -> _Reals:
    """Return the x with cdf(x) = q, 0 <= q <= 1: in closed form up to q = 1 / 2, where x = 1 / n, else by search."""
    x = np.asarray(2 * q / (n - 1 + 2 * q))
    upper = (q > 0.5) & (q < 1)
    if upper.any():
        x[upper] = _search(n, q[upper])
    return np.where(q == 1, 1.0, x)


@lru_cache
def std(n: int) -> float:
    """Return the standard deviation, to a relative accuracy of 1e-12; of n = 1 it is 0.

    With T = u + S, 1 / T^2 is the integral of t exp(-t T) over t > 0, so that E[(u / T)^2] is that of
    t g(t) h(t)^(n - 1), with g(t) = E[u^2 exp(-t u)] and h(t) = E[exp(-t u)], by the trapezoidal rule over ln t.
    """
    if n == 1:
        return 0.0
    weights, log_h = _integrand()
    return sqrt(float(np.sum(weights * np.exp((n - 1) * log_h))) - 1 / n**2)


@cache
def _integrand() -> tuple[_Reals, _Reals]:
    """Return t^2 g(t), times the step of the rule, and ln h(t), where either counts for some n up to the largest."""
    log_t, step = np.linspace(np.log(1e-9 / MAX_COUNT), np.log(1e9), 8001, retstep=True)
    t = np.exp(log_t)
    small = np.minimum(t, 1.0)
    series = sum((-small) ** k / (factorial(k) * (k + 3)) for k in range(20))
    g = np.where(t < 1, series, (2 - np.exp(-t) * (t * t + 2 * t + 2)) / t**3)
    log_h = np.where(t < 0.01, -t / 2 + t * t / 24 - t**4 / 2880, np.log(-np.expm1(-t) / t))
    return t * t * g * step, log_h


def _within(x: _Reals) -> _Reals:
    """Return x, with some share in place of what is none."""
    return np.where((x > 0) & (x < 1), np.maximum(x, _SMALLEST), 0.5)


def _search(n: int, q: _Reals) -> _Reals:
    """Find the quantiles of 1 / 2 < q < 1 by Newton's method, and by halving where that leads too far."""
    low, high = np.full(q.shape, 1 / n), np.ones(q.shape)
    x = np.minimum(2 * q / n, 0.5 + 0.5 / n)
    for _ in range(200):
        checkpoint()
        miss, slope = cdf(n, x) - q, density(n, x)
        low, high = np.where(miss < 0, x, low), np.where(miss < 0, high, x)
        newton = x - np.divide(miss, slope, out=np.full(q.shape, np.inf), where=slope > 0)
        following = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
        is_found = bool(np.all(np.abs(following - x) <= 4e-16 * x))
        x = following
        if is_found:
            break
    return x


def _lower_half(m: int, a: _Reals) -> tuple[_Reals, _Reals]:
    """Return P(S <= a) and E[max(a - S, 0)] of the sum S of m >= 1 uniform values, for a <= m / 2.

    The first is accurate to about 1e-15, the second to as many standard deviations of S. The upper half follows by
    symmetry: m - S has the distribution of S.
    """
    return _by_sum(m, a) if m <= _SUMMED else _by_series(m, a)


def _by_sum(m: int, a: _Reals) -> tuple[_Reals, _Reals]:
    """Irwin and Hall's own form: P(S <= a) is the sum over k of (-1)^k C(m, k) max(a - k, 0)^m / m!."""
    below, shortfall = np.zeros(a.shape), np.zeros(a.shape)
    for k in range(m // 2 + 1):
        rest = np.maximum(a - k, 0.0)
        term = (-1) ** k * comb(m, k) / factorial(m) * rest**m
        below += term
        shortfall += term * rest / (m + 1)
    return below, shortfall


def _by_series(m: int, a: _Reals) -> tuple[_Reals, _Reals]:
    """Fourier series of sign(y - Z) and |y - Z|, Z = S - m / 2, on a period so long that they do not wrap around.

    Their coefficients hold the characteristic function of Z, of which few are not 0.
    """
    reach = min(_REACH * sqrt(m / 12), m / 2)
    period = 4 * reach
    inside = a - m / 2 > -reach
    y = np.where(inside, a - m / 2, 0.0)
    below, distance = np.full(a.shape, 0.5), np.full(a.shape, period / 4)
    for k, weight in _coefficients(m, period):
        angle = 2 * pi * k / period * y
        below += 2 / (pi * k) * weight * np.sin(angle)
        distance -= 2 * period / (pi * k) ** 2 * weight * np.cos(angle)
    # Up to 1 both are powers of a, and the second may be divided by a tiny a.
    power = np.exp(m * np.log(np.clip(a, _SMALLEST, 1.0)) - lgamma(m + 1))
    below = np.where(a <= 1, np.where(a > 0, power, 0.0), np.where(inside, np.maximum(below, 0.0), 0.0))
    shortfall = np.where(a <= 1, below * a / (m + 1), np.where(inside, np.maximum((y + distance) / 2, 0.0), 0.0))
    return below, shortfall


@lru_cache(maxsize=64)
def _coefficients(m: int, period: float) -> list[tuple[int, float]]:
    """The odd k, and the characteristic function (sin(t / 2) / (t / 2))^m at t = 2 pi k / period, until that is 0."""
    k = np.arange(1, 1024, 2)
    half = pi * k / period
    square = np.minimum(half, 0.1) ** 2
    series = -square * (1 / 6 + square * (1 / 180 + square * (1 / 2835 + square / 37800)))
    sine = np.sinc(half / pi)
    log: Any = np.where(half < 0.1, series, np.log(np.maximum(np.abs(sine), _SMALLEST)))
    values = np.where((sine < 0) & (m % 2 == 1), -1.0, 1.0) * np.exp(m * log)
    last = int(np.flatnonzero(np.abs(values) > 1e-20)[-1])
    return list(zip(k[: last + 1].tolist(), values[: last + 1].tolist(), strict=True))
