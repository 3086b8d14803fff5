"""One coordinate of a point that is uniformly distributed on a sphere, in float64: an entry of an orthogonal matrix.

With x = radius sin(a), the density of a in [-pi / 2, pi / 2] is proportional to cos(a)^(n - 2), n being the number of
coordinates (n >= 2). Of one coordinate there are -radius and radius alone.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from math import inf, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filler_server.cancellation import checkpoint
from filler_server.fillers.reals import Reals, probabilities, reals, result, where

_REACH = 9.5
"""Standard deviations beyond which lies less than 1e-19."""


@cache
def _rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nodes and weights of Gauss and Legendre, for [-1, 1]; NumPy takes 10 ms for them."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    return nodes, weights


@dataclass(frozen=True)
class SphereCoordinate:
    """One of `length` coordinates of a point on the sphere of a radius > 0; accurate to 1e-14."""

    length: int
    radius: float

    @property
    def mean(self) -> float:
        """0, by symmetry."""
        return 0.0

    @property
    def std(self) -> float:
        """Radius / sqrt(length)."""
        return self.radius / sqrt(self.length)

    @property
    def minimum(self) -> float:
        """The radius, negative."""
        return -self.radius

    @property
    def maximum(self) -> float:
        """The radius."""
        return self.radius

    def density(self, x: ArrayLike) -> Reals:
        """Return the density, proportional to (1 - (x / radius)^2)^((length - 3) / 2)."""
        x = reals(x)
        ratio = np.clip(x / self.radius, -1.0, 1.0)
        if self.length == 1:
            return where(x, False, 0.0, 0.0)
        with np.errstate(divide="ignore"):
            power = (1 - ratio * ratio) ** ((self.length - 3) / 2)
        return where(x, np.abs(x) <= self.radius, power / (2 * self._half * self.radius), 0.0)

    def mass(self, x: ArrayLike) -> Reals:
        """Return 0, or 1 / 2 for either end where there is one coordinate."""
        x = reals(x)
        return where(x, (self.length == 1) & (np.abs(x) == self.radius), 0.5, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return 1 / 2 and half of the share of the angles up to x."""
        x = reals(x)
        if self.length == 1:
            return where(x, x >= self.radius, 1.0, np.where(x >= -self.radius, 0.5, 0.0))
        ratio = np.where(np.isnan(x), 0.0, np.clip(x / self.radius, -1.0, 1.0))
        share = self._integral(np.arcsin(np.abs(ratio))) / self._half
        inside = 0.5 + np.copysign(np.minimum(share, 1.0) / 2, ratio)
        return where(x, x >= self.radius, 1.0, np.where(x <= -self.radius, 0.0, inside))

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the inverse of `cdf`, by halving."""
        q, inside = probabilities(q)
        if self.length == 1:
            return result(q, np.where(inside <= 0.5, -self.radius, self.radius))
        share = np.abs(2 * inside - 1)
        low, high = np.zeros(q.shape), np.full(q.shape, pi / 2)
        for _ in range(70):
            checkpoint()
            middle = (low + high) / 2
            is_less = self._integral(middle) / self._half < share
            low, high = np.where(is_less, middle, low), np.where(is_less, high, middle)
        x = np.copysign(self.radius * np.sin(high), inside - 0.5)
        x = np.where(inside == 0.5, 0.0, x)
        return result(q, np.where(q == 0, -self.radius, np.where(q == 1, self.radius, x)))

    def _integral(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """The integral of cos^(length - 2) from 0 to angles of [0, pi / 2]."""
        reach = _REACH / sqrt(self.length - 2) if self.length > 2 else inf
        end = np.minimum(angle, reach)[..., None]
        nodes, weights = _rule()
        values: NDArray[np.float64] = np.sum(weights * np.cos(end * (nodes + 1) / 2) ** (self.length - 2), axis=-1)
        half: NDArray[np.float64] = end[..., 0] / 2 * values
        return half

    @cached_property
    def _half(self) -> float:
        return float(self._integral(np.asarray(pi / 2)))
