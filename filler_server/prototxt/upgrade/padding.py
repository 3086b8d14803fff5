"""V0's layers of type "padding", folded into the convolution or pooling layers that they stand before."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Place
from filler_server.prototxt.tokens import shorten
from filler_server.prototxt.upgrade.draft import LayerSource, NetDraft, refusal

PADDING = "padding"
"""Type of the layers that are folded into others."""

_PADDED = ("conv", "pool")


def fold_padding_layers(draft: NetDraft) -> None:
    """Remove padding layers and give their `pad` to the layers that read them (`UpgradeV0PaddingLayers`).

    Raises:
        PrototxtError: a bottom that no layer before has made, or a padding layer that cannot be folded in.
    """
    old = draft.net
    net = caffe_pb2.NetParameter()
    net.CopyFrom(old)
    del net.layers[:]
    sources: list[LayerSource] = []
    makers: dict[str, caffe_pb2.V1LayerParameter | None] = dict.fromkeys(old.input)
    for connection, source in zip(old.layers, draft.layers, strict=True):
        if connection.layer.type == PADDING:
            draft.changed("padding layer is folded into the layers that read it", source.place, connection.layer.name)
        else:
            net.layers.add().CopyFrom(connection)
            sources.append(source)
        for index, bottom in enumerate(connection.bottom):
            if bottom not in makers:
                what = f"layer '{connection.layer.name}': no layer before makes this bottom"
                raise refusal(f"{what}. Received: bottom={shorten(bottom)!r}", source.place)
            maker = makers[bottom]
            if maker is not None and maker.layer.type == PADDING:
                _check(connection, maker, source.place)
                net.layers[-1].layer.pad = maker.layer.pad
                net.layers[-1].bottom[index] = maker.bottom[0]
        makers.update(dict.fromkeys(connection.top, connection))
    draft.net = net
    draft.layers = sources


def _check(layer: caffe_pb2.V1LayerParameter, padding: caffe_pb2.V1LayerParameter, place: Place | None) -> None:
    who = f"layer '{layer.layer.name}'"
    if layer.layer.type not in _PADDED:
        what = f"{who}: only layers of type conv and pool can be padded"
        raise refusal(f"{what}. Received: type={layer.layer.type!r}", place)
    for part, names in (
        (f"{who} after a padding layer must have one bottom", layer.bottom),
        (f"{who}: its padding layer must have one bottom", padding.bottom),
        (f"{who}: its padding layer must have one top", padding.top),
    ):
        if len(names) != 1:
            raise refusal(f"{part}. Received: {shorten(str(list(names)))}", place)
