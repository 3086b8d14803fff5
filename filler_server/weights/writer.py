"""The base of all writers."""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from caffe_filler.errors import InvalidArgument, ShapeError
from caffe_filler.printable import counted
from caffe_filler.shapes import check_array_shape
from filler_server.output import AtomicFile, OpenFile
from filler_server.tensors import Tensor
from filler_server.tensors.copying import append_range

_READ_AT_ONCE = 4 << 20


class Writer(ABC):
    """Writes tensors whose bytes come in order, piece by piece; memory does not grow with them.

    A context manager: leaving it normally completes the file, leaving it by an exception removes it.

    Args:
        target: where to.
        tensors: what will come, in this order; only their names, shapes and dtypes are looked at.

    Raises:
        InvalidArgument: two tensors have one name, one has a shape that no array has, the format cannot hold a dtype,
            or bytes are missing at the end.
        OSError: the file cannot be written.
    """

    def __init__(self, target: Path | BinaryIO | OpenFile, tensors: Sequence[Tensor]) -> None:
        names = [tensor.name for tensor in tensors]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidArgument(f"two tensors of a file have one name. Received: name='{twice}'")
        for tensor in tensors:
            try:
                check_array_shape(tensor.shape)
            except ShapeError as error:
                raise error.within(f"tensor '{tensor.name}'") from None
        self._tensors = list(tensors)
        self._next = 0
        self._written = 0
        self._begun = False
        self._target = _target(target)
        self._file = self._target.file
        self._complete = False
        try:
            self._open()
        except BaseException:
            self._target.discard()
            raise

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of what is written: the file to open, then those that it needs besides; none of an open file."""
        return self._target.files

    @property
    def places(self) -> Mapping[str, str]:
        """Name of the file of each tensor, by the names of the tensors; none of an open file."""
        return {tensor.name: self.files[0].name for tensor in self._tensors} if self.files else {}

    @property
    def replaced(self) -> tuple[Path, ...]:
        """Other files that were removed, since they belonged to what was there before."""
        return self._target.replaced

    def write(self, data: memoryview | bytes) -> None:
        """Append bytes to the tensor that is being written; a complete one is followed by the next.

        An empty tensor takes one write of no bytes.

        Raises:
            InvalidArgument: more bytes than the tensor has, or all tensors are complete.
            OSError: the file cannot be written.
        """
        self._advance(memoryview(data).nbytes, lambda: self._append(data))

    def copy(self, descriptor: int, offset: int, nbytes: int) -> None:
        """Append bytes that lie in an open file; where the system can copy from file to file, it does.

        Raises:
            InvalidArgument: more bytes than the tensor has, or all tensors are complete.
            OSError: a file cannot be read or written.
        """
        self._advance(nbytes, lambda: self._append_file(descriptor, offset, nbytes))

    def close(self) -> None:
        """Complete the file; a second time does nothing.

        Raises:
            InvalidArgument: bytes are missing.
            OSError: the file cannot be written.
        """
        if self._complete:
            return
        if self._next < len(self._tensors):
            raise InvalidArgument(
                f"tensor '{self._tensors[self._next].name}' is missing. "
                f"Received: {self._next} of {counted(len(self._tensors), 'tensor')}"
            )
        self._finish()
        self._target.commit()
        self._complete = True

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:
            if not self._complete:
                try:
                    self._abandon()
                finally:
                    self._target.discard()

    def _advance(self, nbytes: int, append: Callable[[], None]) -> None:
        tensor = self._current()
        total = self._written + nbytes
        if total > tensor.nbytes:
            raise InvalidArgument(f"tensor '{tensor.name}' has {tensor.nbytes} bytes. Received: {total}")
        if not self._begun:
            self._begin(tensor)
            self._begun = True
        self._written = total
        append()
        if total == tensor.nbytes:
            self._end(tensor)
            self._next, self._written, self._begun = self._next + 1, 0, False

    def _current(self) -> Tensor:
        if self._next == len(self._tensors):
            raise InvalidArgument(
                f"all is written already. Received: more than {counted(len(self._tensors), 'tensor')}"
            )
        return self._tensors[self._next]

    @abstractmethod
    def _open(self) -> None:
        """Write what stands before the tensors."""

    @abstractmethod
    def _append(self, data: memoryview | bytes) -> None:
        """Write bytes of the current tensor."""

    def _append_file(self, descriptor: int, offset: int, nbytes: int) -> None:
        """Write bytes of the current tensor from another file."""
        for start in range(offset, offset + nbytes, _READ_AT_ONCE):
            length = min(_READ_AT_ONCE, offset + nbytes - start)
            data = os.pread(descriptor, length, start)
            if len(data) < length:
                raise OSError(errno.EIO, "a file became shorter while it was read")
            self._append(data)

    def _begin(self, tensor: Tensor) -> None:
        """Write what stands before a tensor."""

    def _end(self, tensor: Tensor) -> None:
        """Write what stands after a tensor."""

    def _finish(self) -> None:
        """Write what stands after the tensors."""

    def _abandon(self) -> None:
        """Let go of the file after an error."""


class PlainWriter(Writer):
    """A writer that puts the bytes of tensors into the file as they are."""

    def _append(self, data: memoryview | bytes) -> None:
        self._file.write(data)

    def _append_file(self, descriptor: int, offset: int, nbytes: int) -> None:
        append_range(self._file, descriptor, offset, nbytes)


def _target(target: Path | BinaryIO | OpenFile) -> OpenFile:
    if isinstance(target, Path):
        return AtomicFile(target)
    return target if isinstance(target, OpenFile) else OpenFile(target)
