"""Caffe's .caffemodel: a NetParameter in binary, of any age, whose layers hold their blobs."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError, WeightsError
from caffe_filler.interface import option_name
from caffe_filler.wire import LEN, VARINT, key, length_delimited, varint
from filler_server.layouts.caffe import by_layer
from filler_server.net.plan import unique_names
from filler_server.net.registry import layer_type
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_net
from filler_server.tensors import Tensor, reshaped
from filler_server.weights.blob_proto import blob_front, check_dtype, is_volume, read_blob
from filler_server.weights.file import StoredLayer
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile, MappedTensor
from filler_server.weights.message import NET_FIELDS, outermost
from filler_server.weights.names import check_names
from filler_server.weights.wire import Field, Walker
from filler_server.weights.writer import PlainWriter


def _number(message: Any, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)


_NAME = _number(caffe_pb2.NetParameter, "name")
_LAYER = _number(caffe_pb2.NetParameter, "layer")
_LAYERS = _number(caffe_pb2.NetParameter, "layers")
_BLOBS = _number(caffe_pb2.LayerParameter, "blobs")
_V1_BLOBS = _number(caffe_pb2.V1LayerParameter, "blobs")
_V1_LAYER = _number(caffe_pb2.V1LayerParameter, "layer")
_V0_BLOBS = _number(caffe_pb2.V0LayerParameter, "blobs")

_LAYERS_FIELDS = {(_LAYERS, LEN), (_LAYER, LEN)}

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

    def is_volume(self) -> bool:
        """Whether it is a net of C3D 1.0, by its blobs."""
        return any(is_volume(self._walker, field.data, field.stop) for field in self.blobs)

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


def read_caffemodel(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a .caffemodel; only what stands between the values is read, whatever their size.

    Raises:
        WeightsError: the file is damaged, or Caffe would refuse it.
        LimitExceeded: it has too many fields, layers or blobs.
    """
    definition = _Definition(file)
    binary = definition.net()
    try:
        document = read_net(binary, limits=ReadLimits(), lenient=True)
    except PrototxtError as error:
        raise WeightsError(f"the net of the file cannot be read: {error}") from error
    net = document.net
    names = unique_names(layer.name for layer in net.layer)
    volume = definition.is_volume()
    check_names(sum(len(name) * len(layer.blobs) for name, layer in zip(names, net.layer, strict=True)), file.size)
    layers = []
    for layer, name in zip(net.layer, names, strict=True):
        blobs: list[Tensor] = [definition.read(blob.num, f"{name}/{index}") for index, blob in enumerate(layer.blobs)]
        if volume:
            blobs = _of_volume(layer, blobs)
        layers.append(StoredLayer(layer.name, tuple(blobs)))
        del layer.blobs[:]
    if not layers:
        raise WeightsError("the file is a net without layers")
    tensors = tuple(tensor for layer in layers for tensor in layer.tensors)
    return Contents(tensors, tuple(layers), net, problems=document.problems)


_VOLUME_TYPES = {"ArgMax": "Convolution3D"}
"""Layer types of C3D 1.0 by BVLC's names for their numbers in the V1 format, as far as they learn something."""


def _of_volume(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor]) -> list[Tensor]:
    """Give a layer of C3D 1.0 its own type, and its blobs the shapes of that without axes of 1 in front."""
    if blobs:
        layer.type = _VOLUME_TYPES.get(layer.type, layer.type)
    kind = layer_type(layer.type)
    if kind is None:
        return list(blobs)
    return [reshaped(blob, kind.modern_shape(index, blob.shape)) for index, blob in enumerate(blobs)]


class CaffemodelWriter(PlainWriter):
    """Writes a .caffemodel of the current format, in one pass: all lengths are worked out ahead.

    float32 goes to `data`, float64 to `double_data`, and float16 to `raw_data`, which NVIDIA's fork and OpenCV read but
    BVLC Caffe does not.

    Args:
        target: where to.
        tensors: the blobs of the layers in the order of the net, named `<layer>/<index>`.
        net: the layers in the current format; all of them are written, with or without blobs.
    """

    def __init__(self, target: Target, tensors: Sequence[Tensor], *, net: caffe_pb2.NetParameter) -> None:
        self._net = net
        super().__init__(target, tensors)

    def _open(self) -> None:
        for tensor in self._tensors:
            check_dtype(tensor)
        blobs = by_layer(self._net, self._tensors, "a .caffemodel")
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


def _blob_front(tensor: Tensor) -> bytes:
    """Return what stands in a layer before the values of a blob."""
    front = blob_front(tensor)
    return key(_BLOBS, LEN) + varint(len(front) + tensor.nbytes) + front


def _recognizes(file: MappedFile) -> bool:
    """Whether most of the outermost fields are a net's, and one of them its layers."""
    found = outermost(file)
    if found.learned_net is not None or (1, VARINT) in found.fields:
        return False
    return bool(found.fields & _LAYERS_FIELDS) and 2 * len(found.fields & NET_FIELDS) >= len(found.fields)


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> CaffemodelWriter:
    if extras.net is None:
        raise InvalidArgument(
            f"a .caffemodel tells the type of each layer, and so it needs the option {option_name('net')}. "
            f"Received: {target}"
        )
    return CaffemodelWriter(target, tensors, net=extras.net)


FORMAT = Format(
    "caffemodel",
    _recognizes,
    read_caffemodel,
    (".caffemodel",),
    _open_writer,
    has_signature=False,
    needs_net=True,
    keeps_legacy=True,
)
