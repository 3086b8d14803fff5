"""The one interface of all sources of random numbers: values by their place in a blob."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import RegionError

_LAST_INDEX = 2**63 - 1
_INT64 = np.dtype(np.int64)

BRIEF = 1 << 12
"""So many values kernels make in less time than it takes to give up the GIL and to get it back."""

Values: TypeAlias = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Runs:
    """Elements of a blob that are wanted: runs of consecutive flat (C order) indices, ascending.

    Attributes:
        starts: int64 [n], the flat index of the first element of each run.
        bounds: int64 [n + 1], ascending from 0; run k fills `out[bounds[k]:bounds[k + 1]]`.
        count: number of elements in all runs together.

    Raises:
        RegionError: starts and bounds are not such arrays, or an index is not within 0 <= index < 2^63.
    """

    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]
    count: int = field(init=False)

    def __post_init__(self) -> None:
        starts, bounds = self.starts, self.bounds
        if starts.ndim != 1 or bounds.shape != (starts.size + 1,) or starts.dtype != _INT64 or bounds.dtype != _INT64:
            raise RegionError(
                "runs are int64 starts [n] and bounds [n + 1]. "
                f"Received: starts {starts.dtype} {starts.shape}, bounds {bounds.dtype} {bounds.shape}"
            )
        count = bounds.item(-1)
        if starts.size == 1:
            is_sound = bounds.item(0) == 0 <= count and 0 <= starts.item(0) <= _LAST_INDEX - count
        else:
            lengths = np.diff(bounds)
            inside = (lengths >= 0) & (starts >= 0) & (starts <= _LAST_INDEX - lengths)
            is_sound = bounds.item(0) == 0 and bool(inside.all())
        if not is_sound:
            raise RegionError("the bounds of runs ascend from 0, and runs lie within 0 <= index < 2^63")
        object.__setattr__(self, "count", count)

    @staticmethod
    @lru_cache(maxsize=1024)
    def contiguous(start: int, count: int) -> "Runs":
        """The single run of `count` elements from `start`; its arrays are shared, and nobody writes to them."""
        return Runs(np.array([start], np.int64), np.array([0, count], np.int64))

    def indices(self) -> NDArray[np.int64]:
        """The flat index of each element, int64 [count]."""
        if self.starts.size == 1:
            return np.arange(self.starts.item(0), self.starts.item(0) + self.count, dtype=np.int64)
        indices: NDArray[np.int64] = np.repeat(self.starts - self.bounds[:-1], np.diff(self.bounds)) + np.arange(
            self.count
        )
        return indices

    def blocks(self, most: int, longest: int) -> Iterator[tuple[int, int, "Runs"]]:
        """Yield runs that together have about `most` elements, and where these begin and end among all elements.

        Runs are cut after `longest` elements where that is needed.
        """
        if self.count <= most:
            yield 0, self.count, self
            return
        pieces = self.split(longest)
        cuts = np.searchsorted(pieces.bounds, np.arange(0, self.count + most, most))
        for first, last in pairwise(np.minimum(cuts, pieces.starts.size).tolist()):
            if first < last:
                begin, end = int(pieces.bounds[first]), int(pieces.bounds[last])
                yield begin, end, Runs(pieces.starts[first:last], pieces.bounds[first : last + 1] - begin)

    def split(self, longest: int) -> "Runs":
        """The same elements in runs of at most `longest`, so that threads can share a long one."""
        if self.starts.size == 1:
            # A whole blob is one run, and the way below would take as long as starting the threads.
            offsets = np.arange(0, self.count, longest, dtype=np.int64)
            return self if offsets.size <= 1 else self._parts(self.starts + offsets, np.append(offsets, self.count))
        lengths = np.diff(self.bounds)
        if lengths.size == 0 or int(lengths.max()) <= longest:
            return self
        pieces = -(-lengths // longest)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        within = (np.arange(int(pieces.sum()), dtype=np.int64) - first) * longest
        starts = np.repeat(self.starts, pieces) + within
        ends = np.append(np.repeat(self.bounds[:-1], pieces) + within, self.bounds[-1])
        return self._parts(starts, ends)

    def _parts(self, starts: NDArray[np.int64], bounds: NDArray[np.int64]) -> "Runs":
        """These runs, divided: there is nothing to check again."""
        parts = object.__new__(Runs)
        for name, value in (("starts", starts), ("bounds", bounds), ("count", self.count)):
            object.__setattr__(parts, name, value)
        return parts


class RandomStream(Protocol):
    """The random numbers of one blob.

    The value at a flat index is a pure function of the stream and that index: any runs, in any order, in any number
    of calls and threads, give the same values. `out` is one-dimensional and contiguous, of `runs.count` elements;
    its dtype, float32 or float64, is Caffe's `Dtype`, in which parameters are taken and results are rounded.

    Attributes:
        sequential: whether a value costs all that stand before it in the blob.
    """

    sequential: ClassVar[bool]

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        """Fill `out` with values uniform over [low, high]; both ends may occur, nothing beyond them does."""
        ...

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        """Fill `out` with normal values of the given mean and standard deviation, std > 0."""
        ...

    def truncated(self, out: Values, runs: Runs, mean: float, std: float, low: float, high: float) -> None:
        """Fill `out` with normal values of the given mean and standard deviation that are truncated to [low, high].

        Raises:
            InvalidArgument: the source of the numbers has no such values.
        """
        ...

    def bernoulli(self, out: NDArray[np.bool_], runs: Runs, probability: float) -> None:
        """Fill `out` with True of the given probability, from numbers independent of the other two."""
        ...
