"""Arguments and results of distributions: float64 numbers and arrays, of which NaN stays NaN."""

from collections.abc import Callable
from math import nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filler_server.cancellation import checkpoint

Reals: TypeAlias = NDArray[np.float64]
"""float64, of the shape of the argument; a number for a number."""


class Discrete:
    """Nothing but values that have a probability of their own."""

    __slots__ = ()

    def density(self, x: ArrayLike) -> Reals:
        """Return 0: there is no part with a density."""
        return where(reals(x), False, 0.0, 0.0)


def reals(values: ArrayLike) -> Reals:
    """Return numbers as float64."""
    return np.asarray(values, np.float64)


def where(x: Reals, condition: Any, then: Any, otherwise: Any) -> Reals:
    """Choose by condition; NaN stays NaN."""
    chosen: Reals = np.where(np.isnan(x), nan, np.where(condition, then, otherwise))[()]
    return chosen


def probabilities(q: ArrayLike) -> tuple[Reals, Reals]:
    """Return q, and q with 1 / 2 in place of what is not a probability."""
    q = reals(q)
    return q, np.where((q >= 0) & (q <= 1), q, 0.5)


def result(q: Reals, x: Any) -> Reals:
    """Return x where q is a probability, elsewhere NaN."""
    found: Reals = np.where((q >= 0) & (q <= 1), x, nan)[()]
    return found


def each(function: Callable[[float], float], values: Any) -> Reals:
    """Apply a function of one number to every number."""
    values = np.asarray(values)
    flat, results = values.ravel(), np.empty(values.size)
    for begin in range(0, flat.size, 1 << 16):
        checkpoint()
        block = flat[begin : begin + (1 << 16)]
        results[begin : begin + block.size] = np.fromiter(map(function, block.tolist()), np.float64, block.size)
    shaped: Reals = results.reshape(values.shape)[()]
    return shaped
