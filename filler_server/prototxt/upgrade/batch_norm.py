"""BatchNorm layers that give their three blobs rates of learning, which are no learnable blobs at all."""

from filler_server.prototxt.upgrade.draft import NetDraft

_BLOBS = 3


def upgrade_batch_norm(draft: NetDraft) -> None:
    """Set lr_mult and decay_mult of BatchNorm layers with exactly three `param` to 0 (`UpgradeNetBatchNorm`)."""
    for layer, source in zip(draft.net.layer, draft.layer, strict=True):
        if layer.type != "BatchNorm" or len(layer.param) != _BLOBS:
            continue
        if any(param.lr_mult or param.decay_mult for param in layer.param):
            draft.changed("lr_mult and decay_mult of a BatchNorm's three param become 0", source.place, layer.name)
        for param in layer.param:
            param.lr_mult = 0
            param.decay_mult = 0
