"""The layers to which tensors belong, as a plan has them or as a file of weights describes them."""

from collections.abc import Mapping, Sequence

import filler_server.net.layers  # noqa: F401 - registers the layer types
from caffe_filler.caffe.caffe_pb2 import FillerParameter, NetParameter
from filler_server.net.plan import Blob, Layer, unique_names
from filler_server.net.registry import LayerType, layer_type, resolve_layer_type
from filler_server.prototxt.tokens import shorten
from filler_server.tensors import Tensor

_UNKNOWN = FillerParameter()

_MOST_NAMED = 8

_FACTOR_AS_BOTTOM = ("Scale", "InnerProduct")
"""Types whose first blob can be a bottom instead, so that the bias is their only blob."""


def named(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Return layers by the names that their blobs have from them, in their order."""
    return dict(zip(unique_names(layer.name for layer in layers), layers, strict=True))


def stored_layers(net: NetParameter, tensors: Sequence[Tensor]) -> tuple[Layer, ...]:
    """Return the layers of a net that a file describes, with those of its tensors as blobs that belong to them.

    Args:
        net: the layers in the current format.
        tensors: named `<layer>/<index>`.
    """
    own: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        own.setdefault(tensor.name.rpartition("/")[0], []).append(tensor)
    layers: list[Layer] = []
    for layer, name in zip(net.layer, unique_names(layer.name for layer in net.layer), strict=True):
        kind = resolve_layer_type(layer.type, ())
        blobs = [
            Blob(tensor.name, _shape(tensor, kind, index), _UNKNOWN) for index, tensor in enumerate(own.get(name, ()))
        ]
        type_name = layer.type if kind is None else kind.name
        layers.append(Layer(layer.name, type_name, tuple(layer.bottom), (), tuple(blobs), definition=layer))
    return tuple(layers)


def _shape(tensor: Tensor, kind: LayerType | None, index: int) -> tuple[int, ...]:
    """Return the shape that a blob has today."""
    return kind.modern_shape(index, tensor.shape) if tensor.legacy and kind is not None else tensor.shape


def kind_of(layer: Layer) -> LayerType | None:
    """Return the type of a layer, or None where it is not known."""
    return layer_type(layer.type)


def roles_of(layer: Layer, counts: Sequence[int | None]) -> tuple[str, ...]:
    """Return what each blob of a layer is, such as `weight` or `mean`; () where the type does not tell.

    Args:
        layer: the layer.
        counts: the number of values of each blob, None where it is not known.
    """
    if layer.type in _FACTOR_AS_BOTTOM and len(layer.bottoms) > 1 and len(counts) == 1:
        return ("bias",)
    kind = kind_of(layer)
    return () if kind is None else kind.roles(len(counts), counts)


def definitions(name: str, layers: Sequence[Layer]) -> NetParameter:
    """Return layers in the current format, without values, and without what `beyond_definitions` tells of."""
    net = NetParameter(name=name)
    for layer in layers:
        added = net.layer.add()
        added.CopyFrom(layer.parameter)
        del added.blobs[:]
    return net


def beyond_definitions(layers: Sequence[Layer]) -> list[str]:
    """Return a note about fields of forks, which the messages of BVLC's Caffe cannot hold, if layers have any."""
    lost = [(layer.name, sorted(layer.unknown.keys() - {"type"})) for layer in layers]
    found = [f"'{shorten(name)}' ({', '.join(paths)})" for name, paths in lost if paths]
    if not found:
        return []
    listed = ", ".join(found[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
    return [
        f"the layers of the file lack fields of forks, without which they may compute something else: {listed}; "
        "use the weights with the net that they come from"
    ]


def readers(layers: Sequence[Layer]) -> Mapping[int, list[int]]:
    """Return for each layer, by its number, the layers that read what it writes, in place or not."""
    written: dict[str, int] = {}
    found: dict[int, list[int]] = {}
    for number, layer in enumerate(layers):
        for bottom in layer.parameter.bottom:
            if bottom in written:
                found.setdefault(written[bottom], []).append(number)
        for top in layer.parameter.top:
            written[top] = number
    return found
