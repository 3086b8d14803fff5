"""input, input_shape and input_dim of a net, made a layer of type Input."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.tokens import shorten
from filler_server.prototxt.upgrade.draft import LayerSource, NetDraft, refusal

_AXES = 4
_VOLUME_AXES = 5
_VOLUME_LAYERS = ("convolution3d", "deconvolution3d", "pooling3d")


def upgrade_input_fields(draft: NetDraft) -> None:
    """Put an Input layer first in place of the net's input fields (`UpgradeNetInput`).

    Inputs without any shape, as in old weight files, vanish.

    Raises:
        PrototxtError: there are fewer shapes than inputs.
    """
    net = draft.net
    names = shorten(", ".join(repr(name) for name in net.input))
    place = draft.place("input")
    if net.input_shape:
        kind, needed, given = "input_shape", len(net.input), len(net.input_shape)
    else:
        kind, needed, given = "input_dim", _axes(net) * len(net.input), len(net.input_dim)
    if not given:
        what = f"input {names} has neither input_shape nor input_dim"
        draft.problems.add(what, names, done="so it is not a blob of the net", place=place)
        draft.open_inputs.values.extend(net.input)
        if draft.problems.last is not None:
            draft.open_inputs.problems.append(draft.problems.last)
        draft.changed(f"input {names} without a shape is left out", place)
    elif given < needed:
        what = f"{len(net.input)} input need {needed} {kind}"
        raise refusal(f"{what}. Received: {given}", draft.place(kind))
    else:
        if given > needed:
            what = f"{len(net.input)} input need only {needed} {kind}"
            draft.problems.add(what, given, done=f"the last {given - needed} passed over", place=draft.place(kind))
        if net.input_shape and net.input_dim:
            place_of_dim = draft.place("input_dim")
            draft.problems.add("input_dim beside input_shape", "input_dim", place=place_of_dim)
        _prepend(draft, _input_layer(net))
        draft.changed(f'input {names} becomes a layer of type "Input"', place)
    for field in ("input", "input_shape", "input_dim"):
        net.ClearField(field)


def _axes(net: caffe_pb2.NetParameter) -> int:
    """Return how many `input_dim` each input has: four, or five in nets of C3D, whose layers tell them."""
    volume = any(layer.type.replace("_", "").lower() in _VOLUME_LAYERS for layer in net.layer)
    return _VOLUME_AXES if volume and len(net.input_dim) == _VOLUME_AXES * len(net.input) else _AXES


def _input_layer(net: caffe_pb2.NetParameter) -> caffe_pb2.LayerParameter:
    layer = caffe_pb2.LayerParameter(name="input", type="Input", top=net.input)
    for index in range(len(net.input)):
        if net.input_shape:
            layer.input_param.shape.add().CopyFrom(net.input_shape[index])
        else:
            axes = _axes(net)
            layer.input_param.shape.add(dim=net.input_dim[axes * index : axes * (index + 1)])
    return layer


def _prepend(draft: NetDraft, layer: caffe_pb2.LayerParameter) -> None:
    draft.net.layer.insert(0, layer)
    draft.layer.insert(0, LayerSource(draft.place("input")))
