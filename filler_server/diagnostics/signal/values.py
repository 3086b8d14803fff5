"""Distribution of the elements of a value (an activation)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log1p, prod, sqrt
from statistics import NormalDist
from typing import Any, Self, cast

import numpy as np

from filler_server.diagnostics.signal.layout import Parts
from filler_server.diagnostics.signal.moments import CROSS, KINDS, Moments, Weights
from filler_server.diagnostics.signal.normal import (
    NODES,
    WEIGHTS,
    Kernel,
    Reals,
    clipped,
    expectations,
    mean_of,
    normal_cdf,
    powers_of,
    quantiles,
)
from filler_server.diagnostics.signal.windows import Profile, occupied


@dataclass(eq=False)
class Activation:
    """Distribution of the elements of a value: of f(z) for standard normal z, of which each is kept with a probability.

    It does not change once it is made; a frozen dataclass takes twice as long to make.

    Attributes:
        points: f at the nodes of `normal`.
        correlations: of z, for each kind of pairs.
        kept: the probability to be kept by a Dropout, which scales what it keeps; otherwise an element is 0.
        spread: variance among channels of the variance within a channel, relative to its square.
        profile: how the mean square is spread over places.
        drift: variance, over nets, of the logarithm of the mean square that the layers before leave.
        wobble: variance, over nets and pairs of samples, of the correlation of z for two samples.
        saturated: share of elements near the bounds of a sigmoid or tanh; None where it makes no sense.
        ties: mean square, over nets, of the correlation of z for two channels.
        filled: share of elements that are not 0 before a Dropout, where it is known better than by the nodes.
        together: elements that a channel has in a batch, if the channel may be dead: all of them 0.
        parts: values that lie side by side in it, as a Concat has put them.
        empty: whether places of which the profile is 0 hold nothing but zeros.
        mean: the mean.
        mean_square: the mean of squares.
    """

    points: Reals
    correlations: Reals
    kept: float = 1.0
    spread: float = 0.0
    profile: Profile | None = None
    drift: float = 0.0
    wobble: float = 0.0
    saturated: float | None = None
    ties: float = 0.0
    filled: float | None = None
    together: int | None = None
    parts: "Parts[Activation] | None" = None
    empty: bool = False

    mean: float = field(init=False)
    mean_square: float = field(init=False)
    _kernel: Kernel | None = field(default=None, init=False)
    _products: Reals | None = field(default=None, init=False)
    _powers: Reals | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.mean_square = square = mean_of(self.points * self.points) / self.kept
        mean = mean_of(self.points)
        # Of a symmetric distribution rounding leaves something.
        self.mean = mean if mean * mean > 1e-28 * square else 0.0

    @property
    def variance(self) -> float:
        """The variance of all elements."""
        return max(self.mean_square - self.mean**2, 0.0)

    @property
    def zeros(self) -> float:
        """The share of elements that are 0, of places that can have others."""
        return 1 - self.kept * (self._filled_nodes() if self.filled is None else self.filled)

    @property
    def all_zeros(self) -> float:
        """The share of elements that are 0, of all places."""
        return 1 - (1 - self.zeros) * occupied(self.profile) if self.empty else self.zeros

    def _filled_nodes(self) -> float:
        nodes = np.count_nonzero(self.points)
        return 1.0 if nodes == len(NODES) else mean_of(self.points != 0)

    @property
    def kernel(self) -> Kernel:
        """The mean product of two elements, by the correlation of their z."""
        if self._kernel is None:
            self._kernel = Kernel(self.points)
        return self._kernel

    @property
    def products(self) -> Reals:
        """The mean product of two elements, for each kind of pairs."""
        if self._products is None:
            self._products = self._pairs_of(self.kernel)
        return self._products

    def pairs_of(self, points: Reals) -> Reals:
        """Return the mean product of a function of two elements, for each kind of pairs.

        Args:
            points: the function at the nodes.
        """
        return self._pairs_of(Kernel(points))

    def _pairs_of(self, kernel: Kernel) -> Reals:
        if self._powers is None:
            self._powers = powers_of(self.correlations)
        return kernel.by_powers(self._powers)

    @property
    def moments(self) -> Moments:
        """The moments."""
        return Moments(self.mean, self.mean_square, self.products)

    def plain(self) -> "Activation":
        """Return a like distribution without anything dropped, as an ascending function of z."""
        if self.kept == 1 and bool((self.points[1:] >= self.points[:-1]).all()):
            return self
        points = np.append(self.points / self.kept, 0.0)
        weights = np.append(WEIGHTS * self.kept, 1 - self.kept)
        made = shaped(quantiles(points, weights), self.moments)
        return made.but(profile=self.profile, drift=self.drift)

    def with_points(self, points: Reals) -> "Activation":
        """Return the distribution of a function of the elements."""
        return Activation(
            points, self.correlations, self.kept, self.spread, self.profile, self.drift, self.wobble, None, self.ties
        )

    def but(self, **changes: Any) -> Self:
        """Return the distribution with other attributes, of those which its elements do not depend on.

        It keeps what has been worked out of these, which `replace` does not.
        """
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        return made

    @property
    def tied(self) -> float:
        """The mean square, over nets, of the correlation of elements of two channels."""
        return self.ties * self.kernel.linear**2 if self.ties else 0.0

    def scatter(self, dims: Sequence[int | None]) -> float | None:
        """Return the variance, over nets and inputs, of the logarithm of the mean square.

        Each channel has a mean square of its own, and with few channels these do not average out (Hanin and Rolnick
        2018, arXiv:1803.01719).

        Args:
            dims: the shape of the value.

        Returns:
            The variance; None where the numbers of samples, channels or places are not known.
        """
        if not self._is_countable(dims):
            return None
        squares = self.points * self.points
        return self._scatter(dims, Kernel(squares / mean_of(squares))(np.array(self._pairs())).tolist())

    def _is_countable(self, dims: Sequence[int | None]) -> bool:
        return len(dims) > 1 and None not in dims and 0 not in dims and self.mean_square > 0

    def _pairs(self) -> list[float]:
        """Return the correlations that a scatter depends on."""
        _, apart, cross, other, _ = self.correlations.tolist()
        # The mean over correlations that wobble, by two of them.
        wobble = sqrt(self.wobble)
        near, far = min(wobble, 1 - abs(cross)), min(wobble, 1 - abs(other))
        return [1.0, apart, cross + near, cross - near, other + far, other - far]

    def _scatter(self, dims: Sequence[int | None], products: Sequence[float]) -> float:
        """Return the scatter by the mean products of the squares of two elements of a channel, 1 if independent."""
        rows, channels, *sides = cast("Sequence[int]", dims)
        places = prod(sides)
        same, apart, *samples = products
        sample = same / self.kept + (places - 1) * apart
        batch = (rows - 1) * (samples[0] + samples[1] + (places - 1) * (samples[2] + samples[3])) / 2
        return self.drift + log1p(max((sample + batch) / (rows * places) - 1, 0.0) / channels)


def scatters(values: Sequence[tuple[Activation, tuple[int | None, ...]]]) -> list[float | None]:
    """Return the scatters of several distributions at once, each with the shape of its value."""
    # What changes nothing, such as most Scales and all Splits, hands on the distribution itself.
    distinct = {(id(value), dims): (value, dims) for value, dims in values if value._is_countable(dims)}
    if not distinct:
        return [None] * len(values)
    squares = np.square([value.points for value, _ in distinct.values()])
    squares /= (squares @ WEIGHTS)[:, None]
    products = expectations(squares, np.array([value._pairs() for value, _ in distinct.values()])).tolist()
    found = {
        key: value._scatter(dims, made) for (key, (value, dims)), made in zip(distinct.items(), products, strict=True)
    }
    return [found.get((id(value), dims)) for value, dims in values]


def dead_shares(values: Sequence[Activation]) -> list[float | None]:
    """Return, for several distributions at once, the share of channels that are 0 in a whole batch.

    Where channels cannot be dead, or the number of their elements is not known, there is None.
    """
    found: list[float | None] = [None] * len(values)
    indices, bounds, correlations = [], [], []
    for index, value in enumerate(values):
        if value.together is None:
            continue
        negative, correlation = max(value.zeros, 0.0), min(max(float(value.correlations[CROSS]), 0.0), 1.0)
        found[index] = negative
        if correlation < 1 and _NEARLY < negative < 1 - _NEARLY:
            indices.append(index)
            bounds.append(_NORMAL.inv_cdf(negative))
            correlations.append(correlation)
    if indices:
        common, own = np.sqrt(correlations)[:, None], np.sqrt(1 - np.array(correlations))[:, None]
        below = normal_cdf((np.array(bounds)[:, None] - common * NODES) / own)
        numbers = np.array([values[index].together for index in indices], float)[:, None]
        for index, share in zip(indices, (below**numbers @ WEIGHTS).tolist(), strict=True):
            found[index] = share
    return found


_NEARLY = 1e-12
"""Probability that is taken for 0."""

_NORMAL = NormalDist()


def normal(moments: Moments, spread: float = 0.0) -> Activation:
    """Return the normal distribution with some moments."""
    points, correlations = _normal(moments)
    return Activation(points, correlations, spread=spread)


def _normal(moments: Moments) -> tuple[Reals, Reals]:
    """Return the points of a normal distribution, and the correlations of its elements."""
    mean, mean_square, products = moments
    if not isfinite(mean_square):
        return np.full_like(NODES, inf), np.zeros(KINDS)
    square = mean * mean
    variance = max(mean_square - square, 0.0)
    if not variance > 1e-14 * mean_square:
        return np.full_like(NODES, mean), np.zeros(KINDS)
    return mean + sqrt(variance) * NODES, clipped((products - square) / variance)


def random_sum(
    sums: Moments, weights: Weights, number: float, of: Activation, dims: Sequence[int | None], profile: Profile | None
) -> Activation:
    """Return the distribution of sums of elements, each with a random weight: the normal one.

    Args:
        sums: the moments of the sums.
        weights: mean and variance of the weights.
        number: over how many elements a sum goes.
        of: the elements.
        dims: the shape of the value that they are of.
        profile: how the mean square of the sums is spread over places.
    """
    points, correlations = _normal(sums)
    variance = max(sums.mean_square - sums.mean**2, 0.0)
    scatter = of.scatter(dims)
    drift, wobble = of.drift if scatter is None else scatter, 0.0
    if variance:
        # With a finite number of elements two samples are never quite as far apart as all nets are on average.
        slope = weights.mean_square * number / variance * of.kernel.slope(float(of.correlations[CROSS]))
        own = (1 - float(correlations[CROSS]) ** 2) ** 2 / max(number, 1)
        wobble = min(of.wobble * slope**2 + own, 1.0)
    # Sums of the same elements are correlated as their weights happen to be, and the more as the elements are.
    spread, ties = (2 / max(number, 1), min(1 / max(number, 1) + of.tied, 1.0)) if weights.variance else (0.0, 0.0)
    return Activation(points, correlations, 1.0, spread, profile, drift, wobble, None, ties)


def shaped(points: Reals, moments: Moments, spread: float = 0.0) -> Activation:
    """Return a distribution of a shape with some moments; where there are zeros, these stay.

    Args:
        points: the shape at the nodes, nearly of these moments.
        moments: the moments.
        spread: as of `Activation`.
    """
    found = mean_of(points * points)
    if found > 0:
        points = points * np.sqrt(moments.mean_square / found)
    kernel = Kernel(points)
    made = Activation(points, kernel.inverse(moments.products), spread=spread)
    made._kernel = kernel
    return made


def constant(value: float) -> Activation:
    """Return the distribution of one value."""
    return Activation(np.full_like(NODES, value), np.zeros(KINDS))
