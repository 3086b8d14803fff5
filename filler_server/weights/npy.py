"""NumPy's .npy: one tensor."""

from typing import IO

import numpy as np

from caffe_filler.errors import FieldViolation, InvalidArgument
from filler_server.weights.writer import Tensor, Writer


class NpyWriter(Writer):
    """Writes a .npy file of one tensor, which `numpy.load` opens."""

    def _open(self) -> None:
        if len(self._tensors) != 1:
            raise InvalidArgument(f"a .npy file holds one tensor. Received: {len(self._tensors)} tensors")
        check_dtype(self._tensors[0], "npy")

    def _begin(self, tensor: Tensor) -> None:
        write_header(self._file, tensor)

    def _append(self, data: memoryview | bytes) -> None:
        self._file.write(data)


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
        message = f"{file_format} has no bfloat16, safetensors has. Received: dtype=bfloat16, name='{tensor.name}'"
        raise InvalidArgument(message, violations=[FieldViolation("dtype", message)])
