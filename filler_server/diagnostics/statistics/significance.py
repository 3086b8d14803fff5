"""Probabilities of chance: how likely values of the promised distribution lie as far from it as those seen."""

import math
from collections.abc import Sequence

import numpy as np

_SMALL_SKEWNESS = 1e-9
_TERMS = 100
_REACH = 60.0
"""Standard deviations of a binomial beyond which nothing is added up."""


def two_sided(z: float, skewness: float = 0.0) -> float:
    """Return the probability that a standardized sum lies as far out as `z`, on either side.

    A sum has the distribution of Pearson's type III that has its skewness, by the cube root of Wilson and Hilferty,
    "The distribution of chi-square", 1931; without skewness it is normal.
    """
    if abs(skewness) > _SMALL_SKEWNESS:
        root = float(np.cbrt(max(1 + skewness * z / 2, 0.0)))
        z = 6 / skewness * (root - 1) + skewness / 6
    return math.erfc(abs(z) / math.sqrt(2))


def kolmogorov(distance: float, count: int) -> float:
    """Return the probability that `count` values lie at least that far from their distribution function.

    Kolmogorov's series at (sqrt(n) + 0.12 + 0.11 / sqrt(n)) D, which Stephens, "EDF statistics for goodness of fit and
    some comparisons", 1974, gives for any n.
    """
    root = math.sqrt(count)
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, _TERMS))
    return min(max(2 * math.fsum(terms), 0.0), 1.0)


def binomial(successes: int, count: int, probability: float) -> float:
    """Return twice the smaller of P(X <= successes) and P(X >= successes), at most 1; X is binomial."""
    if probability in (0.0, 1.0):
        return 1.0 if successes == count * probability else 0.0
    spread = math.sqrt(count * probability * (1 - probability))
    reach = int(_REACH * spread + _REACH)
    at = _log_mass(successes, count, probability)
    above = np.arange(successes, min(count, successes + reach))
    below = np.arange(successes, max(0, successes - reach), -1)
    odds = math.log(probability) - math.log1p(-probability)
    ups = np.cumsum(np.log((count - above) / (above + 1)) + odds)
    downs = np.cumsum(np.log(below / (count - below + 1)) - odds)
    # The one that leads away from the mean has the smaller sum.
    steps = ups if successes > count * probability else downs
    tail = math.exp(at) * (1 + float(np.exp(np.minimum(steps, 0.0)).sum()))
    return min(2 * tail, 1.0)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Return probabilities corrected for their number, each to be compared with the level of them all.

    Where all promises hold, any of them is at most the level with a probability of at most the level, whatever the
    tests have to do with each other (Holm, "A simple sequentially rejective multiple test procedure", 1979).
    """
    order = sorted(range(len(probabilities)), key=lambda index: probabilities[index])
    corrected, largest = [1.0] * len(order), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min((len(order) - rank) * probabilities[index], 1.0))
        corrected[index] = largest
    return corrected


def _log_mass(successes: int, count: int, probability: float) -> float:
    choices = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    return choices + successes * math.log(probability) + (count - successes) * math.log1p(-probability)
