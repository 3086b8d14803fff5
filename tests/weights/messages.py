"""Binary nets and blobs, as Caffe of all ages and its forks wrote them."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import BlobProto, LayerParameter, NetParameter
from caffe_filler.wire import key, length_delimited, varint


def blob(array: NDArray[Any], *, diff: bool = False) -> BlobProto:
    """A BlobProto of the current format, of float32 or float64."""
    message = BlobProto()
    message.shape.dim.extend(array.shape)
    if array.dtype == np.float64:
        message.double_data.extend(array.reshape(-1))
    else:
        message.data.extend(array.reshape(-1))
    if diff:
        message.diff.extend([9.0] * array.size)
    return message


def legacy_blob(array: NDArray[Any]) -> BlobProto:
    """A BlobProto with four axes, the leading ones 1 where the array has fewer."""
    message = BlobProto(data=array.reshape(-1).tolist())
    message.num, message.channels, message.height, message.width = [1] * (4 - array.ndim) + list(array.shape)
    return message


def one_by_one(values: Sequence[float], *, number: int = 5) -> bytes:
    """Floats that are not packed."""
    return b"".join(key(number, 5) + struct.pack("<f", value) for value in values)


def packed(values: Sequence[float], *, number: int = 5) -> bytes:
    """Packed floats."""
    return length_delimited(number, np.asarray(values, "<f4").tobytes())


def shape_field(*dims: int) -> bytes:
    """The field `shape` of a BlobProto."""
    return length_delimited(7, length_delimited(1, b"".join(varint(dim) for dim in dims)))


def net_of_blob(content: bytes, *, layer: str = "ip", kind: str = "InnerProduct") -> bytes:
    """A net of one layer with one blob, which is given as it is written."""
    definition = LayerParameter(name=layer, type=kind).SerializeToString()
    return length_delimited(100, definition + length_delimited(7, content))


def net_of_layers(name: str = "net", **layers: Sequence[NDArray[Any]]) -> NetParameter:
    """A net of InnerProduct layers with these blobs."""
    net = NetParameter(name=name)
    for layer, arrays in layers.items():
        net.layer.add(name=layer, type="InnerProduct", blobs=[blob(array) for array in arrays])
    return net


def save(path: Path, content: bytes | NetParameter) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path
