"""The values of `orthogonal`: Gram and Schmidt's method on normal values, in float64 whatever the dtype.

A blob is a matrix of its outputs, the first axis unless it is said otherwise, and all others; with stacks it is one for
each of their indices. Its rows, or its columns where they are fewer, are the n vectors; they begin as the standard
normal values of the stream in the blob's places, in float64. In blocks of 32 vectors, in their order, twice for each
block: off each vector is taken what lies along the earlier blocks, 8 vectors at a time; then the block is made
orthonormal in itself. `filler_server.fillers.orthonormal_kernels` has the order of the sums. The value is gain times
the result, rounded to float64 and then to the dtype. All of it are IEEE 754 operations in a fixed order, so that the
bytes are the same on every CPU and for every number of threads. The signs are those of a factorization whose R has a
positive diagonal, which makes the matrix uniformly distributed (Mezzadri, "How to generate random matrices from the
classical compact groups", 2007).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.cancellation import checkpoint
from filler_server.fillers.arrangement import Arrangement
from filler_server.fillers.sphere import SphereCoordinate
from filler_server.rng.stream import RandomStream, Runs, Values

_BLOCK = 32
_STEP = 1 << 25
"""About so many products of a block with earlier vectors are computed between two looks whether they are wanted."""

_DRAWN = 1 << 18
"""Values that are drawn, or looked up, at once."""

_WORKSHOP = threading.Lock()
"""Held while a matrix is made: its vectors take twice the memory of its values, or as much as they."""

_PATIENCE = 0.1
"""Seconds between two looks whether a matrix that waits for another is still wanted."""


_Dtype: TypeAlias = np.dtype[np.float32] | np.dtype[np.float64]
_Places: TypeAlias = Callable[[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]]
"""The places of some values of a matrix in its blob, ascending, and in itself."""


@dataclass(frozen=True)
class OrthonormalFrame(SphereCoordinate):
    """The distribution of one value, and the matrix that they make together.

    Attributes:
        rows: of the matrix.
        columns: of the matrix.
    """

    rows: int
    columns: int

    def frame(self, random: RandomStream, places: _Places | None = None) -> NDArray[np.float64]:
        """Return the vectors before the gain, float64 [min(rows, columns), max(rows, columns)].

        Args:
            random: the stream of the blob.
            places: tells where values `start` to `stop` of the matrix lie; None where it is the blob, row by row.

        Raises:
            Cancelled: nobody wants it any more.
        """
        from filler_server.fillers import orthonormal_kernels as kernels

        number, length = sorted((self.rows, self.columns))
        vectors = np.zeros((number, -(-length // kernels.LANES) * kernels.LANES))
        if places is None:
            self._draw(vectors, random)
        else:
            self._draw_at(places, vectors, random)
        for first in range(0, number, _BLOCK):
            block = first, min(first + _BLOCK, number)
            step = max(_STEP // (vectors.shape[1] * _BLOCK) // _BLOCK, 1) * _BLOCK
            for _ in range(2):
                for begin in range(0, first, step):
                    checkpoint()
                    kernels.project(vectors, (begin, min(begin + step, first)), block)
                checkpoint()
                kernels.orthonormalize(vectors, block)
        return vectors[:, :length]

    def _draw(self, vectors: NDArray[np.float64], random: RandomStream) -> None:
        at_once = max(_DRAWN // self.columns, 1)
        for row in range(0, self.rows, at_once):
            checkpoint()
            rows = min(at_once, self.rows - row)
            values: NDArray[np.float64] = np.empty(rows * self.columns)
            random.gaussian(values, Runs.contiguous(row * self.columns, values.size), 0.0, 1.0)
            matrix = values.reshape(rows, self.columns)
            if self.rows <= self.columns:
                vectors[row : row + rows, : self.columns] = matrix
            else:
                vectors[:, row : row + rows] = matrix.T

    def _draw_at(self, places: _Places, vectors: NDArray[np.float64], random: RandomStream) -> None:
        count = self.rows * self.columns
        for start in range(0, count, _DRAWN):
            checkpoint()
            in_blob, in_matrix = places(start, min(start + _DRAWN, count))
            values: NDArray[np.float64] = np.empty(in_blob.size)
            random.gaussian(values, Runs(in_blob, np.arange(in_blob.size + 1)), 0.0, 1.0)
            row, column = np.divmod(in_matrix, self.columns)
            vectors[(row, column) if self.rows <= self.columns else (column, row)] = values


class Whole:
    """The matrices of one blob, each computed when the first of its values is asked for, and then kept.

    Args:
        distribution: that of a matrix.
        arrangement: where the matrices lie in the blob; None: it is one, row by row.
    """

    def __init__(self, distribution: OrthonormalFrame, arrangement: Arrangement | None = None) -> None:
        self._distribution = distribution
        self._arrangement = arrangement
        self._lock = threading.Lock()
        self._kept: tuple[RandomStream, _Dtype, dict[int, Values]] | None = None

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        """Write the values of `runs`."""
        if runs.starts.size == 1 and self._arrangement is None:
            start = int(runs.starts[0])
            out[:] = self._matrix(0, out.dtype, random)[start : start + out.size]
            return
        if self._arrangement is None:
            np.take(self._matrix(0, out.dtype, random), runs.indices(), out=out)
            return
        for begin, end, block in runs.blocks(_DRAWN, _DRAWN):
            numbers, within = self._arrangement.weights_of(block.indices())
            order = np.argsort(numbers, kind="stable")
            present, first = np.unique(numbers[order], return_index=True)
            for number, some in zip(present.tolist(), np.split(order, first[1:]), strict=True):
                out[begin:end][some] = self._matrix(number, out.dtype, random)[within[some]]

    def _matrix(self, number: int, dtype: _Dtype, random: RandomStream) -> Values:
        with self._lock:
            if self._kept is None or self._kept[:2] != (random, dtype):
                self._kept = random, dtype, {}
            matrices = self._kept[2]
            if number not in matrices:
                matrices[number] = self._values(number, dtype, random)
            return matrices[number]

    def _values(self, number: int, dtype: _Dtype, random: RandomStream) -> Values:
        distribution, arrangement = self._distribution, self._arrangement
        places = None if arrangement is None else partial(arrangement.places_of, number)
        while not _WORKSHOP.acquire(timeout=_PATIENCE):
            checkpoint()
        try:
            frame = distribution.frame(random, places)
            frame *= distribution.radius
            matrix = frame if distribution.rows <= distribution.columns else frame.T
            values = np.empty(matrix.size, dtype)
            values.reshape(matrix.shape)[...] = matrix
            return values
        finally:
            _WORKSHOP.release()
