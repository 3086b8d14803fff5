"""Parts of a blob: what a rank of a training cluster holds of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from caffe_filler.errors import RegionError
from caffe_filler.printable import counted
from caffe_filler.shapes import check_shape
from filler_server.rng.stream import Runs


@dataclass(frozen=True, slots=True)
class Region:
    """A box of a blob, in C order.

    A flat range of a blob is a box of the same blob seen as one axis.

    Attributes:
        dims: the axes of the blob, or its count alone for a flat range.
        starts: first index on each axis.
        shape: length on each axis; the region is empty where one is 0.
        is_flat: the region is a flat range.
    """

    dims: tuple[int, ...]
    starts: tuple[int, ...]
    shape: tuple[int, ...]
    is_flat: bool = False

    @classmethod
    def whole(cls, shape: Sequence[int]) -> "Region":
        """All of a blob of `shape`."""
        return _whole(check_shape(shape))

    @classmethod
    def box(cls, shape: Sequence[int], ranges: Sequence[tuple[int, int | None]]) -> "Region":
        """The indices start <= i < stop on each axis; a stop of None is the end of the axis.

        Axes for which no range is left are whole.

        Raises:
            ShapeError: no blob can have `shape`.
            RegionError: more ranges than axes, or a range outside its axis.
        """
        dims = check_shape(shape)
        if len(ranges) > len(dims):
            raise RegionError(
                f"a box has at most one range for each of the {len(dims)} axes. "
                f"Received: region={_text(ranges)}, shape={list(dims)}"
            )
        ranges = [*ranges, *[(0, None)] * (len(dims) - len(ranges))]
        stops = [dim if stop is None else stop for (_, stop), dim in zip(ranges, dims, strict=True)]
        for axis, ((start, _), stop, dim) in enumerate(zip(ranges, stops, dims, strict=True)):
            if not 0 <= start <= stop <= dim:
                raise RegionError(
                    f"a range of axis {axis} needs 0 <= start <= stop <= {dim}. "
                    f"Received: region={_text(ranges)}, shape={list(dims)}"
                )
        starts = tuple(start for start, _ in ranges)
        return cls(dims, starts, tuple(stop - start for start, stop in zip(starts, stops, strict=True)))

    @classmethod
    def flat(cls, shape: Sequence[int], start: int, stop: int | None) -> "Region":
        """The elements start <= i < stop in C order; a stop of None is the end of the blob.

        Raises:
            ShapeError: no blob can have `shape`.
            RegionError: the range lies outside the blob.
        """
        count = prod(check_shape(shape))
        end = count if stop is None else stop
        if not 0 <= start <= end <= count:
            raise RegionError(
                f"the blob has {counted(count, 'value')}, and a flat range needs 0 <= start <= stop <= {count}. "
                f"Received: region={_text([(start, stop)])}, shape={list(shape)}"
            )
        return cls((count,), (start,), (end - start,), is_flat=True)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Start and stop on each axis."""
        return tuple((start, start + length) for start, length in zip(self.starts, self.shape, strict=True))

    @property
    def count(self) -> int:
        """Number of values in the region."""
        return prod(self.shape)

    @property
    def is_whole(self) -> bool:
        """The region is the blob itself."""
        return not self.is_flat and self.shape == self.dims

    @property
    def is_contiguous(self) -> bool:
        """The values of the region follow each other in the blob."""
        return self.is_flat or self.shape == self.dims or prod(self.shape[: self._run_axis()]) <= 1

    def runs(self, start: int, count: int) -> Runs:
        """Return where in the blob the values `start` to `start + count` of the region lie; count > 0."""
        if self.is_flat or self.shape == self.dims:
            return Runs.contiguous(start + (self.starts[0] if self.is_flat else 0), count)
        axis = self._run_axis()
        inner = prod(self.dims[axis + 1 :])
        length = (self.shape[axis] if self.shape else 1) * inner
        first, last = start // length, (start + count - 1) // length
        strides = [prod(self.dims[k + 1 :]) for k in range(len(self.dims))]
        origin = sum(index * stride for index, stride in zip(self.starts, strides, strict=True))
        numbers = np.arange(first, last + 1, dtype=np.int64)
        starts = np.full(numbers.shape, origin, np.int64)
        for k in reversed(range(axis)):
            numbers, index = np.divmod(numbers, self.shape[k])
            starts += index * strides[k]
        bounds = np.arange(first, last + 2, dtype=np.int64) * length - start
        bounds[0], bounds[-1] = 0, count
        starts[0] += start - first * length
        return Runs(starts, bounds)

    def _run_axis(self) -> int:
        """The axis within which a run of consecutive values lies: the axes after it are whole."""
        axis = max(len(self.dims) - 1, 0)
        while axis > 0 and self.shape[axis] == self.dims[axis]:
            axis -= 1
        return axis


@lru_cache(maxsize=1024)
def _whole(dims: tuple[int, ...]) -> Region:
    return Region(dims, (0,) * len(dims), dims)


def _text(ranges: Sequence[tuple[int, int | None]]) -> str:
    return ",".join(f"{start}:{'' if stop is None else stop}" for start, stop in ranges)
