"""The one interface of all sources of random numbers: values by their place in a blob."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Runs:
    """Which elements of a blob are wanted: runs of consecutive flat (C order) indices, ascending.

    Attributes:
        starts: int64 [n], the flat index of the first element of each run.
        bounds: int64 [n + 1], ascending from 0; run k fills `out[bounds[k]:bounds[k + 1]]`.
    """

    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @classmethod
    def contiguous(cls, start: int, count: int) -> "Runs":
        """The single run of `count` elements from `start`."""
        return cls(np.array([start], np.int64), np.array([0, count], np.int64))

    @property
    def count(self) -> int:
        """Number of elements in all runs together."""
        return int(self.bounds[-1])

    def split(self, longest: int) -> "Runs":
        """The same elements in runs of at most `longest`, so that threads can share a long one."""
        lengths = np.diff(self.bounds)
        if lengths.size == 0 or int(lengths.max()) <= longest:
            return self
        pieces = -(-lengths // longest)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        within = (np.arange(int(pieces.sum()), dtype=np.int64) - first) * longest
        starts = np.repeat(self.starts, pieces) + within
        ends = np.append(np.repeat(self.bounds[:-1], pieces) + within, self.bounds[-1])
        return Runs(starts, ends)


class RandomStream(Protocol):
    """The random numbers of one blob.

    The value at a flat index is a pure function of the stream and that index: any runs, in any order, in any number
    of calls and threads, give the same values. `out` is one-dimensional and contiguous, of `runs.count` elements;
    its dtype, float32 or float64, is Caffe's `Dtype`, in which parameters are taken and results are rounded.
    """

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        """Fill `out` with values uniform over [low, high]; both ends may occur, nothing beyond them does."""
        ...

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        """Fill `out` with normal values of the given mean and standard deviation, std > 0."""
        ...

    def bernoulli(self, out: NDArray[np.bool_], runs: Runs, probability: float) -> None:
        """Fill `out` with True of the given probability, from numbers independent of the other two."""
        ...
