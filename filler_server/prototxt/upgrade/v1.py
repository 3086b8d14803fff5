"""V1 nets to V2, the current format: `layers { type: CONVOLUTION ... }` to `layer { type: "Convolution" ... }`."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.layer_types import current_type
from filler_server.prototxt.upgrade.draft import LayerSource, NetDraft, refusal

TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
"""Types of layers by their V1 names."""

_LISTS = {"param": "name", "blob_share_mode": "share_mode", "blobs_lr": "lr_mult", "weight_decay": "decay_mult"}


def upgrade_v1(draft: NetDraft, *, from_v0: bool = False) -> None:
    """Make every `layers` a `layer` (`UpgradeV1Net`).

    Args:
        draft: the net.
        from_v0: whether the layers were of the V0 format, so that their change is told already.

    Raises:
        PrototxtError: the net has both.
    """
    old = draft.net
    if old.layer:
        what = "a net has either 'layer' or, in the V1 format, 'layers'"
        raise refusal(f"{what}. Received: {len(old.layer)} layer, {len(old.layers)} layers", draft.place("layers"))
    net = caffe_pb2.NetParameter()
    for layer, source in zip(old.layers, draft.layers, strict=True):
        upgraded = net.layer.add()
        _upgrade_layer(layer, upgraded, source)
        draft.layer.append(source)
        if not from_v0:
            lists = [name for name in _LISTS if len(getattr(layer, name))]
            more = f"; {', '.join(lists)} become param" if lists else ""
            draft.changed(f'V1 layer becomes one of type "{upgraded.type}"{more}', source.place, layer.name)
    # The rest is merged in afterwards, so that layers with large blobs are copied only once.
    old.ClearField("layers")
    net.MergeFrom(old)
    draft.net = net
    draft.layers = []


def _upgrade_layer(old: caffe_pb2.V1LayerParameter, layer: caffe_pb2.LayerParameter, source: LayerSource) -> None:
    """Fill a layer from a V1 one (`UpgradeV1LayerParameter`)."""
    for field, value in old.ListFields():
        if field.name in _LISTS:
            while len(layer.param) < len(value):
                layer.param.add()
            for param, item in zip(layer.param, value, strict=False):
                setattr(param, _LISTS[field.name], item)
        elif field.name == "type":
            layer.type = TYPES[caffe_pb2.V1LayerParameter.LayerType.Name(value)]
        elif field.is_repeated:
            getattr(layer, field.name).extend(value)
        elif field.message_type is not None:
            getattr(layer, field.name).CopyFrom(value)
        else:
            setattr(layer, field.name, value)
    if source.type is not None:
        layer.type = source.type
    elif "type" in source.unknown and source.unknown["type"].values:
        layer.type = current_type(str(source.unknown["type"].values[-1]))
