"""Functions of normal variables: quadrature, covariances by Hermite series, largest of several."""

from functools import cache, lru_cache
from math import erf, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]

_REACH = 7.5
_HALF = 32
_ORDER = 32
_ATOM = 0.05
"""Probability of a single value from which on it counts as one that many elements have."""


def _nodes() -> tuple[Reals, Reals]:
    """Return nodes and weights for expectations of a standard normal variable; none is 0, where kinks are."""
    nodes, weights = np.polynomial.legendre.leggauss(_HALF)
    right = (nodes + 1) * _REACH / 2
    mass = weights * np.exp(-right * right / 2)
    half = mass / (2 * mass.sum())
    return np.concatenate([-right[::-1], right]), np.concatenate([half[::-1], half])


NODES, WEIGHTS = _nodes()
"""Values of a standard normal variable in ascending order, and the probability that each stands for."""


def mean_of(values: Reals) -> float:
    """Return the mean of a function of a standard normal variable, by its values at the nodes."""
    # For so few numbers `dot` takes less than half of the time of `@`.
    return float(WEIGHTS.dot(values))


def _hermite() -> Reals:
    """Return the normalized Hermite polynomials at the nodes, times the weights: [order, node]; 0 beyond."""
    rows = [np.ones_like(NODES), NODES]
    for order in range(1, _ORDER):
        rows.append((NODES * rows[-1] - sqrt(order) * rows[-2]) / sqrt(order + 1))
    return np.array([*rows, np.zeros_like(NODES)]) * WEIGHTS


_HERMITE = _hermite()
_POWERS = np.arange(_ORDER + 1.0)
_FACTORS = _POWERS + 1
"""Factors of the powers in a derivative."""


def powers_of(base: Reals) -> Reals:
    """Return the powers of some numbers, by the order and what the numbers are by."""
    powers = np.empty((_ORDER + 2, *base.shape))
    powers[0], powers[1:] = 1.0, base
    # A product after the other takes a fifth of the time of raising each.
    np.multiply.accumulate(powers, axis=0, out=powers)
    return powers


def clipped(correlations: Reals) -> Reals:
    """Return correlations within [-1, 1], in a third of the time that np.clip takes for a few."""
    return np.minimum(np.maximum(correlations, -1.0), 1.0)


class Kernel:
    """Covariance of a function of two normal variables, E[f(x) f(y)], by their correlation (Mehler's formula).

    What the series leaves out counts as its next term.

    Args:
        points: f at the nodes.
    """

    def __init__(self, points: Reals) -> None:
        found = _HERMITE.dot(points)
        squares = self._squares = found * found
        squares[-1] = max(mean_of(points * points) - float(np.add.reduce(squares)), 0.0)

    def __call__(self, correlations: Reals) -> Reals:
        """Return E[f(x) f(y)] for each correlation."""
        return self.by_powers(powers_of(correlations))

    def by_powers(self, powers: Reals) -> Reals:
        """Return E[f(x) f(y)] for each correlation, of which there are the powers."""
        products: Reals = self._squares.dot(powers)
        return products

    @property
    def linear(self) -> float:
        """By what small correlations of the variables are larger than those of the functions of them."""
        variance = float(np.add.reduce(self._squares[1:]))
        return float(self._squares[1]) / variance if variance > 0 else 0.0

    def slope(self, correlation: float) -> float:
        """Return the derivative of E[f(x) f(y)] by the correlation."""
        return float((self._squares[1:] * _FACTORS).dot(correlation**_POWERS))

    def inverse(self, products: Reals) -> Reals:
        """Return the correlations, in [-1, 1], for which the covariances are nearest to those given."""
        slopes = self._squares[1:] * _FACTORS
        variance = float(np.add.reduce(self._squares[1:]))
        if not variance > 0:
            return np.zeros_like(products)
        least = 0.05 * variance
        correlations = clipped((products - self._squares[0]) / variance)
        for _ in range(4):
            powers = powers_of(correlations)
            slope = np.maximum(slopes.dot(powers[:-1]), least)
            correlations = clipped(correlations - (self._squares.dot(powers) - products) / slope)
        return correlations


def expectations(points: Reals, correlations: Reals) -> Reals:
    """Return E[f(x) f(y)] for several functions at once, as a `Kernel` of each does.

    Args:
        points: f at the nodes: [function, node].
        correlations: of x and y: [function, pair].
    """
    # The threads that BLAS starts for larger blocks take as much time again, waiting for more, and save none.
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(points), _BLOCK)]
    return np.concatenate([_expectations(points[block], correlations[block]) for block in blocks])


_BLOCK = 96


def _expectations(points: Reals, correlations: Reals) -> Reals:
    squares = np.square(points @ _HERMITE.T)
    squares[:, -1] = np.maximum((points * points) @ WEIGHTS - squares.sum(1), 0.0)
    products: Reals = np.einsum("fo,ofp->fp", squares, powers_of(correlations))
    return products


@cache
def _table() -> tuple[Reals, Reals]:
    places = np.linspace(-8.5, 8.5, 3401)
    return places, np.array([0.5 + erf(place / sqrt(2)) / 2 for place in places])


def normal_cdf(x: Any) -> Reals:
    """Return the probability that a standard normal variable is at most x, to 1e-6."""
    places, table = _table()
    found: Reals = np.interp(x, places, table)
    return found


@cache
def ranks() -> Reals:
    """Return the probability of all below each node, and of half of the node itself."""
    return np.cumsum(WEIGHTS) - WEIGHTS / 2


def quantiles(points: Reals, weights: Reals) -> Reals:
    """Return the distribution of some points, each with a weight, as an ascending function of a normal variable."""
    order = np.argsort(points, kind="stable")
    ordered, mass = points[order], weights[order]
    middles = np.cumsum(mass) - mass / 2
    if mass.max() <= _ATOM:
        return np.interp(ranks(), middles, ordered)
    # A value that many elements have, such as 0, stays one.
    half = np.where(mass > _ATOM, mass / 2, 0.0)
    places = np.stack([middles - half, middles + half], 1).ravel()
    made: Reals = np.interp(ranks(), places, np.repeat(ordered, 2))
    return made


@lru_cache(maxsize=1024)
def largest(number: int, correlation: float) -> tuple[Reals, float]:
    """Return the largest of some standard normal variables, as an ascending function of one, and its variance.

    Args:
        number: how many there are.
        correlation: of each two; in [0, 1].
    """
    if number <= 1 or correlation >= 1:
        return NODES, 1.0
    places = np.linspace(-7.5, 7.5, 151)
    common, own = sqrt(correlation), sqrt(1 - correlation)
    below = normal_cdf((places[:, None] - common * NODES) / own) ** number @ WEIGHTS
    rising = np.concatenate([[True], np.diff(below) > 0])
    points: Reals = np.interp(ranks(), below[rising], places[rising])
    mean = mean_of(points)
    return points, mean_of(points * points) - mean * mean


@lru_cache(maxsize=1024)
def winners(number: int, correlation: float) -> Reals:
    """Return the root of how likely a standard normal variable is the largest of some, relative to all of them.

    Args:
        number: how many there are.
        correlation: of each two; in [0, 1].
    """
    if number <= 1 or correlation >= 1:
        return np.ones_like(NODES)
    common, own = sqrt(correlation), sqrt(1 - correlation)
    share = normal_cdf(own * NODES[:, None] - common * NODES) ** (number - 1) @ WEIGHTS
    return np.asarray(np.sqrt(share / mean_of(share)))
