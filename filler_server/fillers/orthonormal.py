"""The values of `orthogonal`: Gram and Schmidt's method on normal values, in float64 whatever the dtype.

A blob is a matrix of its first axis and all others. Its rows, or its columns where they are fewer, are the n vectors;
they begin as the standard normal values of the stream in the blob's places, in float64. In blocks of 32 vectors, in
their order, twice for each block: off each vector is taken what lies along the earlier blocks, 8 vectors at a time;
then the block is made orthonormal in itself. `filler_server.fillers.orthonormal_kernels` has the order of the sums. The
value is gain times the result, rounded to float64 and then to the dtype. All of it are IEEE 754 operations in a fixed
order, so that the bytes are the same on every CPU and for every number of threads. The signs are those of a
factorization whose R has a positive diagonal, which makes the matrix uniformly distributed (Mezzadri, "How to generate
random matrices from the classical compact groups", 2007).
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filler_server.cancellation import checkpoint
from filler_server.fillers.sphere import SphereCoordinate
from filler_server.rng.stream import RandomStream, Runs, Values

_BLOCK = 32
_STEP = 1 << 25
"""About so many products of a block with earlier vectors are computed between two looks whether they are wanted."""

_DRAWN = 1 << 18
"""Values that are drawn at once."""

_WORKSHOP = threading.Lock()
"""Held while a matrix is made: its vectors take twice the memory of its values, or as much as they."""

_PATIENCE = 0.1
"""Seconds between two looks whether a matrix that waits for another is still wanted."""


@dataclass(frozen=True)
class OrthonormalFrame(SphereCoordinate):
    """The distribution of one value, and the matrix that they make together.

    Attributes:
        rows: of the matrix.
        columns: of the matrix.
    """

    rows: int
    columns: int

    def frame(self, random: RandomStream) -> NDArray[np.float64]:
        """Return the vectors before the gain, float64 [min(rows, columns), max(rows, columns)].

        Raises:
            Cancelled: nobody wants it any more.
        """
        from filler_server.fillers import orthonormal_kernels as kernels

        number, length = sorted((self.rows, self.columns))
        vectors = np.zeros((number, -(-length // kernels.LANES) * kernels.LANES))
        self._draw(vectors, random)
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


class Whole:
    """The matrix of one blob, computed when the first of its values is asked for, and then kept."""

    def __init__(self, distribution: OrthonormalFrame) -> None:
        self._distribution = distribution
        self._lock = threading.Lock()
        self._kept: tuple[RandomStream, np.dtype[np.float32] | np.dtype[np.float64], Values] | None = None

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        """Write the values of `runs`."""
        with self._lock:
            if self._kept is None or self._kept[:2] != (random, out.dtype):
                self._kept = None
                self._kept = random, out.dtype, self._values(out.dtype, random)
            values = self._kept[2]
        if runs.starts.size == 1:
            start = int(runs.starts[0])
            out[:] = values[start : start + out.size]
        else:
            offsets = np.repeat(runs.starts - runs.bounds[:-1], np.diff(runs.bounds))
            np.take(values, offsets + np.arange(out.size), out=out)

    def _values(self, dtype: np.dtype[np.float32] | np.dtype[np.float64], random: RandomStream) -> Values:
        distribution = self._distribution
        while not _WORKSHOP.acquire(timeout=_PATIENCE):
            checkpoint()
        try:
            frame = distribution.frame(random)
            frame *= distribution.radius
            matrix = frame if distribution.rows <= distribution.columns else frame.T
            values = np.empty(matrix.size, dtype)
            values.reshape(matrix.shape)[...] = matrix
            return values
        finally:
            _WORKSHOP.release()
