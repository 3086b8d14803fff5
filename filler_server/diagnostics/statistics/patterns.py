"""Values that are not random: each has to be the one that its place has."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.diagnostics.statistics.figures import Figures, Ranks
from filler_server.diagnostics.statistics.judgement import Judgement, Promised
from filler_server.diagnostics.statistics.sampled import promised
from filler_server.fillers.diagonal import Diagonal
from filler_server.fillers.distributions import BilinearPattern, Distribution

Values: TypeAlias = Callable[[int, int], NDArray[Any]]
"""The values of a pattern from one flat index to another."""

_SLACK = 4
"""Units in the last place of 1 by which interpolation weights may differ that another program computed."""


class Pattern:
    """Equality of every value with that of its place, as the dtype has it.

    Args:
        promise: what is promised, in numbers and words.
        values: the pattern.
        dtype: of the blob.
        tolerance: difference that counts as none.
    """

    bounds = None
    zero_share = 1.0
    is_varied = False

    def __init__(self, promise: Promised, values: Values, dtype: np.dtype[Any], tolerance: float = 0.0) -> None:
        self.promised = promise
        self._values = values
        self._dtype = dtype
        self._tolerance = tolerance
        self._seen = self._different = 0
        self._first: tuple[int, float, float] | None = None

    def add(self, block: NDArray[Any]) -> None:
        """Compare a block with its part of the pattern."""
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = self._values(self._seen, self._seen + block.size).astype(self._dtype)
            if bool((block == rounded).all()):
                self._seen += block.size
                return
            expected, found = rounded.astype(np.float64), block.astype(np.float64)
            equal = np.abs(found - expected) <= self._tolerance
        equal |= (found == expected) | (np.isnan(found) & np.isnan(expected))
        if not equal.all():
            places = np.flatnonzero(~equal)
            self._different += places.size
            if self._first is None:
                at = int(places[0])
                self._first = self._seen + at, float(found[at]), float(np.broadcast_to(expected, found.shape)[at])
        self._seen += block.size

    def judgement(self, figures: Figures, ranks: Ranks | None) -> Judgement:
        """Tell the first value that differs, and how many do."""
        if self._first is None:
            return Judgement()
        place, found, expected = self._first
        return Judgement(
            faults=(
                f"{self._different:,} of {self._seen:,} values differ, the first at index {place}: "
                f"{found:.9g} in place of {expected:.9g}",
            )
        )


def constant(value: float, dtype: np.dtype[Any]) -> Pattern:
    """Return the promise of one value everywhere."""
    known = value if math.isfinite(value) else None
    promise = Promised(known, None if known is None else 0.0, known, known, "one value everywhere")
    wanted = np.array([value])
    return Pattern(promise, lambda begin, end: wanted, dtype)


def bilinear(distribution: BilinearPattern, dtype: np.dtype[Any]) -> Pattern:
    """Return the promise of interpolation weights."""
    weights, width = distribution.weights(), distribution.width

    def values(begin: int, end: int) -> NDArray[Any]:
        y, x = np.divmod(np.arange(begin, end) % (width * width), width)
        product: NDArray[Any] = weights[y] * weights[x]
        return product

    step = max(float(np.finfo(distribution.dtype).eps), float(np.finfo(np.float32).eps))
    return Pattern(promised(distribution, "the weights of bilinear interpolation"), values, dtype, _SLACK * step)


def diagonal(distribution: Diagonal, dtype: np.dtype[Any]) -> Pattern:
    """Return the promise of one value at places with equal distances."""
    first, step, last = distribution.first, distribution.step, distribution.places - 1

    def values(begin: int, end: int) -> NDArray[Any]:
        out = np.zeros(end - begin)
        number = np.arange(max(-(-(begin - first) // step), 0), min((end - 1 - first) // step, last) + 1)
        out[first + number * step - begin] = distribution.value
        return out

    return Pattern(promised(distribution, "one value on the diagonal, 0 elsewhere"), values, dtype)


def given(values: NDArray[Any], dtype: np.dtype[Any]) -> Pattern:
    """Return the promise of the values that the prototxt holds."""
    promise = Promised(None, None, None, None, "the values of the prototxt")
    return Pattern(promise, lambda begin, end: values[begin:end], dtype)


def of_distribution(distribution: Distribution, dtype: np.dtype[Any]) -> Pattern | None:
    """Return the promise of a distribution that draws nothing, or None of one that does."""
    if isinstance(distribution, BilinearPattern):
        return bilinear(distribution, dtype)
    if isinstance(distribution, Diagonal):
        return diagonal(distribution, dtype)
    if distribution.minimum == distribution.maximum or math.isnan(distribution.minimum):
        return constant(distribution.minimum, dtype)
    return None
