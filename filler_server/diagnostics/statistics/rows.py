"""Blobs of which a filler promises something of whole rows: those of the first axis."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.diagnostics.statistics.figures import BLOCK, Figures, Ranks, look_at
from filler_server.diagnostics.statistics.judgement import ChanceTest, Judgement
from filler_server.diagnostics.statistics.sampled import promised
from filler_server.diagnostics.statistics.significance import kolmogorov
from filler_server.fillers.distributions import RowNormalizedUniform
from filler_server.fillers.orthonormal import OrthonormalFrame

LONGEST = 1 << 22
"""Values of a row that are held in memory."""

_PROBES = 4
_FLOAT32 = np.dtype(np.float32)


class NormalizedRows:
    """Rows of `positive_unitball`: each sums to 1, and its values over their largest are uniform.

    Of n independent uniform values the largest tells nothing of the others but that they lie below it, so that the
    others over it are again independent and uniform, and the sum by which all were divided does not show.

    Args:
        distribution: of a value.
        dtype: of the blob; values of 16 bits are too coarse for the second test.
        count: number of values of the blob.
    """

    bounds = None
    zero_share = 0.0
    is_varied = True

    def __init__(self, distribution: RowNormalizedUniform, dtype: np.dtype[Any], count: int) -> None:
        self._length = distribution.length
        self._dtype = dtype
        self.promised = promised(distribution, "positive values whose rows sum to 1")
        self._rest: NDArray[Any] = np.empty(0, dtype)
        self._wrong, self._rows = 0, 0
        self._ratios = look_at(np.dtype(np.float64), (0.0, 1.0), count)
        epsilon, least = _precision(dtype)
        computed, _ = _precision(dtype if dtype == np.float64 else _FLOAT32)
        # Each value is rounded, and the sum by which it was divided was added up one by one.
        self._tolerance = epsilon + self._length * (computed + least)

    def add(self, block: NDArray[Any]) -> None:
        """Sum up the rows that a block completes, and rank their values over the largest."""
        values = np.concatenate([self._rest, block]) if self._rest.size else block
        whole = values.size - values.size % self._length
        self._rest = values[whole:].copy()
        rows = values[:whole].reshape(-1, self._length)
        if not rows.size:
            return
        with np.errstate(all="ignore"):
            sums, largest = rows.sum(axis=1, dtype=np.float64), rows.max(axis=1, keepdims=True)
            self._wrong += int(np.count_nonzero(~(np.abs(sums - 1) <= self._tolerance)))
            self._rows += len(rows)
            if self._dtype.itemsize > 2:
                self._ratios.add((rows / largest).reshape(-1))

    def judgement(self, figures: Figures, ranks: Ranks | None) -> Judgement:
        """Test the values over the largest of their rows, unless sums rule the promise out."""
        faults, notes, tests = [], [], []
        if self._wrong:
            faults.append(f"{self._wrong:,} of {self._rows:,} rows do not sum to 1")
        if figures.minimum is not None and figures.minimum < 0:
            faults.append(f"values reach {figures.minimum:.6g}, and none lies below 0")
        seen, found = self._ratios.figures(), self._ratios.ranks()
        # The largest value of each row is below no edge.
        others = seen.finite - self._rows
        if others > 0 and found is not None and not faults:
            distance = float(np.max(np.abs(found.below / others - found.edges)))
            error = float(found.edges[1] - found.edges[0])
            tests.append(ChanceTest("distribution", distance, kolmogorov(distance, others), error))
        elif not faults:
            notes.append(f"{self._dtype} is too coarse to tell how the values of a row are distributed")
        return Judgement(tuple(tests), tuple(faults), tuple(notes))


class OrthonormalRows:
    """Matrices of `orthogonal`: rows, or columns where they are fewer, that are orthonormal times a gain.

    Of orthonormal vectors any sum with signs has as many squares as there are vectors; of others that holds for few
    choices of the signs, of which four are tried. That the matrix is one of chance is seen by its mean, which is one
    coordinate of a point on a sphere.

    Args:
        distribution: of a value.
        dtype: of the blob.
    """

    bounds = None
    zero_share = 0.0
    is_varied = True

    def __init__(self, distribution: OrthonormalFrame, dtype: np.dtype[Any]) -> None:
        self._rows, self._columns = distribution.rows, distribution.columns
        self._distribution = distribution
        self.promised = promised(distribution, "orthonormal rows or columns times a gain")
        self._lies = distribution.rows <= distribution.columns
        number = min(self._rows, self._columns)
        random = np.random.default_rng(1)
        self._signs = random.choice([-1.0, 1.0], (_PROBES, number))
        self._squares = np.zeros(number)
        self._is_short = not self._lies or self._columns <= LONGEST
        self._sums = np.zeros((_PROBES, self._columns if self._lies and self._is_short else 1))
        self._lengths = np.zeros(_PROBES)
        self._total, self._seen = 0.0, 0
        epsilon, least = _precision(dtype)
        long = max(self._rows, self._columns)
        least /= distribution.radius / math.sqrt(long)
        rounding = max(epsilon, least)
        by_chance = 8 * rounding / math.sqrt(long)
        self._tolerance = by_chance + 4 * rounding**2 + 1e-5
        self._tolerance_of_lengths = min(by_chance, rounding) + 4 * rounding**2 + 1e-5

    def add(self, block: NDArray[Any]) -> None:
        """Add up squares of the vectors, and the vectors with signs."""
        with np.errstate(all="ignore"):
            for begin in range(0, block.size, BLOCK):
                self._add(block[begin : begin + BLOCK])

    def _add(self, block: NDArray[Any]) -> None:
        for row, column, part in row_parts(self._seen, block, self._columns):
            values = part.astype(np.float64)
            rows, columns = slice(row, row + len(values)), slice(column, column + values.shape[1])
            self._total += float(values.sum())
            if self._lies:
                self._squares[rows] += np.einsum("ij,ij->i", values, values)
                if self._is_short:
                    self._sums[:, columns] += self._signs[:, rows] @ values
            else:
                self._squares[columns] += np.einsum("ij,ij->j", values, values)
                self._add_columns(values, columns)
        self._seen += block.size

    def _add_columns(self, values: NDArray[np.float64], columns: slice) -> None:
        """Add the squares of rows of sums over columns; a row that a block cuts waits for its end."""
        sums = self._signs[:, columns] @ values.T
        sums[:, 0] += self._sums[:, 0]
        self._sums[:, 0] = 0.0
        if columns.stop < self._columns:
            self._sums[:, 0] = sums[:, -1]
            sums = sums[:, :-1]
        self._lengths += np.einsum("ij,ij->i", sums, sums)

    def judgement(self, figures: Figures, ranks: Ranks | None) -> Judgement:
        """Compare lengths, and test the mean."""
        vectors = "rows" if self._lies else "columns"
        radius = self._distribution.radius
        lengths = np.einsum("ij,ij->i", self._sums, self._sums) if self._lies else self._lengths
        faults = []
        wrong = int(np.count_nonzero(~(np.abs(self._squares / radius**2 - 1) <= self._tolerance_of_lengths)))
        if wrong:
            faults.append(f"{wrong:,} of {self._squares.size:,} {vectors} do not have the length {radius:.6g}")
        elif self._is_short and not np.all(np.abs(lengths / radius**2 / self._squares.size - 1) <= self._tolerance):
            faults.append(f"the {vectors} are not orthogonal to each other")
        if faults or self._columns * self._rows == 1:
            return Judgement(faults=tuple(faults))
        notes = () if self._is_short else (f"rows of more than {LONGEST:,} values are not held against each other",)
        z = self._total / math.sqrt(self._rows * self._columns) / radius
        tail = float(self._distribution.cdf(-abs(z) * radius))
        test = ChanceTest("mean", z * math.sqrt(max(self._rows, self._columns)), min(2 * tail, 1.0))
        return Judgement((test,), notes=notes)


def row_parts(start: int, block: NDArray[Any], length: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield the parts of rows that a block has: the end of a row, whole rows, the start of one.

    Args:
        start: flat index of the first value of the block.
        block: consecutive values.
        length: of a row.

    Yields:
        First row, first column, and the values as [rows, columns].
    """
    at = 0
    while at < block.size:
        row, column = divmod(start + at, length)
        if column or block.size - at < length:
            count, rows = min(length - column, block.size - at), 1
        else:
            rows = (block.size - at) // length
            count = rows * length
        yield row, column, block[at : at + count].reshape(rows, -1)
        at += count


def _precision(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the distance from 1 to the next value, and the smallest value above 0."""
    one = np.ones((), dtype)
    nothing, infinity = np.zeros((), dtype), np.array(np.inf).astype(dtype)
    steps = (np.nextafter(value, infinity).astype(np.float64) - value.astype(np.float64) for value in (one, nothing))
    epsilon, least = (float(step) for step in steps)
    return epsilon, least
