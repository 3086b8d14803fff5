"""`positive_unitball`: rows of positive values that sum to one."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from math import factorial, prod, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.cancellation import checkpoint
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.parameters import refuse_sparse
from filler_server.fillers.shape import check_axis, check_shape
from filler_server.rng.stream import RandomStream, Runs, Values

_BLOCK = 1 << 20
"""About so many values are computed, summed and divided at a time: they are still in the cache."""


class _RowSum(NamedTuple):
    """The sum of one row, and all that it depends on."""

    random: RandomStream
    length: int
    dtype: np.dtype[np.float32] | np.dtype[np.float64]
    row: int
    total: float


class PositiveUnitballFiller(Filler):
    """Positive values, each row of the first axis summing to 1.

    x[i, j] = u[i, j] / sum over k of u[i, k], u ~ U[0, 1], the sum in the blob's type, from 0, one by one in index
    order. A row of zeros only, where Caffe divides 0 by 0, becomes 1 / (its length). Caffe: `PositiveUnitballFiller`
    in `include/caffe/filler.hpp`.
    """

    type = "positive_unitball"
    fields = ()

    def __init__(self, param: FillerParameter) -> None:
        """Take no parameter."""
        refuse_sparse(param)
        self._last: _RowSum | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape with at least one axis."""
        check_axis(check_shape(shape), "filler type 'positive_unitball'")

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write uniform values divided by the sums of their rows.

        Rows that `runs` hold in part are computed whole, in blocks, for their sums.
        """
        length = prod(shape[1:])
        if out.size <= _BLOCK and runs.starts.size == 1 and not (int(runs.starts[0]) % length or out.size % length):
            # Nothing is to be cut, which small blobs would feel.
            self._fill_block(out, runs, length, random)
            return
        pieces = _cut_at_rows(runs, length).split(max(_BLOCK // length, 1) * length)
        for begin, end, block in _blocks(pieces):
            self._fill_block(out[begin:end], block, length, random)

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Mean 1 / n and the exact std, n being the length of a row."""
        n = prod(shape[1:])
        return Moments(1 / n, _std(n), 0.0, 1.0)

    def _fill_block(self, out: Values, pieces: Runs, length: int, random: RandomStream) -> None:
        from filler_server.fillers import kernels

        random.uniform(out, pieces, 0.0, 1.0)
        is_part = (pieces.starts % length != 0) | (np.diff(pieces.bounds) % length != 0)
        sums: Values = np.zeros(is_part.size, out.dtype)
        if is_part.any():
            rows, inverse = np.unique(pieces.starts[is_part] // length, return_inverse=True)
            sums[is_part] = self._sums(rows, length, out.dtype, random)[inverse]
        kernels.divide_rows(out, pieces, length, sums)

    def _sums(
        self,
        rows: NDArray[np.int64],
        length: int,
        dtype: np.dtype[np.float32] | np.dtype[np.float64],
        random: RandomStream,
    ) -> Values:
        """The sums of `rows`, ascending.

        The last one is remembered, so that the pieces of a long row, taken in order, do not sum it again.
        """
        from filler_server.fillers import kernels

        sums: Values = np.zeros(rows.size, dtype)
        last = self._last
        known = last is not None and last[:4] == (random, length, dtype, int(rows[0]))
        if last is not None and known:
            sums[0] = last.total
        width = min(length, _BLOCK)
        batch = _BLOCK // width
        values: Values = np.empty(min(batch, rows.size) * width, dtype)
        for first in range(int(known), rows.size, batch):
            some = rows[first : first + batch]
            for begin in range(0, length, width):
                checkpoint()
                count = min(width, length - begin)
                block = values[: some.size * count]
                bounds = np.arange(some.size + 1, dtype=np.int64) * count
                random.uniform(block, Runs(some * length + begin, bounds), 0.0, 1.0)
                kernels.add_rows(block, sums[first : first + batch])
        self._last = _RowSum(random, length, dtype, int(rows[-1]), float(sums[-1]))
        return sums


def _blocks(pieces: Runs) -> Iterator[tuple[int, int, Runs]]:
    """Pieces that together have about `_BLOCK` values, and where these begin and end in what all pieces have."""
    count = pieces.count
    cuts = np.searchsorted(pieces.bounds, np.arange(0, count + _BLOCK, _BLOCK))
    for first, last in pairwise(np.minimum(cuts, pieces.starts.size).tolist()):
        if first < last:
            begin, end = int(pieces.bounds[first]), int(pieces.bounds[last])
            yield begin, end, Runs(pieces.starts[first:last], pieces.bounds[first : last + 1] - begin)


def _cut_at_rows(runs: Runs, length: int) -> Runs:
    """Cut runs into the end of a row, whole rows, and the start of a row, leaving out what is empty."""
    lengths = np.diff(runs.bounds)
    ends = runs.starts + lengths
    head = np.minimum(-runs.starts % length, lengths)
    tail = np.where(head < lengths, ends % length, 0)
    starts = np.stack([runs.starts, runs.starts + head, ends - tail], axis=1).ravel()
    parts = np.stack([head, lengths - head - tail, tail], axis=1).ravel()
    kept = parts > 0
    return Runs(starts[kept], np.append(np.int64(0), np.cumsum(parts[kept])))


@lru_cache
def _std(n: int) -> float:
    """The standard deviation of u1 / S, S = u1 + ... + un, ui ~ U[0, 1].

    1 / S^2 is the integral of t exp(-t S) over t > 0, so that E[(u1 / S)^2] is that of t g(t) h(t)^(n - 1), with
    g(t) = E[u^2 exp(-t u)] and h(t) = E[exp(-t u)]; computed by the trapezoidal rule over ln t.
    """
    if n == 1:
        return 0.0
    log_t, step = np.linspace(np.log(1e-9 / n), np.log(1e9), 4001, retstep=True)
    t = np.exp(log_t)
    small = np.minimum(t, 1.0)
    series = sum((-small) ** k / (factorial(k) * (k + 3)) for k in range(20))
    g = np.where(t < 1, series, (2 - np.exp(-t) * (t * t + 2 * t + 2)) / t**3)
    log_h = np.where(t < 0.01, -t / 2 + t * t / 24 - t**4 / 2880, np.log(-np.expm1(-t) / t))
    second_moment = float(np.sum(t * t * g * np.exp((n - 1) * log_h)) * step)
    return sqrt(second_moment - 1 / n**2)
