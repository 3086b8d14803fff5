"""NumPy's .npz: a zip archive with one .npy for each tensor; uncompressed, but for those of `savez_compressed`."""

import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, WeightsError
from filler_server.weights.archive import DAMAGE, EPOCH, ArchiveWriter, open_archive
from filler_server.weights.mapped import MappedFile
from filler_server.weights.npy import NpyHeader, check_dtype, mapped_array, read_header, write_header
from filler_server.weights.stored import BLOCK, StoredTensor
from filler_server.weights.writer import Tensor

_LONGEST_NAME = 65_000
"""In bytes; a zip archive ends at 65535, the ending included."""

_ENDING = ".npy"


def read_npz(file: MappedFile) -> tuple[StoredTensor, ...]:
    """Return the tensors of a .npz in the order of the archive.

    Raises:
        WeightsError: the archive is damaged or encrypted, or an array of it holds no numbers.
        LimitExceeded: it has too many entries.
    """
    archive = open_archive(file)
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(_ENDING)]
    return tuple(_tensor(file, archive, entry) for entry in entries)


def _tensor(file: MappedFile, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredTensor:
    name = entry.filename.removesuffix(_ENDING)
    try:
        with archive.open(entry) as content:
            header = read_header(content, f"'{entry.filename}'")
    except DAMAGE as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"'{entry.filename}' of the archive is damaged: {error}") from None
    if header.data + header.nbytes != entry.file_size:
        raise WeightsError(
            f"'{entry.filename}' should have {header.data + header.nbytes} bytes. Received: {entry.file_size}"
        )
    if entry.compress_type == zipfile.ZIP_STORED:
        return mapped_array(name, header, file, _data_offset(file, entry) + header.data)
    return _CompressedTensor(name, header, archive, entry)


def _data_offset(file: MappedFile, entry: zipfile.ZipInfo) -> int:
    """Where the data of an entry start: behind its own header, whose name and extra fields may be longer."""
    lengths = file.read(entry.header_offset + 26, entry.header_offset + 30)
    name, extra = int.from_bytes(lengths[:2], "little"), int.from_bytes(lengths[2:], "little")
    return entry.header_offset + 30 + name + extra


class _CompressedTensor(StoredTensor):
    """A tensor in an archive that is unpacked while it is read."""

    def __init__(self, name: str, header: NpyHeader, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        super().__init__(name, header.shape, header.dtype)
        self._header, self._archive, self._entry = header, archive, entry

    def array(self) -> NDArray[Any]:
        """Return a copy."""
        values = np.concatenate([np.empty(0, self.dtype), *self._stored_blocks()])
        order: Any = "F" if self._header.fortran_order else "C"
        return values.reshape(self.shape, order=order)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values as they are unpacked; what is in Fortran's order must stand in memory as a whole."""
        if self._header.fortran_order:
            yield self.array().reshape(-1)
        else:
            yield from self._stored_blocks()

    def _stored_blocks(self) -> Iterator[NDArray[Any]]:
        left, size = self.nbytes, self._header.dtype.itemsize
        try:
            with self._archive.open(self._entry) as content:
                content.read(self._header.data)
                while left:
                    data = content.read(min(left, BLOCK * size))
                    if not data or len(data) % size:
                        raise EOFError("the data end early")
                    left -= len(data)
                    yield np.frombuffer(data, self._header.dtype).astype(self.dtype, copy=False)
        except DAMAGE as error:
            raise WeightsError(f"'{self._entry.filename}' of the archive is damaged: {error}") from None


class NpzWriter(ArchiveWriter):
    """Writes a .npz file, which `numpy.load` opens."""

    def _open(self) -> None:
        for tensor in self._tensors:
            check_dtype(tensor, "npz")
            _check_name(tensor.name)
        super()._open()

    def _begin(self, tensor: Tensor) -> None:
        write_header(self._begin_entry(zipfile.ZipInfo(f"{tensor.name}{_ENDING}", EPOCH)), tensor)


def _check_name(name: str) -> None:
    """Make sure that a zip archive can hold the name; Python's cuts it at a NUL.

    Raises:
        InvalidArgument: it cannot.
    """
    if "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise InvalidArgument(
            f"an npz has names of up to {_LONGEST_NAME} bytes without NUL. Received: name={name!r}", field="name"
        )
