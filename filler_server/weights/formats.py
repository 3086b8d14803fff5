"""The writer for a file, by the ending of its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from filler_server.weights.npy import NpyWriter
from filler_server.weights.npz import NpzWriter
from filler_server.weights.safetensors import SafetensorsWriter
from filler_server.weights.writer import Tensor, Writer

ENDINGS = (".caffemodel", ".h5", ".hdf5", ".npz", ".npy", ".safetensors", ".pt", ".pth", ".binaryproto")
"""What the name of a file of weights may end in."""


def open_writer(
    target: Path | BinaryIO,
    tensors: Sequence[Tensor],
    *,
    metadata: Mapping[str, str],
    net: NetParameter | None = None,
    max_shard_bytes: int | None = None,
) -> Writer:
    """Return a writer of the format that the name of the file asks for; to an open file it is .npy.

    Args:
        target: where to.
        tensors: what will come, in this order.
        metadata: is written where the format has room for it.
        net: the layers, in the current format, of a .caffemodel.
        max_shard_bytes: a .safetensors that would hold more is written as several files with an index.

    Raises:
        InvalidArgument: no format has this ending, or the format cannot hold the tensors.
        Unavailable: a library is missing that the format needs.
        OSError: the file cannot be made.
    """
    match target.suffix.lower() if isinstance(target, Path) else ".npy":
        case ".safetensors":
            return _safetensors(target, tensors, metadata, max_shard_bytes)
        case ".npz":
            return NpzWriter(target, tensors)
        case ".npy":
            return NpyWriter(target, tensors)
        case ".caffemodel":
            from filler_server.weights.caffemodel import CaffemodelWriter

            if net is None:
                raise InvalidArgument(
                    f"a .caffemodel tells the type of each layer, so that it needs the net (--net). Received: {target}"
                )
            return CaffemodelWriter(target, tensors, net=net)
        case ".binaryproto":
            from filler_server.weights.binaryproto import BinaryprotoWriter

            return BinaryprotoWriter(target, tensors)
        case ".h5" | ".hdf5":
            from filler_server.weights.hdf5 import Hdf5Writer

            return Hdf5Writer(target, tensors)
        case ".pt" | ".pth":
            from filler_server.weights.torch import TorchWriter

            return TorchWriter(target, tensors)
    raise InvalidArgument(f"a file of weights ends in {', '.join(ENDINGS)}. Received: {target}")


def _safetensors(
    target: Path | BinaryIO, tensors: Sequence[Tensor], metadata: Mapping[str, str], max_shard_bytes: int | None
) -> Writer:
    if max_shard_bytes is not None and isinstance(target, Path):
        from filler_server.weights.shards import ShardedSafetensorsWriter, shards_of

        shards = shards_of(tensors, max_shard_bytes)
        if len(shards) > 1:
            return ShardedSafetensorsWriter(target, shards, metadata=metadata)
    return SafetensorsWriter(target, tensors, metadata=metadata)
