"""NumPy's .npz: a zip archive with one .npy for each tensor; uncompressed, but for those of `savez_compressed`."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, WeightsError
from caffe_filler.printable import counted
from caffe_filler.signatures import ZIP
from filler_server.tensors import BLOCK, SequentialTensor, Tensor, transposed
from filler_server.weights.archive import DAMAGE, ArchiveWriter, open_archive
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.formats.npy import NpyHeader, check_dtype, header_bytes, mapped_array, read_header
from filler_server.weights.mapped import MappedFile

_LONGEST_NAME = 65_000
"""In bytes; a zip archive ends at 65535, the ending included."""

_ENDING = ".npy"


def read_npz(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a .npz; its tensors are in the order of the archive.

    Raises:
        WeightsError: the archive is damaged or encrypted, or an array of it holds no numbers.
        LimitExceeded: it has too many entries.
    """
    archive = open_archive(file)
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(_ENDING)]
    return Contents(tuple(_tensor(file, archive, entry) for entry in entries))


def _tensor(file: MappedFile, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Tensor:
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
            f"'{entry.filename}' should have {counted(header.data + header.nbytes, 'byte')}. "
            f"Received: {entry.file_size}"
        )
    if entry.compress_type == zipfile.ZIP_STORED:
        return mapped_array(name, header, file, _data_offset(file, entry) + header.data)
    # What is in Fortran's order is unpacked with its axes in reverse.
    shape = header.shape[::-1] if header.fortran_order else header.shape
    unpacked = SequentialTensor(name, shape, header.dtype, lambda start: _unpacked(archive, entry, header, start))
    return transposed(unpacked) if header.fortran_order else unpacked


def _data_offset(file: MappedFile, entry: zipfile.ZipInfo) -> int:
    """Return the byte at which the data of an entry start, after its own header, whose extra fields may be longer."""
    lengths = file.read(entry.header_offset + 26, entry.header_offset + 30)
    name, extra = int.from_bytes(lengths[:2], "little"), int.from_bytes(lengths[2:], "little")
    return entry.header_offset + 30 + name + extra


def _unpacked(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, header: NpyHeader, start: int
) -> Iterator[NDArray[Any]]:
    """Yield the values of an entry from the one of a number on, as they lie there."""
    size = header.dtype.itemsize
    ahead, left = header.data + start * size, header.nbytes - start * size
    try:
        with archive.open(entry) as content:
            while ahead:
                ahead -= len(_some(content, min(ahead, BLOCK * size)))
            while left:
                data = _some(content, min(left, BLOCK * size))
                if len(data) % size:
                    raise EOFError("the data end early")
                left -= len(data)
                yield np.frombuffer(data, header.dtype).astype(header.dtype.newbyteorder("="), copy=False)
    except DAMAGE as error:
        raise WeightsError(f"'{entry.filename}' of the archive is damaged: {error}") from None


def _some(content: IO[bytes], most: int) -> bytes:
    data = content.read(most)
    if not data:
        raise EOFError("the data end early")
    return data


class NpzWriter(ArchiveWriter):
    """Writes a .npz file, which `numpy.load` opens."""

    def _open(self) -> None:
        super()._open()
        for tensor in self._tensors:
            check_dtype(tensor, "npz")
            _check_name(tensor.name)

    def _begin(self, tensor: Tensor) -> None:
        self._begin_entry(f"{tensor.name}{_ENDING}")
        self._append(header_bytes(tensor))


def _check_name(name: str) -> None:
    """Make sure that a zip archive can hold the name; Python's cuts it at a NUL.

    Raises:
        InvalidArgument: it cannot.
    """
    if "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise InvalidArgument(
            f"an npz has names of up to {_LONGEST_NAME} bytes without NUL. Received: name={name!r}", field="name"
        )


def _recognizes(file: MappedFile) -> bool:
    if not file.starts_with(ZIP):
        return False
    names = [entry.filename for entry in open_archive(file).infolist()]
    return not names or any(name.endswith(_ENDING) for name in names)


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> NpzWriter:
    return NpzWriter(target, tensors)


FORMAT = Format("npz", _recognizes, read_npz, (".npz",), _open_writer)
