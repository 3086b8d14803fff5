"""Moments of distributions, for the tests of mean and variance."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filler_server.fillers import Distribution

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_TAILS = np.array([1e-16, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.05])
_SHARES = np.concatenate([[0.0], _TAILS, np.linspace(0.1, 0.9, 17), 1 - _TAILS[::-1], [1.0]])


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a distribution whose standard deviation is above 0.

    Attributes:
        mean, std: the first two.
        skewness: third central moment over std^3.
        kurtosis: fourth central moment over std^4; the variance of (x - mean)^2 / std^2 is this less 1.
        square_skewness: skewness of (x - mean)^2.
    """

    mean: float
    std: float
    skewness: float
    kurtosis: float
    square_skewness: float


def moments(distribution: Distribution) -> Moments | None:
    """Return the moments of a distribution, those above the second by Gauss and Legendre's rule between quantiles.

    None where there is no standard deviation, or none above 0.
    """
    if not (math.isfinite(distribution.std) and distribution.std > 0):
        return None
    # What lies further out than one value in 10^16 counts for nothing.
    ends = np.asarray(distribution.quantile(_SHARES))
    bounds = np.unique(ends[np.isfinite(ends)])
    masses = np.asarray(distribution.mass(bounds))
    half = np.diff(bounds)[:, None] / 2
    x = (bounds[:-1, None] + half * (1 + _NODES)).ravel()
    weights = (half * _WEIGHTS).ravel() * distribution.density(x)
    points, shares = np.concatenate([x, bounds]), np.concatenate([weights, masses])
    return _of(points, shares, distribution.mean, distribution.std)


def moments_of_values(values: NDArray[np.float64], shares: NDArray[np.float64]) -> Moments | None:
    """Return the moments of values with these probabilities, or None where they have no spread."""
    total = float(shares.sum())
    if not total > 0:
        return None
    mean = float(values @ shares) / total
    std = math.sqrt(float((values - mean) ** 2 @ shares) / total)
    return _of(values, shares, mean, std) if std > 0 else None


def _of(values: NDArray[np.float64], shares: NDArray[np.float64], mean: float, std: float) -> Moments | None:
    z, total = (values - mean) / std, float(shares.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        third, fourth, sixth = (float(z**power @ shares) / total for power in (3, 4, 6))
    spread = fourth - 1
    if not (math.isfinite(sixth) and spread > 1e-6):
        return None
    return Moments(mean, std, third, fourth, (sixth - 3 * fourth + 2) / spread**1.5)
