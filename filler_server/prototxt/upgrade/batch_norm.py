"""BatchNorm layers that give their three blobs rates of learning, which are no learnable blobs at all."""

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.upgrade.draft import NetDraft

_BLOBS = 3


def upgrade_batch_norm(draft: NetDraft) -> None:
    """Set lr_mult and decay_mult of BatchNorm layers with exactly three `param` to 0 (`UpgradeNetBatchNorm`)."""
    for layer, source in zip(draft.net.layer, draft.layer, strict=True):
        if learns_statistics(layer):
            draft.changed("lr_mult and decay_mult of a BatchNorm's three param become 0", source.place, layer.name)
            for param in layer.param:
                param.lr_mult = 0
                param.decay_mult = 0


def learns_statistics(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer is a BatchNorm with three `param`, and any lr_mult or decay_mult in them is not 0."""
    return (
        layer.type == "BatchNorm"
        and len(layer.param) == _BLOBS
        and any(param.lr_mult or param.decay_mult for param in layer.param)
    )
