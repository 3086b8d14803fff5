"""The distributions of the values of a blob: what theory knows of them, in float64.

Arguments and results of `density`, `mass`, `cdf` and `quantile` are numbers or arrays of any shape; NaN gives NaN, and
so does a quantile outside [0, 1]. A distribution speaks of real numbers: that a blob holds them rounded to its dtype is
not part of it, but for `BilinearPattern`.

    cdf(x)       P(X <= x), the integral of `density` up to x and the sum of `mass` up to and including x
    density(x)   the density of the part that has one, 0 for the rest
    mass(x)      P(X = x)
    quantile(q)  the least x with cdf(x) >= q; `minimum` for q = 0
"""

import math
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite, nan, pi, sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filler_server.cancellation import checkpoint
from filler_server.fillers import shares
from filler_server.fillers.reals import Discrete, Reals, each, probabilities, reals, result, where

_WIDEST_NORMAL = 6.6
"""In standard deviations; further from the mean lies no float32 value of philox, and one in 10^10 of Caffe's."""


class Distribution(Protocol):
    """Distribution of one value of a blob, whichever it is.

    A distribution from another module has a method `fill(out, runs, random)` as well, which
    `filler_server.fillers.backend` calls.
    """

    @property
    def mean(self) -> float:
        """The expected value."""
        ...

    @property
    def std(self) -> float:
        """The standard deviation."""
        ...

    @property
    def minimum(self) -> float:
        """The largest number below which no value lies, -infinity where there is none."""
        ...

    @property
    def maximum(self) -> float:
        """The smallest number above which no value lies, infinity where there is none."""
        ...

    def density(self, x: ArrayLike) -> Reals:
        """Return the density at x of the part that has one."""
        ...

    def mass(self, x: ArrayLike) -> Reals:
        """Return the probability of x itself."""
        ...

    def cdf(self, x: ArrayLike) -> Reals:
        """Return the probability of x and all below it."""
        ...

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the least x with cdf(x) >= q."""
        ...


def reach(distribution: Distribution) -> float:
    """Return the largest magnitude to reckon with: that of the bounds, or where there is none, of 6.6 std."""
    low, high = distribution.minimum, distribution.maximum
    if isfinite(low) and isfinite(high):
        return max(abs(low), abs(high))
    bound = abs(low) if isfinite(low) else abs(high) if isfinite(high) else 0.0
    return max(abs(distribution.mean) + _WIDEST_NORMAL * distribution.std, bound)


@dataclass(frozen=True, slots=True)
class Constant(Discrete):
    """One value."""

    value: float

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    @property
    def std(self) -> float:
        """0; NaN for a value that is not finite."""
        return 0.0 if isfinite(self.value) else nan

    @property
    def minimum(self) -> float:
        """The value."""
        return self.value

    @property
    def maximum(self) -> float:
        """The value."""
        return self.value

    def mass(self, x: ArrayLike) -> Reals:
        """Return 1 for the value."""
        x = reals(x)
        return where(x, x == self.value, 1.0, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return 1 from the value on."""
        x = reals(x)
        return where(x, x >= self.value, 1.0, 0.0)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the value."""
        return result(reals(q), self.value)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value of [low, high] equally likely; finite, low <= high."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def std(self) -> float:
        """(high - low) / sqrt(12)."""
        return (self.high - self.low) / sqrt(12)

    @property
    def minimum(self) -> float:
        """Low."""
        return self.low

    @property
    def maximum(self) -> float:
        """High."""
        return self.high

    def density(self, x: ArrayLike) -> Reals:
        """Return 1 / (high - low) from low to high."""
        x = reals(x)
        width = self.high - self.low
        return where(x, (x >= self.low) & (x <= self.high) & (width > 0), 1 / width if width else 0.0, 0.0)

    def mass(self, x: ArrayLike) -> Reals:
        """Return 0, or 1 for the one value when low is high."""
        x = reals(x)
        return where(x, (x == self.low) & (self.low == self.high), 1.0, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return (x - low) / (high - low) between low and high."""
        x = reals(x)
        inside = (np.clip(x, self.low, self.high) - self.low) / ((self.high - self.low) or 1.0)
        return where(x, x >= self.high, 1.0, inside)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return low + (high - low) q."""
        q, inside = probabilities(q)
        return result(q, np.minimum(self.low + (self.high - self.low) * inside, self.high))


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Normal values, std > 0.

    `cdf` is C's erfc, to a few units in the last place; `quantile` is Wichura's AS 241 (1988), to 2e-15 of z.
    """

    mean: float
    std: float

    @property
    def minimum(self) -> float:
        """-infinity."""
        return -inf

    @property
    def maximum(self) -> float:
        """Infinity."""
        return inf

    def density(self, x: ArrayLike) -> Reals:
        """Return exp(-z^2 / 2) / (std sqrt(2 pi)), z = (x - mean) / std."""
        with np.errstate(over="ignore"):
            z = (reals(x) - self.mean) / self.std
            density: Reals = np.exp(-z * z / 2) / (self.std * sqrt(2 * pi))
        return density

    def mass(self, x: ArrayLike) -> Reals:
        """Return 0: no value has a probability of its own."""
        return where(reals(x), False, 0.0, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return erfc(-z / sqrt(2)) / 2, z = (x - mean) / std."""
        with np.errstate(over="ignore"):
            z = (self.mean - reals(x)) / (self.std * sqrt(2))
        return each(math.erfc, z) / 2

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the inverse of `cdf`."""
        from statistics import NormalDist

        q = reals(q)
        z = each(NormalDist().inv_cdf, np.where((q > 0) & (q < 1), q, 0.5))
        return result(q, self.mean + self.std * np.where(q == 0, -inf, np.where(q == 1, inf, z)))


@dataclass(frozen=True, slots=True)
class MaskedGaussian:
    """Normal values, each kept with probability `kept` and 0 otherwise; accurate as `Gaussian`.

    Attributes:
        normal: the distribution before the mask.
        kept: in [0, 1].
    """

    normal: Gaussian
    kept: float

    @property
    def mean(self) -> float:
        """Kept times the mean before the mask."""
        return self.kept * self.normal.mean

    @property
    def std(self) -> float:
        """The root of kept (std^2 + mean^2) - (kept mean)^2."""
        return sqrt(self.kept * (self.normal.std**2 + (1 - self.kept) * self.normal.mean**2))

    @property
    def minimum(self) -> float:
        """-infinity, or 0 when nothing is kept."""
        return -inf if self.kept else 0.0

    @property
    def maximum(self) -> float:
        """Infinity, or 0 when nothing is kept."""
        return inf if self.kept else 0.0

    def density(self, x: ArrayLike) -> Reals:
        """Return kept times the density before the mask."""
        density: Reals = self.kept * self.normal.density(x)
        return density

    def mass(self, x: ArrayLike) -> Reals:
        """Return 1 - kept for 0."""
        x = reals(x)
        return where(x, x == 0, 1 - self.kept, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return kept times the cdf before the mask, and 1 - kept more from 0 on."""
        x = reals(x)
        return where(x, x >= 0, 1 - self.kept, 0.0) + self.kept * self.normal.cdf(x)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return 0 where cdf jumps, elsewhere the inverse of `cdf`."""
        q, inside = probabilities(q)
        if self.kept == 0:
            return result(q, 0.0)
        below = self.kept * self.normal.cdf(0.0)
        share = np.where(inside <= below, inside, self.kept - np.minimum(1 - inside, self.kept)) / self.kept
        kept = self.normal.quantile(np.minimum(share, 1.0))
        # By rounding, either side of the jump may seem to reach beyond it.
        above = np.where((inside > below + (1 - self.kept)) | (inside == 1), np.maximum(kept, 0.0), 0.0)
        return result(q, np.where(inside <= below, np.minimum(kept, 0.0), above))


@dataclass(frozen=True, slots=True)
class RowNormalizedUniform:
    """One of n uniform values of [0, 1], divided by the sum of all n, which are a row of the blob.

    `filler_server.fillers.shares` has the formulas. `cdf` is accurate to 1e-14, `density` to 1e-13 of its largest
    value, `std` to 1e-12 of itself. Values of one row are not independent: their sum is 1.

    Attributes:
        length: n, at least 1.
    """

    length: int

    @property
    def mean(self) -> float:
        """1 / n."""
        return 1 / self.length

    @property
    def std(self) -> float:
        """About 1 / (sqrt(3) n); 0 when the row has one value."""
        return shares.std(self.length)

    @property
    def minimum(self) -> float:
        """0, or 1 when the row has one value."""
        return 1.0 if self.length == 1 else 0.0

    @property
    def maximum(self) -> float:
        """1."""
        return 1.0

    def density(self, x: ArrayLike) -> Reals:
        """Return the density, which is highest at 1 / n."""
        x = reals(x)
        return where(x, self.length > 1, shares.density(max(self.length, 2), x), 0.0)

    def mass(self, x: ArrayLike) -> Reals:
        """Return 0, or 1 for the value 1 when the row has one value."""
        x = reals(x)
        return where(x, (x == 1) & (self.length == 1), 1.0, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return the probability of x and all below it; 1 / 2 at 1 / n."""
        x = reals(x)
        return where(x, x >= 1, 1.0, shares.cdf(self.length, x) if self.length > 1 else 0.0)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the inverse of `cdf`."""
        q, inside = probabilities(q)
        return result(q, shares.quantile(self.length, inside) if self.length > 1 else 1.0)


@dataclass(frozen=True)
class BilinearPattern(Discrete):
    """The values of a square plane of bilinear interpolation weights, each as likely as it is frequent.

    Nothing is random here. The plane has weights(y) weights(x) at [y, x]; `mass`, `cdf` and `quantile` are those of
    the values as they stand in a blob of `dtype`, and take a time that grows with the square of the width.

    Attributes:
        width: of the plane.
        dtype: float32 or float64, in which the values are computed.
    """

    width: int
    dtype: np.dtype[Any]

    @property
    def half(self) -> int:
        """Half of the width, rounded up."""
        return -(-self.width // 2)

    @property
    def middle(self) -> float:
        """The middle of an axis, in units of `half`; computed in double."""
        return (self.width - 1) / (2.0 * self.half)

    def weights(self, x: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Return the weights of one axis at x, or all: 1 - |x / half - middle|, each step in `dtype`."""
        real = self.dtype.type
        places: NDArray[Any] = (np.arange(self.width) if x is None else x).astype(self.dtype)
        weights: NDArray[Any] = real(1) - np.abs(places / real(self.half) - real(self.middle))
        return weights

    @cached_property
    def mean(self) -> float:
        """The square of the mean of an axis: 1 / 4 for even widths, a little more for odd ones."""
        return self._axis_mean**2

    @cached_property
    def std(self) -> float:
        """Over the plane."""
        f = self.half
        square = 1 / 3 - 1 / (12 * f * f) if self.width % 2 == 0 else (2 * f * f + 1) / (3 * f * self.width)
        return sqrt(max(square**2 - self.mean**2, 0.0))

    @cached_property
    def minimum(self) -> float:
        """The value in a corner."""
        return float(np.min(self._extremes) ** 2)

    @cached_property
    def maximum(self) -> float:
        """The value in the middle."""
        return float(np.max(self._extremes) ** 2)

    def mass(self, x: ArrayLike) -> Reals:
        """Return the part of the plane that has the value x."""
        x = reals(x)
        return where(x, True, (self._count(x, "right") - self._count(x, "left")) / self.width**2, 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return the part of the plane whose values are at most x."""
        x = reals(x)
        return where(x, True, self._count(x, "right") / self.width**2, 0.0)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the least value that is not below a part q of the plane."""
        q, inside = probabilities(q)
        # The numbers between the bounds, all positive, are in the order of their bits.
        bits = np.array([self.minimum, self.maximum]).view(np.int64)
        low, high = np.full(q.shape, bits[0]), np.full(q.shape, bits[1])
        while (low < high).any():
            middle = low + (high - low) // 2
            is_enough = self._count(middle.view(np.float64), "right") / self.width**2 >= inside
            low, high = np.where(is_enough, low, middle + 1), np.where(is_enough, middle, high)
        return result(q, np.asarray(high).view(np.float64))

    def _count(self, x: Reals, side: Any) -> NDArray[np.int64]:
        """The number of values of the plane at most x, or below x for `side` "left"."""
        weights, times = np.unique(self.weights(), return_counts=True)
        before = np.append(0, np.cumsum(times))
        count = np.zeros(x.shape, np.int64)
        for weight_of_row, rows in zip(weights, times.tolist(), strict=True):
            checkpoint()
            count += rows * before[np.searchsorted((weights * weight_of_row).astype(np.float64), x, side)]
        return count

    @property
    def _axis_mean(self) -> float:
        return 0.5 if self.width % 2 == 0 else self.half / self.width

    @property
    def _extremes(self) -> NDArray[Any]:
        """The weights at the ends and in the middle of an axis."""
        middle = self.width // 2
        return self.weights(np.array([0, (self.width - 1) // 2, middle, self.width - 1]))
