"""Files in memory by mapping, and tensors that lie in them: nothing is read before it is looked at."""

import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import WeightsError
from caffe_filler.files import open_file
from filler_server.tensors import BLOCK, Place, Tensor


class MappedFile:
    """A file of any size, mapped for reading.

    The mapping lasts as long as anything refers to it, such as an array over it, also after `close`. As with every
    mapping, a file that somebody cuts short meanwhile ends the process.

    Attributes:
        path: where it lies, for messages.
        size: its length in bytes.
        view: its bytes.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Map an open file, which then belongs to the mapping.

        Raises:
            WeightsError: it is not a regular file, or empty.
            OSError: it cannot be mapped.
        """
        self.path = path
        self._file = file
        status = os.fstat(file.fileno())
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError("a file of weights is a regular file, neither a folder nor a pipe")
        if self.size == 0:
            raise WeightsError("the file is empty")
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # An array holds on to the view, and so to the mapping; of the mapping itself it would hold the address alone.
        self.view = memoryview(self._map)

    @classmethod
    def open(cls, path: Path) -> "MappedFile":
        """Map the file of a path; the errors are those of the class, and OSError where there is none."""
        # Without waiting for somebody who writes to a pipe.
        file = BufferedReader(open_file(path))
        try:
            return cls(path, file)
        except BaseException:
            file.close()
            raise

    def read(self, start: int, stop: int) -> bytes:
        """Return a copy of the bytes start <= i < stop, as many of them as there are."""
        return self._map[start:stop]

    def starts_with(self, prefix: bytes) -> bool:
        """Whether the file starts with these bytes."""
        return self._map[: len(prefix)] == prefix

    def array(self, offset: int, count: int, dtype: np.dtype[Any], stride: int | None = None) -> NDArray[Any]:
        """Return `count` values from byte `offset` on as a read-only view; the caller knows that they are there."""
        strides = (dtype.itemsize if stride is None else stride,)
        return np.ndarray((count,), dtype, self.view, offset, strides)

    def release(self, offset: int, nbytes: int) -> None:
        """Give pages back that were looked at; who looks again gets them again."""
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (offset + nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first, length)

    def fileno(self) -> int:
        """Return the descriptor of the open file."""
        return self._file.fileno()

    def reader(self) -> BinaryIO:
        """Return the open file itself, for libraries that read files."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Close the file; the mapping stays."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Segment:
    """Values that lie at equal distances: from a byte on, so many, so many bytes apart."""

    offset: int
    count: int
    stride: int


class MappedTensor(Tensor):
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
        super().__init__(name, shape, dtype)
        self.legacy = legacy
        self._stored = dtype
        self._file = file
        self._segments = tuple(segments)

    @property
    def place(self) -> Place | None:
        """The place in the file if it is one piece in this machine's byte order."""
        plain = len(self._segments) == 1 and self._segments[0].stride == self._stored.itemsize
        return Place(self._file, self._segments[0].offset) if plain and self._stored == self.dtype else None

    def array(self) -> NDArray[Any]:
        """Return a view of the file, or a copy of what lies there in several segments."""
        parts = [self._file.array(part.offset, part.count, self._stored, part.stride) for part in self._segments]
        values = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, self._stored), *parts])
        values = values.astype(self.dtype, copy=False).reshape(self.shape)
        values.flags.writeable = False
        return values

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the values."""
        done = 0
        for block in self._views(start, start + out.size):
            out[done : done + block.size] = block
            done += block.size

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield views of the file, whose pages are given back afterwards."""
        for block in self._views(0, self.count):
            yield block.astype(self.dtype, copy=False)

    def _views(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        """Yield the values start <= i < stop as they lie in the file, and give their pages back."""
        for segment in self._segments:
            first, end = max(start, 0), min(stop, segment.count)
            for begin in range(first, end, BLOCK):
                count, offset = min(BLOCK, end - begin), segment.offset + begin * segment.stride
                yield self._file.array(offset, count, self._stored, segment.stride)
                self._file.release(offset, count * segment.stride)
            start, stop = start - segment.count, stop - segment.count
