"""A named array whose values come later."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.printable import printable

BLOCK = 1 << 20
"""Values that are read at once."""

Advance: TypeAlias = Callable[[int, str], None]
"""Notes progress: a number of bytes that are done, and the name of the tensor that they belong to."""


class OpenFile(Protocol):
    """A file that has a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a tensor's bytes in a file: in one piece, in C order, in this machine's byte order."""

    file: OpenFile
    offset: int


class Tensor(ABC):
    """A named array whose values come later.

    Attributes:
        name: its name.
        shape: its shape.
        dtype: the type of its values, in the byte order of this machine.
        count: number of values.
        nbytes: length of the values in bytes.
        legacy: the shape is one from before Caffe's BlobShape: always four axes, of which the leading ones may be
            fillers of 1. Only files of Caffe say so.
    """

    legacy = False

    def __init__(self, name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.name = name
        self.shape = tuple(shape)
        self.dtype = dtype.newbyteorder("=")
        self.count = prod(self.shape)
        self.nbytes = self.count * self.dtype.itemsize

    def __repr__(self) -> str:
        return printable(f"<{type(self).__name__} '{self.name}' {list(self.shape)} {self.dtype}>")

    @property
    def place(self) -> Place | None:
        """Place of the bytes in a file, or None if they lie in none."""
        return None

    @abstractmethod
    def read(self, start: int, out: NDArray[Any]) -> None:
        """Write the values from `start`, counted in C order, to `out`.

        Args:
            start: first value; `start + out.size <= count`.
            out: one-dimensional, contiguous and of this tensor's dtype.

        Raises:
            WeightsError: a file is damaged.
            FillerError: a server does not deliver the values.
            OSError: a file cannot be read.
        """

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in C order, in one-dimensional blocks of about `BLOCK`.

        A block is valid until the next one is asked for. The errors are those of `read`.
        """
        buffer = np.empty(min(BLOCK, self.count), self.dtype)
        for start in range(0, self.count, BLOCK):
            block = buffer[: min(BLOCK, self.count - start)]
            self.read(start, block)
            yield block

    def array(self) -> NDArray[Any]:
        """Return the values as a read-only array of the tensor's shape: a view of a file where they lie in one.

        The errors are those of `read`.
        """
        values = np.empty(self.shape, self.dtype)
        self.read(0, values.reshape(-1))
        values.flags.writeable = False
        return values


class ArrayTensor(Tensor):
    """An array in memory, with any strides."""

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        super().__init__(name, array.shape, array.dtype)
        # What NumPy computes of arrays without axes is no array, and is taken, too.
        self._array = np.asarray(array).view()
        self._array.flags.writeable = False

    def array(self) -> NDArray[Any]:
        """Return the array itself, read-only."""
        values = self._array.astype(self.dtype, copy=False)
        values.flags.writeable = False
        return values

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the values."""
        out[...] = self._flat()[start : start + out.size]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield views of the array; of one that is not contiguous, or in another byte order, copies."""
        flat = self._flat()
        for start in range(0, self.count, BLOCK):
            yield flat[start : start + BLOCK].astype(self.dtype, copy=False)

    def _flat(self) -> Any:
        return self._array.reshape(-1) if self._array.flags.c_contiguous else self._array.flat
