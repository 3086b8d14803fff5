"""Distributions to values: on this machine's CPUs, into NumPy arrays.

This is the one place that executes distributions; all else knows them as data. Kernels, and with them Numba, are
imported where the first one is launched.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.cancellation import checkpoint
from filler_server.fillers.arrangement import Arrangement
from filler_server.fillers.diagonal import Diagonal
from filler_server.fillers.distributions import (
    BilinearPattern,
    Constant,
    Distribution,
    Gaussian,
    MaskedGaussian,
    RowNormalizedUniform,
    Uniform,
)
from filler_server.fillers.orthonormal import OrthonormalFrame, Whole
from filler_server.fillers.truncation import TruncatedGaussian
from filler_server.rng.stream import RandomStream, Runs, Values

Fill: TypeAlias = Callable[[Values, Runs, RandomStream], None]
"""Writes the elements `runs` of a blob to `out`, with the numbers of `random`.

`out` is one-dimensional, contiguous, of `runs.count` float32 or float64, the dtype for which the distribution was made.
Any runs in any order give the same values. Threads may share a Fill.
"""

_BLOCK = 1 << 20
"""About so many values are computed at a time where each needs scratch memory, or is looked at twice while it is still
in the cache."""

_SMALL = 1 << 15
"""Fewer constants than this NumPy has written before a kernel has begun."""

_SMALL_PLANE = 1 << 14
"""Planes of at most so many values are computed once and copied."""

_SCATTERED = 1 << 16
"""About so many values are computed at a time where each has a place of its own."""

_PATTERN = 1 << 12
"""At least so many values are copied at a time."""


def prepare(distribution: Distribution, arrangement: Arrangement | None = None) -> Fill:
    """Return what fills a blob with a distribution of `filler_server.fillers.distributions`, or one that has `fill`.

    Args:
        distribution: that of a weight.
        arrangement: where the weights lie in the blob; None: it is one, as Caffe has it.

    Raises:
        InvalidArgument: it is neither, or its values depend on their places and cannot be had in this arrangement.
    """
    if arrangement is not None and not (arrangement.is_caffe or type(distribution) in _WITHOUT_PLACES):
        return _arranged(distribution, arrangement)
    make = _BY_TYPE.get(type(distribution))
    if make is not None:
        return make(distribution)
    fill: Fill | None = getattr(distribution, "fill", None)
    if fill is None:
        raise InvalidArgument(
            "a distribution is one of filler_server.fillers.distributions, or has a method fill(out, runs, random). "
            f"Received: {distribution!r}"
        )
    return fill


def _arranged(distribution: Distribution, arrangement: Arrangement) -> Fill:
    if isinstance(distribution, OrthonormalFrame):
        return Whole(distribution, arrangement).fill
    if isinstance(distribution, RowNormalizedUniform):
        if arrangement.has_rows:
            return prepare(distribution)
        raise InvalidArgument(
            "the values of each output sum to 1, and must follow each other in the blob: its stacks and outputs come "
            "before all other axes, or the blob is filled as Caffe has it and transposed",
            field="axes",
        )
    if not isinstance(distribution, (BilinearPattern, Diagonal)):
        raise InvalidArgument(
            "values that depend on their places are filled in Caffe's order alone, [outputs, inputs, kernel...], "
            "without stacks",
            field="axes",
        )
    fill_weight = prepare(distribution)

    def fill(out: Values, runs: Runs, random: RandomStream) -> None:
        for begin, end, block in runs.blocks(_SCATTERED, _SCATTERED):
            checkpoint()
            _, places = arrangement.weights_of(block.indices())
            fill_weight(out[begin:end], Runs(places, np.arange(end - begin + 1)), random)

    return fill


def _constant(distribution: Constant) -> Fill:
    value = distribution.value

    def fill(out: Values, runs: Runs, random: RandomStream) -> None:
        if out.size < _SMALL:
            out.fill(value)
            return
        from filler_server.fillers import kernels

        kernels.constant(out, value)

    return fill


def _uniform(distribution: Uniform) -> Fill:
    low, high = distribution.low, distribution.high
    return lambda out, runs, random: random.uniform(out, runs, low, high)


def _gaussian(distribution: Gaussian) -> Fill:
    mean, std = distribution.mean, distribution.std
    return lambda out, runs, random: random.gaussian(out, runs, mean, std)


def _truncated_gaussian(distribution: TruncatedGaussian) -> Fill:
    params = distribution.center, distribution.scale, distribution.low, distribution.high
    return lambda out, runs, random: random.truncated(out, runs, *params)


def _masked_gaussian(distribution: MaskedGaussian) -> Fill:
    mean, std, kept = distribution.normal.mean, distribution.normal.std, distribution.kept

    def fill(out: Values, runs: Runs, random: RandomStream) -> None:
        random.gaussian(out, runs, mean, std)
        for begin, end, block in runs.blocks(_BLOCK, _BLOCK):
            mask = np.empty(end - begin, np.bool_)
            random.bernoulli(mask, block, kept)
            out[begin:end] *= mask

    return fill


def _bilinear_pattern(distribution: BilinearPattern) -> Fill:
    width = distribution.width

    def fill(out: Values, runs: Runs, random: RandomStream) -> None:
        from filler_server.fillers import kernels

        if width * width <= _SMALL_PLANE:
            kernels.repeat(out, runs, _planes(distribution), width * width)
        else:
            kernels.bilinear(out, runs, width, distribution.half, distribution.middle)

    return fill


@lru_cache(maxsize=16)
def _planes(distribution: BilinearPattern) -> NDArray[Any]:
    """Planes, one after the other, `_PATTERN` values or more."""
    weights = distribution.weights()
    return np.tile(np.multiply.outer(weights, weights).ravel(), -(-_PATTERN // distribution.width**2))


class _RowSum(NamedTuple):
    """The sum of one row, and all that it depends on."""

    random: RandomStream
    dtype: np.dtype[np.float32] | np.dtype[np.float64]
    row: int
    total: float


class _Rows:
    """Uniform values divided by the sums of their rows, which are taken in the dtype, one by one in index order."""

    def __init__(self, distribution: RowNormalizedUniform) -> None:
        self._length = distribution.length
        self._last: _RowSum | None = None

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        """Write the values; rows that `runs` hold in part are computed whole, in blocks, for their sums."""
        length = self._length
        if out.size <= _BLOCK and runs.starts.size == 1 and not (int(runs.starts[0]) % length or out.size % length):
            # Nothing is to be cut, which small blobs would feel.
            self._fill_block(out, runs, random)
            return
        for begin, end, block in _cut_at_rows(runs, length).blocks(_BLOCK, max(_BLOCK // length, 1) * length):
            self._fill_block(out[begin:end], block, random)

    def _fill_block(self, out: Values, pieces: Runs, random: RandomStream) -> None:
        from filler_server.fillers import kernels

        length = self._length
        random.uniform(out, pieces, 0.0, 1.0)
        is_part = (pieces.starts % length != 0) | (np.diff(pieces.bounds) % length != 0)
        sums: Values = np.zeros(is_part.size, out.dtype)
        if is_part.any():
            rows, inverse = np.unique(pieces.starts[is_part] // length, return_inverse=True)
            sums[is_part] = self._sums(rows, out.dtype, random)[inverse]
        kernels.divide_rows(out, pieces, length, sums)

    def _sums(
        self, rows: NDArray[np.int64], dtype: np.dtype[np.float32] | np.dtype[np.float64], random: RandomStream
    ) -> Values:
        """The sums of `rows`, ascending.

        The last one is remembered, so that the pieces of a long row, taken in order, do not sum it again.
        """
        from filler_server.fillers import kernels

        length = self._length
        sums: Values = np.zeros(rows.size, dtype)
        last = self._last
        known = last is not None and last[:3] == (random, dtype, int(rows[0]))
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
        self._last = _RowSum(random, dtype, int(rows[-1]), float(sums[-1]))
        return sums


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


_WITHOUT_PLACES = (Constant, Uniform, Gaussian, TruncatedGaussian, MaskedGaussian)
"""Distributions of values that are independent and alike, wherever in the blob they are."""

_BY_TYPE: dict[type, Callable[[Any], Fill]] = {
    Constant: _constant,
    Uniform: _uniform,
    Gaussian: _gaussian,
    TruncatedGaussian: _truncated_gaussian,
    MaskedGaussian: _masked_gaussian,
    BilinearPattern: _bilinear_pattern,
    OrthonormalFrame: lambda distribution: Whole(distribution).fill,
    RowNormalizedUniform: lambda distribution: _Rows(distribution).fill,
}
