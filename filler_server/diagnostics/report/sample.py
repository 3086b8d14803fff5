"""Samples of tensors, taken while they are read for another purpose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.tensors import Tensor

Kind: TypeAlias = Literal["filters", "matrix", "bars"]

MOST_VALUES = 1 << 16
MOST_FILTERS = 64
_MOST_KERNEL = 32
_MOST_ROWS, _MOST_COLUMNS = 96, 192
_MOST_BARS = 256
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Layout:
    """Values of a blob that are shown as an image or as bars.

    Attributes:
        kind: filters: a stack of images; matrix: one image; bars: one value after the other.
        places: int64, where the values are in the blob in C order; of the shape [filters, channels, rows, columns],
            [rows, columns] or [bars].
        caption: the choice in words.
    """

    kind: Kind
    places: NDArray[np.int64]
    caption: str


class Sample:
    """Values at given places of a tensor that is read in order."""

    def __init__(self, places: NDArray[np.int64]) -> None:
        flat = places.reshape(-1)
        self._shape = places.shape
        self._order = np.argsort(flat, kind="stable")
        self._sorted = flat[self._order]
        self._values = np.full(flat.size, np.nan)

    def add(self, start: int, block: NDArray[Any]) -> None:
        """Keep what is wanted of the values from number `start` on."""
        first, last = np.searchsorted(self._sorted, [start, start + block.size])
        if first < last:
            self._values[self._order[first:last]] = block[self._sorted[first:last] - start].astype(np.float64)

    def finish(self) -> None:
        """Forget the places, which take more memory than the values."""
        self._order = self._sorted = np.empty(0, np.int64)

    @property
    def values(self) -> NDArray[np.float64]:
        """The values in the shape of the places; NaN where they did not come."""
        return self._values.reshape(self._shape)


class BlobSample(Tensor):
    """A tensor that keeps a sample of its values while its blocks are read; memory does not grow with it.

    Attributes:
        spread: up to 65536 values from all over the blob.
        layout: choice of the values to be shown as they stand, None for a blob without values or a single one.
        shown: these values.
    """

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor.name, tensor.shape, tensor.dtype)
        self._tensor = tensor
        self.layout = layout(tensor.shape)
        self._samples = [Sample(spread_places(tensor.count))]
        if self.layout is not None:
            self._samples.append(Sample(self.layout.places))

    @property
    def spread(self) -> NDArray[np.float64]:
        """The values from all over the blob."""
        return self._samples[0].values

    @property
    def shown(self) -> NDArray[np.float64] | None:
        """The values of the layout."""
        return self._samples[1].values if self.layout is not None else None

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Read values, of which nothing is kept."""
        self._tensor.read(start, out)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the blocks of the tensor."""
        start = 0
        for block in self._tensor.blocks():
            for sample in self._samples:
                sample.add(start, block)
            start += block.size
            yield block
        for sample in self._samples:
            sample.finish()


def spread_places(count: int) -> NDArray[np.int64]:
    """Return up to 65536 places of `count`, ascending: one at an uneven distance in each of as many equal parts.

    The distances are multiples of the golden ratio modulo 1, so that no period of the values meets that of the places.
    """
    if count <= MOST_VALUES:
        return np.arange(count)
    parts = np.arange(MOST_VALUES)
    return np.minimum(((parts + parts * _GOLDEN % 1) * (count / MOST_VALUES)).astype(np.int64), count - 1)


def layout(shape: Sequence[int]) -> Layout | None:
    """Return which values of a blob of this shape to show: filters of a convolution, a matrix, or bars."""
    if prod(shape) < 2:
        return None
    if len(shape) == 4 and shape[2] * shape[3] > 1:
        return _filters(shape)
    if len(shape) < 2 or prod(shape[1:]) == 1 or shape[0] == 1:
        places = _evenly(prod(shape), _MOST_BARS)
        return Layout("bars", places, _of(places.size, prod(shape), "values"))
    columns = prod(shape[1:])
    rows, across = _evenly(shape[0], _MOST_ROWS), _evenly(columns, _MOST_COLUMNS)
    caption = f"{_of(rows.size, shape[0], 'rows')}, {_of(across.size, columns, 'columns')}"
    return Layout("matrix", rows[:, None] * columns + across, caption)


def _filters(shape: Sequence[int]) -> Layout:
    outputs, inputs, height, width = shape
    channels = 3 if inputs == 3 else 1
    down, across = _evenly(height, _MOST_KERNEL), _evenly(width, _MOST_KERNEL)
    number = min(outputs, MOST_FILTERS)
    planes = np.arange(number)[:, None] * inputs + np.arange(channels)
    places = planes[:, :, None, None] * (height * width) + down[:, None] * width + across
    which = "channels as red, green and blue" if channels == 3 else f"the first of {inputs:,} input channels"
    return Layout("filters", places, f"{_of(number, outputs, 'filters', first=True)}, {which}")


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _of(shown: int, count: int, what: str, *, first: bool = False) -> str:
    if shown == count:
        return f"all {count:,} {what}"
    return f"the first {shown:,} of {count:,} {what}" if first else f"{shown:,} of {count:,} {what} at even distances"
