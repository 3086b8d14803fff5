"""Normalizations of forks; that of NVIDIA's BatchNorm stands with BVLC's."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, Unknown, count, differ
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.operations import normalization as operations
from filler_server.net.operations.base import Operation, single
from filler_server.net.registry import between, exactly, register_fork, up_to

_ZEROS = caffe_pb2.FillerParameter()
_ONES = caffe_pb2.FillerParameter(type="constant", value=1)
_BN_ROLES = [("scale", "bias"), ("scale", "bias", "mean", "variance")]


@register_fork(
    "Normalize",
    bottoms=exactly(1),
    tops=between(1, 2),
    fork_fields=["norm_param", "normalize_param"],
    roles=up_to("scale"),
)
def normalize(layer: LayerContext) -> SetUp:
    """The scale, one for all channels or [C] (weiliu89/caffe branch ssd, normalize_layer.cpp).

    With normalize_param or two tops it is the layer that learns nothing, and may tell the norms [N, 1, H, W]
    (ydwen/caffe-face and happynear/caffe-windows, normalize_layer.cpp). Without a block it is SSD's with its defaults.
    """
    bottom = layer.bottoms[0]
    if "norm_param" not in layer.fork:
        if layer.num_tops == 2 or "normalize_param" in layer.fork:
            num, _, height, width = layer.legacy(0)
            norms: OpenDims = (num, 1, height, width)
            operation = layer.operation(lambda: _normalize_channels(layer))
            return SetUp([bottom, norms][: layer.num_tops], operation=operation)
        layer.report("Normalize without norm_param is taken for SSD's with its one scale; others learn nothing")
    layer.require(layer.num_tops == 1, "Normalize Layer produces 1 top blob(s) as output", tops=layer.num_tops)
    if isinstance(bottom, tuple):
        layer.require(len(bottom) >= 2, "Number of axes of bottom blob must be >=2", shape=bottom)
    channel_shared = layer.fork.flag("norm_param.channel_shared", True)
    scale: Dims = () if channel_shared else (layer.channels(0),)
    blobs = layer.learned(LearnedBlob(scale, layer.fork.filler("norm_param.scale_filler", _ONES)))
    if differ(count(blobs[0].shape), count(scale)):
        layer.refuse("Scale size is inconsistent with prototxt config", blob=blobs[0].shape, shape=bottom)
    operation = layer.operation(
        lambda: operations.Normalize(
            across_spatial=layer.fork.flag("norm_param.across_spatial", True),
            channel_shared=channel_shared,
            eps=layer.fork.number("norm_param.eps", single(1e-10)),
        )
    )
    return SetUp([bottom], blobs, operation)


def _normalize_channels(layer: LayerContext) -> operations.NormalizeChannels:
    layer.fork.disregard("normalize_param.fix_gradient", "normalize_param.bp_norm")
    return operations.NormalizeChannels(norm=layer.fork.choice("normalize_param.normalize_type", ("L2", "L1")))


@register_fork("BN", bottoms=exactly(1), tops=between(1, 3), fork_fields=["bn_param"], roles=_BN_ROLES)
@register_fork("SyncBN", bottoms=exactly(1), tops=exactly(1), fork_fields=["bn_param"], roles=_BN_ROLES)
def bn(layer: LayerContext) -> SetUp:
    """One of three forms, told by the fields of bn_param.

    * slope_filler, bias_filler, momentum, frozen, or no block: slope, bias, mean, variance, each [1, C, 1, 1] over
      images (hszhao/PSPNet, bn_layer.cpp), and [1, C] over other numbers of axes (yjxiong/caffe, bn_layer.cpp, which
      has [1, C] over images, too).
    * var_eps, decay, moving_average: scale, shift, mean, variance, each [1, C, 1, 1] (ducha-aiki/caffe, bn_layer.cpp).
    * otherwise scale and shift, each [1, C, 1, 1] (alexgkendall/caffe-segnet, bn_layer.cpp).

    With more than two `param`, or blobs in the file, there are four. All is filled with 0 unless said otherwise.
    """
    kept = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine")
    moving = ("var_eps", "decay", "moving_average")
    moves = any(f"bn_param.{name}" in layer.fork for name in moving)
    slope = (
        layer.parameter.type == "SyncBN"
        or "bn_param" not in layer.fork
        or any(f"bn_param.{name}" in layer.fork for name in kept)
    )
    four = slope or moves or len(layer.parameter.param) > 2
    channels = layer.channels(0) if slope else layer.legacy(0)[1]
    bottom = layer.bottoms[0]
    shape: Dims = (1, channels, 1, 1)
    if slope and layer.parameter.type == "SyncBN":
        shape = (1, channels)
    elif slope:
        # How many axes there are decides over the shape.
        shape = bottom if isinstance(bottom, Unknown) else shape if len(bottom) == 4 else (1, channels)
    first, second = ("slope", "bias") if slope else ("scale", "shift")
    variance = _ONES if slope and layer.fork.flag("bn_param.frozen", False) else _ZEROS
    blobs = [
        LearnedBlob(shape, layer.fork.filler(f"bn_param.{first}_filler")),
        LearnedBlob(shape, layer.fork.filler(f"bn_param.{second}_filler")),
        LearnedBlob(shape, _ZEROS),
        LearnedBlob(shape, variance),
    ]
    if "bn_param" not in layer.fork:
        layer.report("BN without bn_param is taken for one with 4 blobs, slope first")
    statistics: OpenDims = (1, channels, 1, 1)
    top = bottom if slope else layer.legacy(0)
    tops = [top, statistics, statistics][: layer.num_tops]
    operation = layer.operation(lambda: _bn_operation(layer, slope=slope, four=four))
    return SetUp(tops, layer.learned(*blobs[: 4 if four else 2]), operation)


def _bn_operation(layer: LayerContext, *, slope: bool, four: bool) -> Operation:
    fork = layer.fork
    if slope:
        fork.disregard("bn_param.engine")
        stored = not layer.training or fork.flag("bn_param.frozen", False)
        return operations.BN(
            statistics="stored" if stored else "batch",
            eps=fork.number("bn_param.eps", single(1e-5)),
            momentum=fork.number("bn_param.momentum", single(0.9)),
        )
    if four:
        return layer.custom()
    learning = fork.choice("bn_param.bn_mode", ("LEARN", "INFERENCE")) == "learn"
    return operations.BN(statistics="batch" if learning else "none", eps=single(1e-9))


@register_fork("GRN", bottoms=exactly(1), tops=exactly(1))
@register_fork("L2Normalize", bottoms=exactly(1), tops=exactly(1))
@register_fork("LayerNorm", bottoms=exactly(1), tops=exactly(1), fork_fields=["layer_norm_param"])
def without_blobs(layer: LayerContext) -> SetUp:
    """The shape of the bottom.

    Sources: openvinotoolkit/training_toolbox_caffe, grn_layer.cpp; facebookarchive/C3D; MyCaffe/MyCaffe,
    LayerNormLayer.cs, which learns no scale.
    """
    return SetUp([layer.bottoms[0]], operation=layer.custom())
