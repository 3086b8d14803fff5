"""One file of the safetensors format: a JSON header with the place of every tensor, then their bytes.

Source: https://huggingface.co/docs/safetensors (format). The library of that name needs all tensors in memory at once,
so that writing a stream is done here; its reader checks the files in the tests.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from caffe_filler.errors import InvalidArgument, WeightsError
from caffe_filler.printable import counted
from filler_server.digests import Draft
from filler_server.tensors import Tensor
from filler_server.weights.format import Contents, Target
from filler_server.weights.mapped import MappedFile, MappedTensor, Segment
from filler_server.weights.writer import PlainWriter

_DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16"}
_READ_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(bool),
}
_METADATA = "__metadata__"
_ALIGNMENT = 8
LENGTH_BYTES = 8
"""The file starts with the length of the header, an integer of so many bytes."""

LONGEST_HEADER = 100_000_000
"""In bytes; the library of that name has the same limit."""


def read_safetensors(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a .safetensors file; its tensors are in the order of their bytes.

    Raises:
        WeightsError: the file is damaged or cut short, or its tensors overlap or leave bytes between them.
    """
    length = int.from_bytes(file.read(0, LENGTH_BYTES), "little")
    if length > min(LONGEST_HEADER, file.size - LENGTH_BYTES):
        raise WeightsError(f"the header is longer than the file or than {LONGEST_HEADER} bytes. Received: {length}")
    try:
        header = json.loads(file.read(LENGTH_BYTES, LENGTH_BYTES + length), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"the header is not a JSON object of tensors: {str(error)[:200]}") from None
    if not isinstance(header, dict):
        raise WeightsError("the header is not a JSON object of tensors")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict):
        raise WeightsError(f"{_METADATA} is not a JSON object. Received: {str(metadata)[:200]}")
    start = LENGTH_BYTES + length
    tensors = [_stored(name, entry, file, start) for name, entry in header.items()]
    placed = sorted(tensors, key=lambda tensor: (tensor[0], tensor[1].nbytes))
    end = 0
    for begin, tensor in placed:
        if begin != end:
            relation = "overlaps the one before it" if begin < end else "leaves bytes before it that are of none"
            raise WeightsError(f"tensor '{tensor.name}' {relation}. Received: data_offsets begin at {begin}, not {end}")
        end += tensor.nbytes
    if end != file.size - start:
        raise WeightsError(f"the tensors end at byte {start + end}. Received: {counted(file.size, 'byte')}")
    return Contents(
        tuple(tensor for _, tensor in placed), metadata={str(key): str(value) for key, value in metadata.items()}
    )


def _stored(name: str, entry: Any, file: MappedFile, start: int) -> tuple[int, MappedTensor]:
    """The tensor of an entry of the header, and where it starts."""
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (_sizes(shape) and _sizes(offsets) and len(offsets) == 2 and isinstance(dtype, str)):
        raise WeightsError(f"tensor '{name}' needs dtype, shape and data_offsets. Received: {str(entry)[:200]}")
    if dtype not in _READ_DTYPES:
        raise WeightsError(f"tensor '{name}' has a dtype that is not known here. Received: dtype={dtype[:50]}")
    begin, end = offsets
    if end - begin != prod(shape) * _READ_DTYPES[dtype].itemsize:
        raise WeightsError(
            f"tensor '{name}' has another length than its shape. Received: shape={shape}, dtype={dtype}, "
            f"data_offsets={offsets}"
        )
    if end > file.size - start:
        raise WeightsError(
            f"the file is cut short: tensor '{name}' ends at byte {start + end}. Received: {counted(file.size, 'byte')}"
        )
    segment = Segment(start + begin, prod(shape), _READ_DTYPES[dtype].itemsize)
    return begin, MappedTensor(name, shape, _READ_DTYPES[dtype], file, [segment])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name stands there twice")
    return result


class SafetensorsWriter(PlainWriter):
    """Writes a .safetensors file; `metadata` goes into its header."""

    def __init__(
        self,
        target: Target,
        tensors: Sequence[Tensor],
        *,
        metadata: Mapping[str, str] = MappingProxyType({}),
        draft: Draft | None = None,
    ) -> None:
        self._metadata = dict(metadata)
        self._draft = draft
        super().__init__(target, tensors)

    def _open(self) -> None:
        for tensor in self._tensors:
            check_tensor(tensor)
        self._file.write(header_bytes(self._tensors, self._metadata, self._draft))

    def _finish(self) -> None:
        rewrite_header(self._file, self._tensors, self._metadata, self._draft)


def rewrite_header(file: BinaryIO, tensors: Sequence[Tensor], metadata: Mapping[str, str], draft: Draft | None) -> None:
    """Write the header again, now that the manifest has its digests; its length stays."""
    if draft is not None:
        file.seek(0)
        file.write(header_bytes(tensors, metadata, draft))
        file.seek(0, os.SEEK_END)


def header_bytes(tensors: Sequence[Tensor], metadata: Mapping[str, str], draft: Draft | None = None) -> bytes:
    """Return what stands in a file before the bytes of the tensors."""
    if draft is not None:
        metadata = {**metadata, **draft.metadata(tensor.name for tensor in tensors)}
    header: dict[str, object] = {_METADATA: dict(metadata)} if metadata else {}
    offset = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": _DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def check_tensor(tensor: Tensor) -> None:
    """Make sure that the format can hold the tensor.

    Raises:
        InvalidArgument: it cannot hold the dtype, or the name is the one under which metadata stand.
    """
    if tensor.dtype.name not in _DTYPES:
        raise InvalidArgument(
            f"safetensors is written with {', '.join(_DTYPES)}. Received: dtype={tensor.dtype}", field="dtype"
        )
    if tensor.name == _METADATA:
        raise InvalidArgument(f"safetensors keeps this name for metadata. Received: name='{tensor.name}'", field="name")
