"""A file in memory by mapping: nothing of it is read before it is looked at."""

import mmap
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import WeightsError


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
            WeightsError: it is no regular file, or empty.
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
        file = path.open("rb")
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
