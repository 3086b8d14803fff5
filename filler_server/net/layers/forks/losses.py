"""Losses of forks, each a scalar; what further tops hold is not known."""

from filler_server.net.dimensions import Dim, Unknown, count
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.layers.losses import check_batch
from filler_server.net.operations import losses as operations
from filler_server.net.registry import at_least, between, exactly, register_fork, up_to

_SCALAR: OpenDims = ()


@register_fork("CtcLoss", bottoms=at_least(2), tops=at_least(1), loss=True)
@register_fork("CTCLoss", bottoms=at_least(2), tops=at_least(1), loss=True)
@register_fork("FocalLoss", bottoms=at_least(2), tops=at_least(1), loss=True)
@register_fork("GaussianYolov3", bottoms=at_least(1), tops=at_least(1), loss=True)
@register_fork("L1Loss", bottoms=between(1, 2), tops=at_least(1), loss=True)
@register_fork("LpqLoss", bottoms=between(1, 2), tops=at_least(1), loss=True)
@register_fork("RegionLoss", bottoms=at_least(2), tops=at_least(1), loss=True)
@register_fork("TripletLoss", bottoms=at_least(1), tops=at_least(1), loss=True)
@register_fork("Yolov3", bottoms=at_least(2), tops=at_least(1), loss=True)
@register_fork("YoloSeg", bottoms=at_least(2), tops=at_least(1), loss=True)
def scalar_loss(layer: LayerContext) -> SetUp:
    """A scalar.

    Loss layers of BVLC/caffe's pull requests, happynear/caffe-windows, lmb-freiburg/flownet2, NVIDIA/caffe, intel/caffe
    and eric612/MobileNet-YOLO.
    """
    return SetUp([_SCALAR, *[None] * (layer.num_tops - 1)], operation=layer.custom())


@register_fork(
    "CenterLoss",
    bottoms=exactly(2),
    tops=at_least(1),
    loss=True,
    fork_fields=["center_loss_param"],
    roles=up_to("centers"),
)
def center_loss(layer: LayerContext) -> SetUp:
    """A scalar; the centers [num_output, K] are learned (ydwen/caffe-face, center_loss_layer.cpp)."""
    check_batch(layer)
    num_output = layer.fork.integer("center_loss_param.num_output", 0)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    axis = layer.fork.integer("center_loss_param.axis", 1, least=-(1 << 31), most=(1 << 31) - 1)
    bottom = layer.bottoms[0]
    axis = axis if isinstance(bottom, Unknown) else layer.axis(bottom, axis)
    values: Dim = bottom if isinstance(bottom, Unknown) else count(bottom, axis)
    centers = LearnedBlob((num_output, values), layer.fork.filler("center_loss_param.center_filler"))
    operation = layer.operation(
        lambda: operations.CenterLoss(
            num_output=num_output,
            axis=axis,
            distance_type=layer.fork.word("center_loss_param.distance_type", "L2"),
        )
    )
    return SetUp([_SCALAR, *[None] * (layer.num_tops - 1)], layer.learned(centers), operation)
