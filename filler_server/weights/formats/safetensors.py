"""The safetensors format: one file, or a set of files where one would be too long."""

from collections.abc import Sequence
from pathlib import Path

from filler_server.tensors import Tensor
from filler_server.weights.format import Extras, Format, Target
from filler_server.weights.formats.safetensors_file import (
    LENGTH_BYTES,
    LONGEST_HEADER,
    SafetensorsWriter,
    read_safetensors,
)
from filler_server.weights.formats.shards import open_set
from filler_server.weights.mapped import MappedFile
from filler_server.weights.writer import Writer


def _recognizes(file: MappedFile) -> bool:
    length = int.from_bytes(file.read(0, LENGTH_BYTES), "little")
    plausible = 2 <= length <= LONGEST_HEADER
    return plausible and file.read(LENGTH_BYTES, LENGTH_BYTES + 1) == b"{" and file.size > LENGTH_BYTES + 1


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> Writer:
    if isinstance(target, Path):
        return open_set(target, tensors, extras)
    return SafetensorsWriter(target, tensors, metadata=extras.metadata, draft=extras.draft)


FORMAT = Format("safetensors", _recognizes, read_safetensors, (".safetensors",), _open_writer, has_shards=True)
