"""Figures over the values of a blob, from one pass over them."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Values that are looked at by one call of a kernel, while the cache has them."""

_MOST_BINS = 1 << 14
_FEWEST_BINS = 1 << 8
_BINS_PER_ROOT = 128
"""Bins for each unit of sqrt(n), which the distances of chance are inverse to: then bins are small beside them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures over the finite values of a blob, worked out in float64.

    Attributes:
        count: number of values.
        finite: number of finite values.
        mean, std: of the finite values, std over their number; None if there are none, or float64 ends before it.
        minimum, maximum: likewise.
        zeros: number of values that are 0 or -0.
        nans, infinite: numbers of values that are no numbers, and infinite.
    """

    count: int
    finite: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    zeros: int
    nans: int
    infinite: int


@dataclass(frozen=True, slots=True)
class Ranks:
    """Numbers of values below each of some edges.

    Attributes:
        edges: float64, ascending.
        below: int64, of the same length.
    """

    edges: NDArray[np.float64]
    below: NDArray[np.int64]


class Look(Protocol):
    """A pass over the values of a blob, block by block."""

    def add(self, block: NDArray[Any]) -> None:
        """Add a block: one-dimensional, contiguous, of the blob's dtype."""
        ...

    def figures(self) -> Figures:
        """Return the figures of what was added."""
        ...

    def ranks(self) -> Ranks | None:
        """Return how many values lie below some edges; None where no edges were asked for."""
        ...


def look_at(dtype: np.dtype[Any], bounds: tuple[float, float] | None, count: int) -> Look:
    """Return a pass over `count` values of a dtype, which ranks them at even distances between bounds, or not at all.

    There are 256 to 16384 distances, 128 sqrt(count) where that lies between the two.
    """
    number = min(max(_BINS_PER_ROOT * math.isqrt(count), _FEWEST_BINS), _MOST_BINS)
    edges = None if bounds is None else np.linspace(*bounds, number + 1)
    return _Tally(dtype, edges) if dtype.name in ("float16", "bfloat16") else _Sums(edges)


class _Sums:
    """Sums, extremes and a histogram between edges."""

    def __init__(self, edges: NDArray[np.float64] | None) -> None:
        self._edges = edges
        low, width, number = (0.0, 1.0, 0) if edges is None else _steps(edges)
        # Bin 0 is for what lies below the edges, the last one for what lies above.
        self._place = (low - width, 1 / width, float(number + 1))
        self._bins = np.zeros(1 if edges is None else number + 2, np.int64)
        self._extremes = [math.inf, -math.inf]
        self._counts = np.zeros(3, np.int64)
        self._count, self._finite, self._mean, self._squares = 0, 0, 0.0, 0.0

    def add(self, block: NDArray[Any]) -> None:
        """Add a block."""
        from filler_server.diagnostics.statistics import kernels

        for begin in range(0, block.size, BLOCK):
            values = block[begin : begin + BLOCK]
            if values.dtype not in (np.float32, np.float64):
                values = values.astype(np.float64)
            center = self._mean if self._finite else _first_finite(values)
            sums, before = np.array([0.0, 0.0, *self._extremes]), int(self._counts[1:].sum())
            kernels.look(values, center, *self._place, self._bins, sums, self._counts)
            self._extremes = sums[2:].tolist()
            self._count += values.size
            self._join(values.size - int(self._counts[1:].sum()) + before, center, *sums[:2].tolist())

    def _join(self, count: int, center: float, total: float, squares: float) -> None:
        """Join mean and squares of a block by the formula of Chan, Golub and LeVeque (1979)."""
        if not count:
            return
        offset = total / count
        difference = center + offset - self._mean
        joined = self._finite + count
        self._squares += max(squares - total * offset, 0.0) + difference * difference * self._finite * count / joined
        self._mean += difference * count / joined
        self._finite = joined

    def figures(self) -> Figures:
        """Return the figures."""
        zeros, nans, infinite = self._counts.tolist()
        std = math.sqrt(self._squares / self._finite) if self._finite and self._squares >= 0 else None
        mean, std, low, high = (
            _finite(value) if self._finite else None for value in (self._mean, std, *self._extremes)
        )
        return Figures(self._count, self._finite, mean, std, low, high, zeros, nans, infinite)

    def ranks(self) -> Ranks | None:
        """Return the numbers of values below the edges."""
        if self._edges is None:
            return None
        # A NaN counts in the lowest bin.
        return Ranks(self._edges, np.cumsum(self._bins[:-1]) - self._counts[1])


class _Tally:
    """Number of values of each of the 65536 that 16 bits can tell apart."""

    def __init__(self, dtype: np.dtype[Any], edges: NDArray[np.float64] | None) -> None:
        self._dtype = dtype
        self._edges = edges
        self._counts = np.zeros(1 << 16, np.int64)

    def add(self, block: NDArray[Any]) -> None:
        """Add a block."""
        from filler_server.diagnostics.statistics import kernels

        kernels.tally(block.view(np.uint16), self._counts)

    def figures(self) -> Figures:
        """Return the figures."""
        values, counts = self._seen()
        zeros, total = int(counts[values == 0].sum()), int(self._counts.sum())
        nans, infinite = int(counts[np.isnan(values)].sum()), int(counts[np.isinf(values)].sum())
        finite = total - nans - infinite
        if not finite:
            return Figures(total, 0, None, None, None, None, zeros, nans, infinite)
        values, counts = values[np.isfinite(values)], counts[np.isfinite(values)]
        mean = float(values @ counts) / finite
        std = math.sqrt(float((values - mean) ** 2 @ counts) / finite)
        return Figures(total, finite, mean, std, float(values.min()), float(values.max()), zeros, nans, infinite)

    def ranks(self) -> Ranks | None:
        """Return the numbers of values below the edges."""
        if self._edges is None:
            return None
        values, counts = self._seen()
        order = np.argsort(values)
        before = np.append(0, np.cumsum(counts[order]))
        return Ranks(self._edges, before[np.searchsorted(values[order], self._edges)])

    def _seen(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the values that there are, and how many of each; -0 and 0 are two."""
        seen = np.flatnonzero(self._counts)
        with np.errstate(invalid="ignore"):
            values = seen.astype(np.uint16).view(self._dtype).astype(np.float64)
        return values, self._counts[seen]


def _steps(edges: NDArray[np.float64]) -> tuple[float, float, int]:
    """Return the first edge, the distance between two, and how many distances there are."""
    return float(edges[0]), float(edges[-1] - edges[0]) / (edges.size - 1), edges.size - 1


def _first_finite(values: NDArray[Any]) -> float:
    found = np.flatnonzero(np.isfinite(values[:1024]))
    return float(values[found[0]]) if found.size else 0.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
