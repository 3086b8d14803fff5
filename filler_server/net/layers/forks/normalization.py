"""Normalizations of forks; that of NVIDIA's BatchNorm stands with BVLC's."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, count, differ
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
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
            return SetUp([bottom, norms][: layer.num_tops])
        layer.report("Normalize without norm_param is taken for SSD's with its one scale; others learn nothing")
    layer.require(layer.num_tops == 1, "Normalize Layer produces 1 top blob(s) as output", tops=layer.num_tops)
    if isinstance(bottom, tuple):
        layer.require(len(bottom) >= 2, "Number of axes of bottom blob must be >=2", shape=bottom)
    scale: Dims = () if layer.fork.flag("norm_param.channel_shared", True) else (layer.channels(0),)
    blobs = layer.learned(LearnedBlob(scale, layer.fork.filler("norm_param.scale_filler", _ONES)))
    if differ(count(blobs[0].shape), count(scale)):
        layer.refuse("Scale size is inconsistent with prototxt config", blob=blobs[0].shape, shape=bottom)
    return SetUp([bottom], blobs)


@register_fork("BN", bottoms=exactly(1), tops=between(1, 3), fork_fields=["bn_param"], roles=_BN_ROLES)
@register_fork("SyncBN", bottoms=exactly(1), tops=exactly(1), fork_fields=["bn_param"], roles=_BN_ROLES)
def bn(layer: LayerContext) -> SetUp:
    """One of three forms, told by the fields of bn_param.

    * slope_filler, bias_filler, momentum, frozen: slope, bias, mean, variance, each [1, C] (yjxiong/caffe,
      bn_layer.cpp; in hszhao/PSPNet [1, C, 1, 1] with the same fields).
    * var_eps, decay, moving_average: scale, shift, mean, variance, each [1, C, 1, 1] (ducha-aiki/caffe, bn_layer.cpp).
    * otherwise scale and shift, each [1, C, 1, 1] (alexgkendall/caffe-segnet, bn_layer.cpp).

    With more than two `param` there are four blobs. All is filled with 0 unless said otherwise.
    """
    kept = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine")
    moving = ("var_eps", "decay", "moving_average")
    slope = layer.parameter.type == "SyncBN" or any(f"bn_param.{name}" in layer.fork for name in kept)
    four = slope or any(f"bn_param.{name}" in layer.fork for name in moving) or len(layer.parameter.param) > 2
    channels = layer.channels(0) if slope else layer.legacy(0)[1]
    shape: Dims = (1, channels) if slope else (1, channels, 1, 1)
    first, second = ("slope", "bias") if slope else ("scale", "shift")
    variance = _ONES if slope and layer.fork.flag("bn_param.frozen", False) else _ZEROS
    blobs = [
        LearnedBlob(shape, layer.fork.filler(f"bn_param.{first}_filler")),
        LearnedBlob(shape, layer.fork.filler(f"bn_param.{second}_filler")),
        LearnedBlob(shape, _ZEROS),
        LearnedBlob(shape, variance),
    ]
    if "bn_param" not in layer.fork:
        layer.report(
            f"BN without bn_param is taken for one with {4 if four else 2} blobs, {'slope' if slope else 'scale'} first"
        )
    statistics: OpenDims = (1, channels, 1, 1)
    top = layer.bottoms[0] if slope else layer.legacy(0)
    tops = [top, statistics, statistics][: layer.num_tops]
    return SetUp(tops, layer.learned(*blobs[: 4 if four else 2]))


@register_fork("GRN", bottoms=exactly(1), tops=exactly(1))
@register_fork("L2Normalize", bottoms=exactly(1), tops=exactly(1))
@register_fork("LayerNorm", bottoms=exactly(1), tops=exactly(1), fork_fields=["layer_norm_param"])
def without_blobs(layer: LayerContext) -> SetUp:
    """The shape of the bottom.

    Sources: openvinotoolkit/training_toolbox_caffe, grn_layer.cpp; facebookarchive/C3D; MyCaffe/MyCaffe,
    LayerNormLayer.cs, which learns no scale.
    """
    return SetUp([layer.bottoms[0]])
