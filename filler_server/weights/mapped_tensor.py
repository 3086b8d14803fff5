"""Tensors whose values lie in a mapped file, in whatever distances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.weights.mapped import MappedFile
from filler_server.weights.stored import BLOCK, FileRange, StoredTensor


@dataclass(frozen=True, slots=True)
class Segment:
    """Values that lie at equal distances: from a byte on, so many, so many bytes apart."""

    offset: int
    count: int
    stride: int


class MappedTensor(StoredTensor):
    """A tensor whose values lie in a mapped file, in one or several segments that follow each other."""

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        file: MappedFile,
        segments: Sequence[Segment],
        *,
        legacy: bool = False,
    ) -> None:
        super().__init__(name, shape, dtype, legacy=legacy)
        self._stored = dtype
        self._file = file
        self._segments = tuple(segments)

    @property
    def place(self) -> FileRange | None:
        """Where the bytes lie if it is one piece in this machine's byte order."""
        if len(self._segments) != 1 or not self._plain(self._segments[0]) or self._stored != self.dtype:
            return None
        return FileRange(self._file, self._segments[0].offset)

    def array(self) -> NDArray[Any]:
        """Return a view of the file, or a copy of what lies there in several segments."""
        if len(self._segments) == 1:
            values = self._view(self._segments[0])
        else:
            parts = [self._view(segment) for segment in self._segments]
            values = np.concatenate([np.empty(0, self._stored), *parts])
            values.flags.writeable = False
        return values.astype(self.dtype, copy=False).reshape(self.shape)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield views of the file, whose pages are given back afterwards."""
        for segment in self._segments:
            values = self._view(segment)
            for start in range(0, segment.count, BLOCK):
                block = values[start : start + BLOCK]
                yield block.astype(self.dtype, copy=False)
                self._file.release(segment.offset + start * segment.stride, block.size * segment.stride)

    def _view(self, segment: Segment) -> NDArray[Any]:
        return self._file.array(segment.offset, segment.count, self._stored, segment.stride)

    def _plain(self, segment: Segment) -> bool:
        return segment.stride == self._stored.itemsize
