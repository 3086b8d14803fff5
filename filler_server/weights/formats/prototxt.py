"""Nets in text that have the values of their blobs in them, as a .caffemodel has."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, PrototxtError, WeightsError
from caffe_filler.interface import option_name
from caffe_filler.printable import counted
from caffe_filler.signatures import LOOKED_AT
from filler_server.layouts.caffe import by_layer
from filler_server.net.blobs import is_legacy, proto_shape
from filler_server.net.plan import unique_names
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net
from filler_server.prototxt.rewrite.printing import printed
from filler_server.tensors import ArrayTensor, Tensor, View
from filler_server.weights.blob_proto import set_shape
from filler_server.weights.file import StoredLayer
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile
from filler_server.weights.message import is_text
from filler_server.weights.writer import Writer

_BLOBS = re.compile(rb"\bblobs\s*:?\s*[{<]")
_LIMITS = ReadLimits(text_bytes=1 << 28, fields=1 << 26)
"""A value takes about 15 bytes, and one field."""

_DTYPES = {"float32": "data", "float64": "double_data"}
_AT_ONCE = 1 << 12


def read_prototxt(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a net in text of any age, with the values of its blobs.

    Raises:
        WeightsError: it is not a net, or a blob has another number of values than its shape asks for.
        LimitExceeded: it is longer than 256 MiB.
    """
    try:
        document = read_net(file.read(0, file.size), limits=_LIMITS, lenient=True)
    except PrototxtError as error:
        raise WeightsError(f"the net of the file cannot be read: {error}") from error
    net = document.net
    names = unique_names(layer.name for layer in net.layer)
    layers = []
    for layer, name in zip(net.layer, names, strict=True):
        tensors = [_tensor(f"{name}/{index}", blob) for index, blob in enumerate(layer.blobs)]
        layers.append(StoredLayer(layer.name, tuple(tensors)))
        del layer.blobs[:]
    tensors = [tensor for layer in layers for tensor in layer.tensors]
    if not tensors:
        raise WeightsError("the file is the text of a net, which has no trained weights in it")
    return Contents(tuple(tensors), tuple(layers), net, problems=document.problems)


def _tensor(name: str, blob: caffe_pb2.BlobProto) -> Tensor:
    values = np.array(blob.double_data, np.float64) if blob.double_data else np.array(blob.data, np.float32)
    shape = proto_shape(blob)
    if min(shape, default=0) < 0 or np.prod(shape, dtype=object) != values.size:
        raise WeightsError(
            f"blob '{name}' must hold as many values as its shape says. "
            f"Received: shape={list(shape)}, {counted(values.size, 'value')}"
        )
    return View(ArrayTensor(name, values), name, shape, legacy=is_legacy(blob))


class PrototxtWriter(Writer):
    """Writes a net in text with the values of its blobs, each as the shortest decimal that means it.

    Args:
        target: where to.
        tensors: the blobs of the layers in the order of the net, named `<layer>/<index>`.
        net: the layers in the current format; all of them are written, with or without blobs.
    """

    def __init__(self, target: Target, tensors: Sequence[Tensor], *, net: caffe_pb2.NetParameter) -> None:
        self._net = net
        self._left = b""
        super().__init__(target, tensors)

    def _open(self) -> None:
        for tensor in self._tensors:
            if tensor.dtype.name not in _DTYPES:
                raise InvalidArgument(
                    f"a net in text has {' and '.join(_DTYPES)}. Received: dtype={tensor.dtype}", field="dtype"
                )
        self._before: list[str] = []
        header = caffe_pb2.NetParameter()
        header.CopyFrom(self._net)
        del header.layer[:]
        pending = _text(header)
        for layer, blobs in zip(self._net.layer, by_layer(self._net, self._tensors, "a net in text"), strict=True):
            plain = caffe_pb2.LayerParameter()
            plain.CopyFrom(layer)
            del plain.blobs[:]
            pending += f"layer {{\n{_text(plain, 2)}"
            for blob in blobs:
                self._before.append(f"{pending}  blobs {{\n{_text(_shape(blob), 4)}")
                pending = "  }\n"
            pending += "}\n"
        self._after = pending

    def _begin(self, tensor: Tensor) -> None:
        self._file.write(self._before[self._next].encode())

    def _append(self, data: memoryview | bytes) -> None:
        tensor = self._tensors[self._next]
        content = self._left + bytes(data)
        whole = len(content) - len(content) % tensor.dtype.itemsize
        self._left = content[whole:]
        values = np.frombuffer(content[:whole], tensor.dtype)
        field = _DTYPES[tensor.dtype.name]
        for start in range(0, values.size, _AT_ONCE):
            self._file.write(_lines(field, values[start : start + _AT_ONCE]).encode())

    def _finish(self) -> None:
        self._file.write(self._after.encode())


def _lines(field: str, values: NDArray[Any]) -> str:
    # NumPy writes the shortest decimal that is read as the same value of this dtype.
    return "".join(f"    {field}: {text}\n" for text in values.astype(str).tolist())


def _shape(tensor: Tensor) -> caffe_pb2.BlobProto:
    blob = caffe_pb2.BlobProto()
    set_shape(blob, tensor)
    return blob


def _text(message: Message, spaces: int = 0) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in printed(message))


def _recognizes(file: MappedFile) -> bool:
    return is_text(file.read(0, LOOKED_AT)) and _BLOBS.search(file.view) is not None


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> PrototxtWriter:
    if extras.net is None:
        raise InvalidArgument(f"a net in text needs the option {option_name('net')}. Received: {target}")
    return PrototxtWriter(target, tensors, net=extras.net)


FORMAT = Format("prototxt", _recognizes, read_prototxt, (".prototxt",), _open_writer, needs_net=True, keeps_legacy=True)
