"""Probabilities of values that are rounded to the dtype of a blob."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.fillers import Distribution
from filler_server.fillers.distributions import Uniform

_STEPS = 64
"""Steps of a dtype in a standard deviation from which rounding does not show in a variance: it adds 1 / 12 of a squared
step, 2e-5 of it."""

_MOST_VALUES = 1 << 16


def below(distribution: Distribution, edges: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """Return the probability that a value, rounded to `dtype`, lies below each edge."""
    limits = edges if dtype == np.float64 else _limits(edges, dtype)
    shares = np.asarray(distribution.cdf(limits)) - np.asarray(distribution.mass(limits))
    return np.clip(shares, 0.0, 1.0)


def is_fine(mean: float, std: float, dtype: np.dtype[Any]) -> bool:
    """Return whether values of these moments are so little changed by rounding that their variance does not show it."""
    largest = np.array(abs(mean) + std).astype(dtype)
    return bool(_step(largest) * _STEPS <= std)


def interval_slack(interval: Uniform, dtype: np.dtype[Any]) -> float:
    """Return the step of the numbers that values of an interval are worked out in, float32 at least."""
    end = np.array(max(abs(interval.low), abs(interval.high)), np.float64 if dtype == np.float64 else np.float32)
    return float(end.astype(np.float64) - np.nextafter(end, np.array(0.0, end.dtype)).astype(np.float64))


def values_between(low: float, high: float, dtype: np.dtype[Any]) -> NDArray[np.float64] | None:
    """Return the values of a dtype from the one before `low` to the one after `high`, or None if they are many."""
    word = np.dtype(f"i{dtype.itemsize}")
    first, last = (int(np.array(end).astype(dtype).view(word)) for end in (low, high))
    least = int(np.iinfo(word).min)
    # The bits of negative values ascend away from 0.
    first, last = (number if number >= 0 else least - number for number in (first, last))
    if last - first > _MOST_VALUES:
        return None
    numbers = np.arange(first - 1, last + 2)
    values = np.where(numbers >= 0, numbers, least - numbers).astype(word).view(dtype).astype(np.float64)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def zero_share(distribution: Distribution, dtype: np.dtype[Any]) -> float:
    """Return the probability of values that become 0 by rounding."""
    least = float(_step(np.array(0.0).astype(dtype))) / 2
    low, high = np.asarray(distribution.cdf(np.array([-least, least])))
    return float(high - low)


def _limits(edges: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """Return the numbers from which on numbers are rounded to an edge or more."""
    with np.errstate(over="ignore"):
        near = edges.astype(dtype)
        up = np.where(near.astype(np.float64) >= edges, near, np.nextafter(near, np.array(np.inf, dtype)))
        down = np.nextafter(up, np.array(-np.inf, dtype))
    limits: NDArray[np.float64] = (up.astype(np.float64) + down.astype(np.float64)) / 2
    return limits


def _step(value: NDArray[Any]) -> float:
    following = np.nextafter(value, np.array(np.inf).astype(value.dtype))
    return float(following.astype(np.float64) - value.astype(np.float64))
