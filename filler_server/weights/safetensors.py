"""The safetensors format: a JSON header with the place of every tensor, then their bytes.

Source: https://huggingface.co/docs/safetensors (format). The library of that name needs all tensors in memory at once,
so that writing a stream is done here; its reader checks the files in the tests.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from caffe_filler.errors import FieldViolation, InvalidArgument
from filler_server.weights.writer import Tensor, Writer

_DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16"}
_METADATA = "__metadata__"
_ALIGNMENT = 8


class SafetensorsWriter(Writer):
    """Writes a .safetensors file; `metadata` goes into its header."""

    def __init__(
        self, target: Path | BinaryIO, tensors: Sequence[Tensor], *, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._metadata = dict(metadata)
        super().__init__(target, tensors)

    def _open(self) -> None:
        for tensor in self._tensors:
            _check(tensor)
        header: dict[str, object] = {_METADATA: self._metadata} if self._metadata else {}
        offset = 0
        for tensor in self._tensors:
            header[tensor.name] = {
                "dtype": _DTYPES[tensor.dtype.name],
                "shape": list(tensor.shape),
                "data_offsets": [offset, offset + tensor.nbytes],
            }
            offset += tensor.nbytes
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._file.write(len(text).to_bytes(8, "little") + text)

    def _append(self, data: memoryview | bytes) -> None:
        self._file.write(data)


def _check(tensor: Tensor) -> None:
    """Make sure that the format can hold the tensor.

    Raises:
        InvalidArgument: it cannot hold the dtype, or the name is the one under which metadata stand.
    """
    if tensor.dtype.name not in _DTYPES:
        message = f"safetensors is written with {', '.join(_DTYPES)}. Received: dtype={tensor.dtype}"
        raise InvalidArgument(message, violations=[FieldViolation("dtype", message)])
    if tensor.name == _METADATA:
        message = f"safetensors keeps this name for metadata. Received: name='{tensor.name}'"
        raise InvalidArgument(message, violations=[FieldViolation("name", message)])
