"""scale, mean_file, crop_size and mirror of V1 data layers, moved to transform_param."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.upgrade.draft import NetDraft

_TYPES = caffe_pb2.V1LayerParameter.LayerType
_MESSAGES = {
    _TYPES.DATA: "data_param",
    _TYPES.IMAGE_DATA: "image_data_param",
    _TYPES.WINDOW_DATA: "window_data_param",
}
_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


def upgrade_data_transformation(draft: NetDraft) -> None:
    """Move the deprecated fields of V1 data layers (`UpgradeNetDataTransformation`).

    If one layer needs it, all of these types get both messages, as Caffe leaves them.
    """
    moves = [_deprecated(layer) for layer in draft.net.layers]
    if not any(moves):
        return
    for layer, source, fields in zip(draft.net.layers, draft.layers, moves, strict=True):
        name = _message_of(layer)
        if name is None:
            continue
        message = getattr(layer, name)
        message.SetInParent()
        layer.transform_param.SetInParent()
        for field in fields:
            setattr(layer.transform_param, field, getattr(message, field))
            message.ClearField(field)
        if fields:
            draft.changed(f"{', '.join(fields)} of {name} move to transform_param", source.place, layer.name)


def _message_of(layer: caffe_pb2.V1LayerParameter) -> str | None:
    return _MESSAGES.get(layer.type) if layer.HasField("type") else None


def _deprecated(layer: caffe_pb2.V1LayerParameter) -> list[str]:
    name = _message_of(layer)
    message = None if name is None or not layer.HasField(name) else getattr(layer, name)
    return [field for field in _FIELDS if message is not None and message.HasField(field)]
