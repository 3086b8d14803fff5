"""The writer for a file, by the ending of its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from caffe_filler.errors import InvalidArgument
from filler_server.weights.npy import NpyWriter
from filler_server.weights.npz import NpzWriter
from filler_server.weights.safetensors import SafetensorsWriter
from filler_server.weights.writer import Tensor, Writer


def open_writer(target: Path | BinaryIO, tensors: Sequence[Tensor], *, metadata: Mapping[str, str]) -> Writer:
    """Return a writer of the format that the name of the file asks for; to an open file it is .npy.

    `metadata` is written where the format has room for it.

    Raises:
        InvalidArgument: no format has this ending, or the format cannot hold the tensors.
        OSError: the file cannot be made.
    """
    match target.suffix if isinstance(target, Path) else ".npy":
        case ".safetensors":
            return SafetensorsWriter(target, tensors, metadata=metadata)
        case ".npz":
            return NpzWriter(target, tensors)
        case ".npy":
            return NpyWriter(target, tensors)
    raise InvalidArgument(f"a file of weights ends in .safetensors, .npz or .npy. Received: {target}")
