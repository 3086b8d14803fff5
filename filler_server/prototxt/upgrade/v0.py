"""V0 nets to V1: `layers { layer { type: "conv" ... } bottom: ... }`, one flat message for all types of layers."""

from dataclasses import replace
from typing import Any

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Place
from filler_server.prototxt.tokens import shorten
from filler_server.prototxt.unknown import PassedOver
from filler_server.prototxt.upgrade.draft import NetDraft
from filler_server.prototxt.upgrade.padding import fold_padding_layers
from filler_server.prototxt.upgrade.v1 import TYPES

V1_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}
"""Types of V1 layers by those of V0."""

_ANY = ""
_WINDOW = {"conv": "convolution_param", "pool": "pooling_param"}
_WEIGHTED = {"conv": "convolution_param", "innerproduct": "inner_product_param"}
_LRN = {"lrn": "lrn_param"}
_IMAGES = {"images": "image_data_param"}
_WINDOW_DATA = {"window_data": "window_data_param"}
_BATCH = {
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
}

# Where each field goes: its name there, and the message by the layer's type (_ANY: whatever the type). In the order
# in which Caffe looks at them, and so complains of them.
_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "num_output": ("num_output", _WEIGHTED),
    "biasterm": ("bias_term", _WEIGHTED),
    "weight_filler": ("weight_filler", _WEIGHTED),
    "bias_filler": ("bias_filler", _WEIGHTED),
    "pad": ("pad", _WINDOW),
    "kernelsize": ("kernel_size", _WINDOW),
    "group": ("group", {"conv": "convolution_param"}),
    "stride": ("stride", _WINDOW),
    "pool": ("pool", {"pool": "pooling_param"}),
    "dropout_ratio": ("dropout_ratio", {"dropout": "dropout_param"}),
    "local_size": ("local_size", _LRN),
    "alpha": ("alpha", _LRN),
    "beta": ("beta", _LRN),
    "k": ("k", _LRN),
    "source": ("source", {**_BATCH, "infogain_loss": "infogain_loss_param"}),
    "scale": ("scale", {_ANY: "transform_param"}),
    "meanfile": ("mean_file", {_ANY: "transform_param"}),
    "batchsize": ("batch_size", _BATCH),
    "cropsize": ("crop_size", {_ANY: "transform_param"}),
    "mirror": ("mirror", {_ANY: "transform_param"}),
    "rand_skip": ("rand_skip", {"data": "data_param", "images": "image_data_param"}),
    "shuffle_images": ("shuffle", _IMAGES),
    "new_height": ("new_height", _IMAGES),
    "new_width": ("new_width", _IMAGES),
    "concat_dim": ("concat_dim", {"concat": "concat_param"}),
    "det_fg_threshold": ("fg_threshold", _WINDOW_DATA),
    "det_bg_threshold": ("bg_threshold", _WINDOW_DATA),
    "det_fg_fraction": ("fg_fraction", _WINDOW_DATA),
    "det_context_pad": ("context_pad", _WINDOW_DATA),
    "det_crop_mode": ("crop_mode", _WINDOW_DATA),
    "hdf5_output_param": ("", {"hdf5_output": "hdf5_output_param"}),
    "new_num": ("", {}),
    "new_channels": ("", {}),
}
_OF_BLOBS = ("num_output", "weight_filler", "bias_filler")
_KEPT = ("name", "layers", "input", "input_dim", "force_backward")


def is_v0(net: caffe_pb2.NetParameter) -> bool:
    """Whether a net has a V0 layer."""
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade_v0(draft: NetDraft) -> None:
    """Bring a V0 net to V1 (`UpgradeV0Net`); like Caffe, keep nothing that V0 nets did not have.

    Raises:
        PrototxtError: a padding layer that cannot be folded in.
    """
    fold_padding_layers(draft)
    old = draft.net
    for field, _ in old.ListFields():
        if field.name not in _KEPT:
            what = f"{field.name} has no place in a file with V0 layers"
            draft.problems.add(what, field.name, place=draft.place(field.name))
    net = caffe_pb2.NetParameter(input=old.input, input_dim=old.input_dim)
    for name in ("name", "force_backward"):
        if old.HasField(name):
            setattr(net, name, getattr(old, name))
    sources = []
    for connection, source in zip(old.layers, draft.layers, strict=True):
        strange = _upgrade_layer(connection, net.layers.add(), draft, source.place)
        if strange is not None:
            # What such a layer asks for has no place in the formats that follow.
            kept = {name: PassedOver(["..."], []) for name in _OF_BLOBS if connection.layer.HasField(name)}
            source = replace(source, type=strange, unknown={**source.unknown, **kept})
        sources.append(source)
    draft.layers = sources
    draft.net = net
    draft.layer = []


def _upgrade_layer(
    connection: caffe_pb2.V1LayerParameter,
    layer: caffe_pb2.V1LayerParameter,
    draft: NetDraft,
    place: Place | None,
) -> str | None:
    """Fill a V1 layer from a V0 one (`UpgradeV0LayerParameter`); return its type if V0 does not have it."""
    v0 = connection.layer
    name = v0.name or connection.name or None
    for field, _ in connection.ListFields():
        if field.name not in ("bottom", "top", "layer"):
            what = f"{field.name} beside bottom and top has no place in a file with V0 layers"
            draft.problems.add(what, field.name, place=place, layer=name)
    layer.bottom.extend(connection.bottom)
    layer.top.extend(connection.top)
    if v0.HasField("name"):
        layer.name = v0.name
    strange = None
    if v0.HasField("type") and v0.type not in V1_TYPES:
        shown = shorten(v0.type)
        draft.problems.add(f"V0 has no layers of type {shown}", shown, done="kept", place=place, layer=name)
        draft.changed(f'V0 layer of type "{shown}" becomes one of the current format', place, name)
        strange = v0.type
    elif v0.HasField("type"):
        layer.type = getattr(caffe_pb2.V1LayerParameter, V1_TYPES[v0.type])
        draft.changed(f'V0 layer of type "{v0.type}" becomes one of type "{TYPES[V1_TYPES[v0.type]]}"', place, name)
    else:
        draft.changed("V0 layer without a type becomes one of the current format", place, name)
    layer.blobs.extend(v0.blobs)
    layer.blobs_lr.extend(v0.blobs_lr)
    layer.weight_decay.extend(v0.weight_decay)
    for old, (new, messages) in _FIELDS.items():
        if not v0.HasField(old):
            continue
        target = messages.get(v0.type) or messages.get(_ANY)
        if target is None:
            draft.problems.add(f"{old} means nothing to a V0 layer of type {v0.type}", old, place=place, layer=name)
        else:
            _move(getattr(v0, old), getattr(layer, target), new)
    return strange


def _move(value: Any, message: Any, name: str) -> None:
    """Put a value into a field, or into the message itself where there is no name."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        message.CopyFrom(value)
    elif field.message_type is not None:
        getattr(message, name).CopyFrom(value)
    elif field.is_repeated:
        getattr(message, name).append(value)
    else:
        setattr(message, name, value)
