"""Values that are drawn independently, each from one distribution."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.diagnostics.statistics import rounding
from filler_server.diagnostics.statistics.figures import Figures, Ranks
from filler_server.diagnostics.statistics.judgement import ChanceTest, Judgement, Promised
from filler_server.diagnostics.statistics.moments import Moments, moments, moments_of_values
from filler_server.diagnostics.statistics.significance import binomial, kolmogorov, two_sided
from filler_server.fillers.distributions import Distribution, MaskedGaussian, Uniform

_TAIL = 1e-12

_MOST_SKEWED = 3.0
"""Skewness of a sum up to which its distribution is known well: the squares of one normal value have 2.8."""

_FARTHEST = 1e300


class Sampled:
    """Independent values: tests of mean, variance and distribution function; of a mask also of the number of zeros.

    Mean and variance are standardized by the moments of the distribution and tested as sums of that skewness. The
    distance of Kolmogorov and Smirnov is taken at the edges of a histogram alone: the distance over all values exceeds
    it by at most the largest share of a bin, so that the test has no more false alarms than it promises. What is
    expected there is the share of values that, rounded to the dtype, lie below the edge. The middle and the width of an
    interval may be rounded as well before values are drawn from it: what this explains counts for nothing. Values of a
    sparse gaussian are judged apart: whether as many are 0 as the mask promises, and whether the others are normal.

    Args:
        distribution: of a value, with a standard deviation above 0.
        dtype: of the values.
    """

    def __init__(self, distribution: Distribution, dtype: np.dtype[Any]) -> None:
        self._all = distribution
        self._kept = distribution.kept if isinstance(distribution, MaskedGaussian) else None
        self._drawn: Distribution = distribution.normal if isinstance(distribution, MaskedGaussian) else distribution
        self._dtype = dtype
        self._slack = rounding.interval_slack(distribution, dtype) if isinstance(distribution, Uniform) else 0.0

    @property
    def promised(self) -> Promised:
        """The distribution in numbers."""
        return promised(self._all, "independent values of one distribution")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Those of the distribution, or where it has none, quantiles beyond which lies one value in 10^12."""
        low, high = self._drawn.minimum, self._drawn.maximum
        if not math.isfinite(low):
            low = float(self._drawn.quantile(_TAIL))
        if not math.isfinite(high):
            high = float(self._drawn.quantile(1 - _TAIL))
        return (low, high) if low < high and math.isfinite(high - low) else None

    @property
    def zero_share(self) -> float:
        """Probability of a value that is masked, or becomes 0 by rounding."""
        lost = rounding.zero_share(self._drawn, self._dtype)
        return lost if self._kept is None else min(max(1 - self._kept + self._kept * lost, 0.0), 1.0)

    @property
    def is_varied(self) -> bool:
        """Whether rounding leaves many values."""
        return rounding.is_fine(self._drawn.mean, self._drawn.std, self._dtype)

    def add(self, block: NDArray[Any]) -> None:
        """Pass over a block: figures and ranks tell all."""

    def judgement(self, figures: Figures, ranks: Ranks | None) -> Judgement:
        """Test the values."""
        tests: list[ChanceTest] = []
        notes: list[str] = []
        count, zeros = figures.finite, 0
        if self._kept is not None:
            zeros = figures.zeros
            tests.append(ChanceTest("zeros", zeros, binomial(zeros, count, self.zero_share)))
        if count > zeros and ranks is not None:
            shares = self._below(ranks.edges)
            known = self._moments()
            of_moments = [] if known is None else _moment_tests(figures, zeros, known, self._slack)
            tests += of_moments
            if not of_moments:
                notes.append(
                    f"mean and variance are not tested: the values are too few, or {self._dtype} is too coarse"
                )
            if self._kept is None:
                most = self._below(ranks.edges + self._slack) if self._slack else shares
                least = self._below(ranks.edges - self._slack) if self._slack else shares
                tests.append(_distance(ranks.below, shares, count, least, most))
            else:
                tests.append(self._distance_of_kept(ranks, shares, count, zeros))
        return Judgement(tuple(tests), tuple(self._beyond(figures)), tuple(notes))

    def _below(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        return rounding.below(self._drawn, edges, self._dtype)

    def _moments(self) -> Moments | None:
        """Return the moments of the values as the dtype has them, or None where they cannot be known or are none."""
        known = moments(self._drawn)
        if known is None or rounding.is_fine(known.mean, known.std, self._dtype):
            return known
        values = rounding.values_between(*(self.bounds or (known.mean, known.mean)), self._dtype)
        if values is None:
            return None
        masses = np.diff(rounding.below(self._drawn, values, self._dtype), append=1.0)
        if self._kept is not None:
            masses[values == 0] = 0.0
        return moments_of_values(values, masses)

    def _distance_of_kept(self, ranks: Ranks, shares: NDArray[np.float64], count: int, zeros: int) -> ChanceTest:
        """Leave out the zeros, and what becomes one by rounding."""
        is_above = ranks.edges > 0
        lost = rounding.zero_share(self._drawn, self._dtype)
        below = ranks.below - np.where(is_above, zeros, 0)
        kept = (shares - np.where(is_above, lost, 0.0)) / (1 - lost) if lost < 1 else shares
        return _distance(below, kept, count - zeros, kept, kept)

    def _beyond(self, figures: Figures) -> list[str]:
        ends = np.array([self._all.minimum, self._all.maximum])
        low, high = ends.astype(self._dtype).astype(np.float64).tolist()
        faults = []
        if figures.minimum is not None and figures.minimum < low:
            faults.append(f"values reach {figures.minimum:.6g}, and none lies below {low:.6g}")
        if figures.maximum is not None and figures.maximum > high:
            faults.append(f"values reach {figures.maximum:.6g}, and none lies above {high:.6g}")
        return faults


def promised(distribution: Distribution, text: str) -> Promised:
    """Return what a distribution promises, in numbers."""
    mean, std, low, high = (
        float(value) if math.isfinite(value) else None
        for value in (distribution.mean, distribution.std, distribution.minimum, distribution.maximum)
    )
    return Promised(mean, std, low, high, text)


def _moment_tests(figures: Figures, zeros: int, known: Moments, slack: float) -> list[ChanceTest]:
    """Test mean and variance of the values that are not left out as zeros; an interval may lie off by some slack."""
    count = figures.finite - zeros
    root = math.sqrt(count)
    skewness, square_skewness = known.skewness / root, known.square_skewness / root
    if figures.mean is None or figures.std is None or max(abs(skewness), square_skewness) > _MOST_SKEWED:
        return []
    offset = figures.mean - known.mean
    # Sums over all values, less those over the zeros.
    total = figures.finite * offset + zeros * known.mean
    squares = figures.finite * (figures.std * figures.std + offset * offset) - zeros * known.mean**2
    z_mean = _bounded(_beyond(total / count, slack) / known.std * root)
    excess = _beyond(squares / known.std**2 / count - 1, 2 * slack / known.std)
    z_variance = _bounded(excess * root / math.sqrt(known.kurtosis - 1))
    return [
        ChanceTest("mean", z_mean, two_sided(z_mean, skewness)),
        ChanceTest("variance", z_variance, two_sided(z_variance, square_skewness)),
    ]


def _beyond(value: float, slack: float) -> float:
    """Return how far a value lies from 0 beyond what is let pass."""
    return math.copysign(max(abs(value) - slack, 0.0), value)


def _bounded(z: float) -> float:
    return min(max(z, -_FARTHEST), _FARTHEST)


def _distance(
    below: NDArray[np.int64],
    shares: NDArray[np.float64],
    count: int,
    least: NDArray[np.float64],
    most: NDArray[np.float64],
) -> ChanceTest:
    """Return the distance from the expected shares, which may lie between `least` and `most`."""
    found = below / count
    distance = float(np.max(np.maximum(np.maximum(found - most, least - found), 0.0)))
    error = float(np.max(np.diff(shares, prepend=0.0, append=1.0)))
    return ChanceTest("distribution", distance, kolmogorov(distance, count), error)
