"""NumPy's .npy: one tensor."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, WeightsError
from filler_server.weights.mapped import MappedFile
from filler_server.weights.mapped_tensor import MappedTensor, Segment
from filler_server.weights.stored import StoredTensor, array_blocks
from filler_server.weights.writer import PlainWriter, Tensor

NAME = "array"
"""What the one tensor of a .npy is called; the file has no name for it."""


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What stands before the values: shape, dtype, whether the first axis is the fastest; and how long that is."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    data: int

    @property
    def nbytes(self) -> int:
        """Length of the values in bytes."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], what: str) -> NpyHeader:
    """Return the header of a .npy that starts where the file stands.

    Raises:
        WeightsError: it is damaged, or holds Python objects or anything else that is no number.
    """
    start = file.tell()
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise WeightsError(f"{what} has no header of NumPy: {str(error)[:200]}") from None
    if dtype.kind not in "fiub" or any(dim < 0 for dim in shape):
        raise WeightsError(f"{what} holds no numbers that a blob could have. Received: dtype={dtype}")
    return NpyHeader(shape, dtype, fortran_order and len(shape) > 1, file.tell() - start)


def mapped_array(name: str, header: NpyHeader, file: MappedFile, offset: int) -> StoredTensor:
    """Return the tensor whose values lie from byte `offset` on.

    Raises:
        WeightsError: the file ends before them.
    """
    if header.nbytes > file.size - offset:
        raise WeightsError(
            f"the file is cut short: '{name}' needs {header.nbytes} bytes from byte {offset} on. "
            f"Received: {file.size} bytes"
        )
    segment = Segment(offset, prod(header.shape), header.dtype.itemsize)
    if header.fortran_order:
        return _FortranTensor(name, header, file, segment)
    return MappedTensor(name, header.shape, header.dtype, file, [segment])


def read_npy(file: MappedFile) -> StoredTensor:
    """Return the tensor of a .npy.

    Raises:
        WeightsError: the file is damaged.
    """
    header = read_header(file.reader(), "the file")
    return mapped_array(NAME, header, file, header.data)


class _FortranTensor(StoredTensor):
    """A tensor in Fortran's order, as NumPy saves a transposed array."""

    def __init__(self, name: str, header: NpyHeader, file: MappedFile, segment: Segment) -> None:
        super().__init__(name, header.shape, header.dtype)
        self._values = MappedTensor(name, header.shape[::-1], header.dtype, file, [segment])

    def array(self) -> NDArray[Any]:
        """Return a view of the file."""
        return self._values.array().T

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield copies in C order."""
        yield from array_blocks(self.array())


class NpyWriter(PlainWriter):
    """Writes a .npy file of one tensor, which `numpy.load` opens."""

    def _open(self) -> None:
        if len(self._tensors) != 1:
            raise InvalidArgument(f"a .npy file holds one tensor. Received: {len(self._tensors)} tensors")
        check_dtype(self._tensors[0], "npy")

    def _begin(self, tensor: Tensor) -> None:
        write_header(self._file, tensor)


def write_header(file: IO[bytes], tensor: Tensor) -> None:
    """Write what stands before the values of a .npy file (NEP 1)."""
    np.lib.format.write_array_header_1_0(
        file,
        {"descr": np.lib.format.dtype_to_descr(tensor.dtype), "fortran_order": False, "shape": tensor.shape},
    )


def check_dtype(tensor: Tensor, file_format: str) -> None:
    """Make sure that NumPy's files can hold the dtype.

    Raises:
        InvalidArgument: they have no bfloat16.
    """
    if tensor.dtype.name == "bfloat16":
        raise InvalidArgument(
            f"{file_format} has no bfloat16, safetensors has. Received: dtype=bfloat16, name='{tensor.name}'",
            field="dtype",
        )
