"""Caffe's .caffemodel: a NetParameter in binary, of any age, whose layers hold their blobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError, WeightsError
from caffe_filler.wire import LEN, VARINT, key, length_delimited, varint
from filler_server.net.names import unique_names
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net
from filler_server.prototxt.report import Problem
from filler_server.weights.blob_proto import RAW_DATA, RAW_DATA_TYPE, RAW_FLOAT16, read_blob
from filler_server.weights.mapped import MappedFile
from filler_server.weights.mapped_tensor import MappedTensor
from filler_server.weights.names import split_name
from filler_server.weights.stored import StoredLayer
from filler_server.weights.wire import Field, Walker
from filler_server.weights.writer import PlainWriter, Tensor


def _number(message: Any, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)


_NAME = _number(caffe_pb2.NetParameter, "name")
_LAYER = _number(caffe_pb2.NetParameter, "layer")
_LAYERS = _number(caffe_pb2.NetParameter, "layers")
_BLOBS = _number(caffe_pb2.LayerParameter, "blobs")
_V1_BLOBS = _number(caffe_pb2.V1LayerParameter, "blobs")
_V1_LAYER = _number(caffe_pb2.V1LayerParameter, "layer")
_V0_BLOBS = _number(caffe_pb2.V0LayerParameter, "blobs")

_MOST_BLOBS = 1 << 18
_LONGEST_DEFINITION = 64 << 20
"""Bytes of all layers without their blobs; the longest that is known is below 2 MiB."""


class _Definition:
    """A net without the values of its blobs: in place of each is a small one with its number.

    So protobuf and the upgrade, which may drop layers and add some, can do their work, and it is known afterwards which
    layer has which blob.
    """

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._walker = Walker(file)
        self.blobs: list[Field] = []
        self._length = 0

    def net(self) -> bytes:
        return b"".join(
            self._layer(field, _BLOBS)
            if field.number == _LAYER and field.wire_type == LEN
            else self._v1_layer(field)
            if field.number == _LAYERS and field.wire_type == LEN
            else self._copy(field)
            for field in self._walker.fields(0, self._file.size)
        )

    def read(self, number: int, name: str) -> MappedTensor:
        field = self.blobs[number]
        return read_blob(self._file, self._walker, field.data, field.stop, name)

    def _layer(self, layer: Field, blobs: int) -> bytes:
        fields = self._walker.fields(layer.data, layer.stop)
        content = b"".join(
            self._placeholder(field) if field.number == blobs and field.wire_type == LEN else self._copy(field)
            for field in fields
        )
        return length_delimited(layer.number, content)

    def _v1_layer(self, layer: Field) -> bytes:
        content = []
        for field in self._walker.fields(layer.data, layer.stop):
            if field.number == _V1_BLOBS and field.wire_type == LEN:
                content.append(self._placeholder(field))
            elif field.number == _V1_LAYER and field.wire_type == LEN:
                content.append(self._layer(field, _V0_BLOBS))
            else:
                content.append(self._copy(field))
        return length_delimited(layer.number, b"".join(content))

    def _placeholder(self, blob: Field) -> bytes:
        if len(self.blobs) == _MOST_BLOBS:
            raise LimitExceeded.over("blobs", _MOST_BLOBS, _MOST_BLOBS + 1)
        self.blobs.append(blob)
        return length_delimited(blob.number, key(1, VARINT) + varint(len(self.blobs) - 1))

    def _copy(self, field: Field) -> bytes:
        self._length += field.stop - field.start
        if self._length > _LONGEST_DEFINITION:
            raise LimitExceeded.over("definition_bytes", _LONGEST_DEFINITION, self._length)
        return self._file.read(field.start, field.stop)


def read_caffemodel(
    file: MappedFile,
) -> tuple[tuple[StoredLayer, ...], caffe_pb2.NetParameter, tuple[Problem, ...]]:
    """Return the layers of a .caffemodel, the net without blobs in the current format, and what was passed over.

    Only what stands between the values is read, whatever their size.

    Raises:
        WeightsError: the file is damaged, or Caffe would refuse it.
        LimitExceeded: it has too many fields, layers or blobs.
    """
    definition = _Definition(file)
    binary = definition.net()
    try:
        document = read_net(binary, limits=ReadLimits())
    except PrototxtError as error:
        raise WeightsError(f"the net of the file cannot be read: {error}") from error
    net = document.net
    names = unique_names(layer.name for layer in net.layer)
    layers = []
    for layer, name in zip(net.layer, names, strict=True):
        tensors = [definition.read(blob.num, f"{name}/{index}") for index, blob in enumerate(layer.blobs)]
        layers.append(StoredLayer(layer.name, tuple(tensors)))
        del layer.blobs[:]
    if not layers:
        raise WeightsError("the file is a net without layers")
    return tuple(layers), net, document.problems


class CaffemodelWriter(PlainWriter):
    """Writes a .caffemodel of the current format, in one pass: all lengths are worked out ahead.

    float32 goes to `data`, float64 to `double_data`, and float16 to `raw_data`, which NVIDIA's fork and OpenCV read but
    BVLC Caffe does not.

    Args:
        target: where to.
        tensors: the blobs of the layers in the order of the net, named `<layer>/<index>`.
        net: the layers in the current format; all of them are written, with or without blobs.
    """

    def __init__(self, target: Path | BinaryIO, tensors: Sequence[Tensor], *, net: caffe_pb2.NetParameter) -> None:
        self._net = net
        super().__init__(target, tensors)

    def _open(self) -> None:
        blobs = self._blobs_by_layer()
        self._before: list[bytes] = []
        pending = length_delimited(_NAME, self._net.name.encode()) if self._net.name else b""
        for layer, tensors in zip(self._net.layer, blobs, strict=True):
            plain = caffe_pb2.LayerParameter()
            plain.CopyFrom(layer)
            del plain.blobs[:]
            definition = plain.SerializePartialToString()
            fronts = [_blob_front(tensor) for tensor in tensors]
            length = len(definition) + sum(
                len(front) + tensor.nbytes for front, tensor in zip(fronts, tensors, strict=True)
            )
            pending += key(_LAYER, LEN) + varint(length) + definition
            for front in fronts:
                self._before.append(pending + front)
                pending = b""
        self._after = pending

    def _begin(self, tensor: Tensor) -> None:
        self._file.write(self._before[self._next])

    def _finish(self) -> None:
        self._file.write(self._after)

    def _blobs_by_layer(self) -> list[list[Tensor]]:
        """Give each layer of the net its blobs.

        Raises:
            InvalidArgument: a tensor belongs to no layer, or they are not in the order of the net.
        """
        names = unique_names(layer.name for layer in self._net.layer)
        places = {name: place for place, name in enumerate(names)}
        blobs: list[list[Tensor]] = [[] for _ in names]
        last = 0
        for tensor in self._tensors:
            _check_dtype(tensor)
            layer, index = split_name(tensor.name) or (None, 0)
            if layer not in places:
                raise InvalidArgument(
                    f"a .caffemodel holds blobs of layers of its net, named <layer>/<index>. "
                    f"Received: name='{tensor.name}'"
                )
            place = places[layer]
            if place < last or index != len(blobs[place]):
                raise InvalidArgument(
                    f"the blobs of a .caffemodel stand in the order of its net, from index 0 without gaps. "
                    f"Received: name='{tensor.name}'"
                )
            last = place
            blobs[place].append(tensor)
        return blobs


_FIELDS: Mapping[str, tuple[bytes, int]] = {
    "float32": (b"", _number(caffe_pb2.BlobProto, "data")),
    "float64": (b"", _number(caffe_pb2.BlobProto, "double_data")),
    "float16": (key(RAW_DATA_TYPE, VARINT) + varint(RAW_FLOAT16), RAW_DATA),
}


def _check_dtype(tensor: Tensor) -> None:
    if tensor.dtype.name not in _FIELDS:
        raise InvalidArgument(
            f"a .caffemodel has {', '.join(_FIELDS)}. Received: dtype={tensor.dtype}, name='{tensor.name}'",
            field="dtype",
        )


def blob_proto_front(tensor: Tensor) -> bytes:
    """Return what stands in a BlobProto before the values; the last of it is their length.

    Raises:
        InvalidArgument: a BlobProto cannot hold the dtype.
    """
    _check_dtype(tensor)
    blob = caffe_pb2.BlobProto()
    if tensor.legacy:
        blob.num, blob.channels, blob.height, blob.width = tensor.shape
    else:
        blob.shape.dim.extend(tensor.shape)
    kind, field = _FIELDS[tensor.dtype.name]
    return blob.SerializeToString() + kind + key(field, LEN) + varint(tensor.nbytes)


def _blob_front(tensor: Tensor) -> bytes:
    """Return what stands in a layer before the values of a blob."""
    front = blob_proto_front(tensor)
    return key(_BLOBS, LEN) + varint(len(front) + tensor.nbytes) + front
