"""Tensors with their axes in reverse order."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.tensors.tensor import BLOCK, Tensor

_PANEL = 8 * BLOCK
"""Values of the result that stand in memory at once. Each such panel is one pass over the other tensor."""


def transposed(tensor: Tensor) -> Tensor:
    """Return a tensor with its axes in reverse order, of a matrix the transposed one.

    Memory holds 8 Mi values and at least one row of the result. Of a longer tensor all values are read again for each
    of these panels.
    """
    return _Transposed(tensor) if len(tensor.shape) > 1 else tensor


class _Transposed(Tensor):
    def __init__(self, base: Tensor) -> None:
        super().__init__(base.name, base.shape[::-1], base.dtype)
        self._base = base
        self._row = prod(self.shape[1:])

    def read(self, start: int, out: NDArray[Any]) -> None:
        if out.size:
            first, stop = start // self._row, -(-(start + out.size) // self._row)
            position = first * self._row - start
            for panel in self._panels(first, stop):
                begin, end = max(position, 0), min(position + panel.size, out.size)
                out[begin:end] = panel[begin - position : end - position]
                position += panel.size

    def blocks(self) -> Iterator[NDArray[Any]]:
        return self._panels(0, self.shape[0] if self._row else 0)

    def _panels(self, first: int, stop: int) -> Iterator[NDArray[Any]]:
        """Yield the rows first <= row < stop, some at a time."""
        step = max(_PANEL // self._row, 1) if self._row else 1
        for start in range(first, stop, step):
            rows = min(step, stop - start)
            yield self._panel(start, rows)

    def _panel(self, first: int, rows: int) -> NDArray[Any]:
        """Return some rows: columns of the other tensor, seen as a matrix."""
        panel = np.empty((rows, self._row), self.dtype)
        for start, columns in self._columns(first, rows):
            panel[:, start : start + len(columns)] = columns.T
        if len(self.shape) > 2:
            inner = panel.reshape(rows, *self.shape[:0:-1])
            panel = np.ascontiguousarray(inner.transpose(0, *range(inner.ndim - 1, 0, -1)))
        return panel.reshape(-1)

    def _columns(self, first: int, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield some columns of the other tensor, seen as a matrix, a block of its rows at a time."""
        width = self.shape[0]
        if width > BLOCK:
            for row in range(self._row):
                part = np.empty(count, self.dtype)
                self._base.read(row * width + first, part)
                yield row, part.reshape(1, -1)
            return
        height = BLOCK // width
        for row in range(0, self._row, height):
            block = np.empty((min(height, self._row - row), width), self.dtype)
            self._base.read(row * width, block.reshape(-1))
            yield row, block[:, first : first + count]
