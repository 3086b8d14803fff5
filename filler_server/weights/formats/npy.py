"""NumPy's .npy: one tensor."""

import tokenize
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from caffe_filler.errors import InvalidArgument, WeightsError
from caffe_filler.printable import counted
from caffe_filler.signatures import NPY as SIGNATURE
from filler_server.tensors import ArrayTensor, Tensor
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile, MappedTensor, Segment
from filler_server.weights.writer import PlainWriter

NAME = "array"
"""Name of the one tensor of a .npy; the file has none for it."""


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """Header of a .npy: shape, dtype, whether the first axis is the fastest; and the byte at which the values start."""

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
        WeightsError: it is damaged, or holds Python objects or anything else that is not a number.
    """
    start = file.tell()
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except (ValueError, SyntaxError, tokenize.TokenError, TypeError, MemoryError, RecursionError) as error:
        raise WeightsError(f"{what} has no header of NumPy: {str(error)[:200]}") from None
    if dtype.kind not in "fiub" or any(dim < 0 for dim in shape):
        raise WeightsError(f"{what} holds no numbers that a blob could have. Received: dtype={dtype}")
    return NpyHeader(shape, dtype, fortran_order and len(shape) > 1, file.tell() - start)


def mapped_array(name: str, header: NpyHeader, file: MappedFile, offset: int) -> Tensor:
    """Return the tensor whose values lie from byte `offset` on.

    Raises:
        WeightsError: the file ends before them.
    """
    if header.nbytes > file.size - offset:
        raise WeightsError(
            f"the file is cut short: '{name}' needs {counted(header.nbytes, 'byte')} from byte {offset} on. "
            f"Received: {counted(file.size, 'byte')}"
        )
    count = prod(header.shape)
    if header.fortran_order:
        return ArrayTensor(name, file.array(offset, count, header.dtype).reshape(header.shape[::-1]).T)
    return MappedTensor(name, header.shape, header.dtype, file, [Segment(offset, count, header.dtype.itemsize)])


def read_npy(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a .npy.

    Raises:
        WeightsError: the file is damaged.
    """
    header = read_header(file.reader(), "the file")
    return Contents((mapped_array(NAME, header, file, header.data),))


class NpyWriter(PlainWriter):
    """Writes a .npy file of one tensor, which `numpy.load` opens."""

    def _open(self) -> None:
        if len(self._tensors) != 1:
            raise InvalidArgument(f"a .npy file holds one tensor. Received: {counted(len(self._tensors), 'tensor')}")
        check_dtype(self._tensors[0], "npy")

    def _begin(self, tensor: Tensor) -> None:
        self._file.write(header_bytes(tensor))


def header_bytes(tensor: Tensor) -> bytes:
    """Return what stands before the values of a .npy file (NEP 1)."""
    fields = {"descr": np.lib.format.dtype_to_descr(tensor.dtype), "fortran_order": False, "shape": tensor.shape}
    with BytesIO() as header:
        np.lib.format.write_array_header_1_0(header, fields)
        return header.getvalue()


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


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> NpyWriter:
    return NpyWriter(target, tensors)


FORMAT = Format("npy", lambda file: file.starts_with(SIGNATURE), read_npy, (".npy",), _open_writer)
