"""The distribution of normal values within bounds, in float64."""

from dataclasses import dataclass
from functools import cache, cached_property
from math import erfc, pi, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filler_server.fillers.reals import Reals, each, probabilities, reals, result, where

_REACH = 90.0
"""Squares of standard deviations, beyond that of the nearer bound, outside of which lies less than 1e-19."""


@dataclass(frozen=True)
class TruncatedGaussian:
    """Normal values of `center` and `scale` > 0 that lie in [low, high], low < high; one or both may be infinite.

    `cdf` and `quantile` are accurate as those of `Gaussian`, of the part that lies between the bounds.
    """

    center: float
    scale: float
    low: float
    high: float

    @property
    def minimum(self) -> float:
        """Low."""
        return self.low

    @property
    def maximum(self) -> float:
        """High."""
        return self.high

    @cached_property
    def mean(self) -> float:
        """The center, moved away from the nearer bound."""
        z, weights = self._nodes
        return min(max(self.center + self.scale * float(np.sum(weights * z)), self.low), self.high)

    @cached_property
    def std(self) -> float:
        """Less than the scale."""
        z, weights = self._nodes
        return self.scale * sqrt(float(np.sum(weights * (z - np.sum(weights * z)) ** 2)))

    def density(self, x: ArrayLike) -> Reals:
        """Return exp(-z^2 / 2) / (scale sqrt(2 pi)) over the mass between the bounds, z = (x - center) / scale."""
        x = reals(x)
        with np.errstate(over="ignore"):
            z = (x - self.center) / self.scale
            density = np.exp(-z * z / 2) / (self.scale * sqrt(2 * pi) * self._mass)
        return where(x, (x >= self.low) & (x <= self.high), density, 0.0)

    def mass(self, x: ArrayLike) -> Reals:
        """Return 0: no value has a probability of its own."""
        return where(reals(x), False, 0.0, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return the part of the mass between the bounds that lies up to x."""
        x = reals(x)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (np.clip(x, self.low, self.high) - self.center) / (self.scale * sqrt(2))
        # Of two numbers near 1 the difference would be lost.
        beneath = (each(erfc, -z) / 2 - self._beneath) if self._a < 0 else (self._above_low - each(erfc, z) / 2)
        inside = np.clip(beneath / self._mass, 0.0, 1.0)
        return where(x, x >= self.high, 1.0, np.where(x <= self.low, 0.0, inside))

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the inverse of `cdf`."""
        q, inside = probabilities(q)
        beneath, above = self._beneath + inside * self._mass, self._above + (1 - inside) * self._mass
        is_left = beneath < above
        tail = np.clip(np.where(is_left, beneath, above), 5e-324, 0.5)
        z = each(NormalDist().inv_cdf, tail)
        x = np.clip(self.center + self.scale * np.where(is_left, z, -z), self.low, self.high)
        return result(q, np.where(q == 0, self.low, np.where(q == 1, self.high, x)))

    @property
    def _a(self) -> float:
        return (self.low - self.center) / self.scale

    @property
    def _b(self) -> float:
        return (self.high - self.center) / self.scale

    @property
    def _beneath(self) -> float:
        """Probability below the lower bound."""
        return erfc(-self._a / sqrt(2)) / 2

    @property
    def _above_low(self) -> float:
        return erfc(self._a / sqrt(2)) / 2

    @property
    def _above(self) -> float:
        """Probability above the upper bound."""
        return erfc(self._b / sqrt(2)) / 2

    @cached_property
    def _mass(self) -> float:
        """Probability between the bounds."""
        if self._a >= 0:
            return self._above_low - self._above
        if self._b <= 0:
            return erfc(-self._b / sqrt(2)) / 2 - self._beneath
        return 1 - self._beneath - self._above

    @cached_property
    def _nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard values and their weights, of Gauss and Legendre: moments without differences of large numbers."""
        nearest = min(max(0.0, self._a), self._b)
        reach = sqrt(nearest * nearest + _REACH)
        a, b = max(self._a, -reach), min(self._b, reach)
        nodes, weights = _rule()
        z = a + (b - a) * (nodes + 1) / 2
        density = weights * np.exp((nearest - z) * (nearest + z) / 2)
        return z, density / density.sum()


@cache
def _rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of [-1, 1], which take longer than all else."""
    nodes, weights = np.polynomial.legendre.leggauss(160)
    return nodes, weights


STD_WITHIN_2 = 0.87962566103423978
"""The standard deviation of standard normal values within [-2, 2], by which Keras and JAX divide."""
