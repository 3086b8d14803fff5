"""Windows that slide over the spatial axes of an array: sums and largest values of them, and all their values."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from filler_server.models.reference.registry import Array

LOWEST = -float(np.finfo(np.float32).max)
"""The value that the largest of a window starts from in Caffe, whatever its dtype."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a convolution, each attribute with one entry for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def over(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Return how many windows there are on each axis.

        Caffe's division rounds toward 0, so that there is one where less than a step is missing from it.
        """
        rooms = zip(extents, self.stride, self.pad, self._reach, strict=True)
        return tuple(_quotient(extent + 2 * pad - reach, stride) + 1 for extent, stride, pad, reach in rooms)

    def beyond(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Return how far the last window reaches beyond the padded input on each axis; what lies there is 0."""
        ends = zip(self.spread(self.over(extents)), extents, self.pad, strict=True)
        return tuple(max(0, end - extent - 2 * pad) for end, extent, pad in ends)

    def spread(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Return the extents that give these numbers of windows, padding included."""
        return tuple(
            stride * (extent - 1) + reach
            for extent, stride, reach in zip(extents, self.stride, self._reach, strict=True)
        )

    @property
    def _reach(self) -> tuple[int, ...]:
        return tuple(gap * (size - 1) + 1 for size, gap in zip(self.kernel, self.dilation, strict=True))


def sums(x: Array, axis: int, windows: int, kernel: int, stride: int = 1, pad: int = 0) -> Array:
    """Return the sum of each window along an axis; what lies outside of the array counts as 0."""
    result = np.zeros((*x.shape[:axis], windows, *x.shape[axis + 1 :]), x.dtype)
    for inside, source in taps(x.shape[axis], windows, kernel, stride, pad):
        result[_at(axis, inside)] += x[_at(axis, source)]
    return result


def largest(x: Array, axis: int, windows: int, kernel: int, stride: int = 1, pad: int = 0) -> Array:
    """Return the largest value of each window along an axis; NaN does not count."""
    result = np.full((*x.shape[:axis], windows, *x.shape[axis + 1 :]), LOWEST, x.dtype)
    for inside, source in taps(x.shape[axis], windows, kernel, stride, pad):
        part = result[_at(axis, inside)]
        np.fmax(part, x[_at(axis, source)], out=part)
    return result


def taps(extent: int, windows: int, kernel: int, stride: int, pad: int) -> Iterator[tuple[slice, slice]]:
    """Yield, for each place in a window, the windows in which it lies inside of the array, and where it lies there.

    Places that lie outside in every window are passed over, so that the work does not grow with an absurd kernel.
    """
    places: Iterable[int] = range(max(0, pad - (windows - 1) * stride), min(kernel, extent + pad))
    if kernel > extent * windows:
        inside = (range(pad - start, pad - start + extent) for start in range(0, windows * stride, stride))
        places = sorted({place for each in inside for place in each if 0 <= place < kernel})
    for tap in places:
        first = max(0, -((tap - pad) // stride))
        last = min(windows - 1, (extent - 1 + pad - tap) // stride)
        if first <= last:
            start = first * stride - pad + tap
            yield slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)


def patches(x: Array, windows: Windows) -> Array:
    """Return an item [C, *spatial] as [C, *kernel, *windows]: for each place in the kernel its value in each window.

    The result is a view of the padded item.
    """
    number = windows.over(x.shape[1:])
    beyond = windows.beyond(x.shape[1:])
    if any(windows.pad) or any(beyond):
        x = np.pad(x, [(0, 0), *((size, size + more) for size, more in zip(windows.pad, beyond, strict=True))])
    inner = [step * gap for step, gap in zip(x.strides[1:], windows.dilation, strict=True)]
    outer = [step * gap for step, gap in zip(x.strides[1:], windows.stride, strict=True)]
    return as_strided(x, (len(x), *windows.kernel, *number), (x.strides[0], *inner, *outer), writeable=False)


def _quotient(dividend: int, divisor: int) -> int:
    """Return a quotient rounded toward 0."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


def _at(axis: int, place: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, place)
