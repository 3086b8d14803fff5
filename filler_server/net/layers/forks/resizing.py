"""Layers of forks that change height and width."""

from filler_server.net.dimensions import Dim, Unknown, quotient, shapes_differ
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.registry import between, exactly, register_fork

_INT32 = {"least": -(1 << 31), "most": (1 << 31) - 1}


@register_fork("Interp", bottoms=between(1, 2), tops=exactly(1), fork_fields=["interp_param"])
def interp(layer: LayerContext) -> SetUp:
    """Bilinear interpolation by factors or to a given size (hszhao/PSPNet, interp_layer.cpp).

    With use_blob_size it is the size of the second bottom (soeaver/caffe-model).
    """
    num, channels, height, width = layer.legacy(0)
    fork = layer.fork
    if fork.flag("interp_param.use_blob_size", False):
        layer.require(len(layer.bottoms) == 2, "use_blob_size needs a second bottom", bottoms=len(layer.bottoms))
        return SetUp([(num, channels, *layer.legacy(1)[2:])])
    padding = [fork.integer(f"interp_param.{side}", 0, **_INT32) for side in ("pad_beg", "pad_end")]
    layer.require(max(padding) <= 0, "Only supports non-pos padding (cropping) for now", padding=padding)
    inner: list[Dim] = [height + sum(padding), width + sum(padding)]
    shrinks, zooms = ("interp_param.shrink_factor" in fork), ("interp_param.zoom_factor" in fork)
    if not shrinks and not zooms:
        sizes = [fork.integer(f"interp_param.{side}", 0, **_INT32) for side in ("height", "width")]
        outer: list[Dim] = list(sizes)
    else:
        shrink = fork.integer("interp_param.shrink_factor", 1, **_INT32)
        zoom = fork.integer("interp_param.zoom_factor", 1, **_INT32)
        layer.require(min(shrink, zoom) >= 1, "factors must be positive", shrink_factor=shrink, zoom_factor=zoom)
        shrunk = [quotient(extent - 1, shrink) + 1 for extent in inner]
        outer = [extent + (extent - 1) * (zoom - 1) for extent in shrunk]
    for extent in (*inner, *outer):
        if isinstance(extent, int):
            layer.require(extent > 0, "height and width must be positive", shape=layer.bottoms[0], size=tuple(outer))
    return SetUp([(num, channels, *outer)])


@register_fork(
    "BilinearInterpolation", bottoms=between(1, 2), tops=exactly(1), fork_fields=["bilinear_interpolation_param"]
)
def bilinear_interpolation(layer: LayerContext) -> SetUp:
    """Height and width of the second bottom, or interpolation_factor times those of the only one.

    Sources: bilinear_interpolation_layer.cpp of pull requests to BVLC/caffe; stephenyan1231/caffe-public,
    interpolation_layers.cpp.
    """
    num, channels, height, width = layer.four_axes(0)
    if len(layer.bottoms) == 2:
        return SetUp([(num, channels, *layer.legacy(1)[2:])])
    factor = layer.fork.integer("bilinear_interpolation_param.interpolation_factor", 0)
    layer.require(factor > 0, "interpolation_factor must be positive", interpolation_factor=factor)
    return SetUp([(num, channels, height * factor, width * factor)])


@register_fork("Upsample", bottoms=between(1, 2), tops=exactly(1), fork_fields=["upsample_param"])
def upsample(layer: LayerContext) -> SetUp:
    """Values put back where a pooling took them from, by its mask (alexgkendall/caffe-segnet, upsample_layer.cpp).

    Without a mask the last two axes are stretched by `scale` (eric612/MobileNet-YOLO, upsample_layer.cpp).
    """
    fork, bottom = layer.fork, layer.bottoms[0]
    if len(layer.bottoms) == 1:
        scale = fork.integer("upsample_param.scale", 1)
        layer.require(scale > 0, "scale must be positive", scale=scale)
        if isinstance(bottom, Unknown):
            return SetUp([bottom])
        layer.require(len(bottom) >= 2, "the input must have at least 2 axes", shape=bottom)
        return SetUp([(*bottom[:-2], bottom[-2] * scale, bottom[-1] * scale)])
    num, channels, height, width = layer.four_axes(0)
    if shapes_differ((num, channels, height, width), layer.four_axes(1)):
        layer.refuse("the mask must have the shape of bottom[0]", shape=bottom, mask=layer.bottoms[1])
    sizes = [fork.integer(f"upsample_param.upsample_{side}", 0) for side in "hw"]
    if all(f"upsample_param.upsample_{side}" in fork for side in "hw"):
        layer.require(min(sizes) > 1, "upsample_h and upsample_w must be greater than 1", upsample=sizes)
        return SetUp([(num, channels, *sizes)])
    one = fork.integer("upsample_param.scale", 2)
    scales = [fork.integer(f"upsample_param.scale_{side}", one) for side in "hw"]
    layer.require(min(scales) > 1, "scale must be greater than 1", scale=scales)
    cut = [int(fork.flag(f"upsample_param.pad_out_{side}", False)) for side in "hw"]
    return SetUp([(num, channels, height * scales[0] - cut[0], width * scales[1] - cut[1])])


@register_fork("Resample", bottoms=between(1, 2), tops=exactly(1), fork_fields=["resample_param"])
def resample(layer: LayerContext) -> SetUp:
    """The size given, or that of the second bottom (lmb-freiburg/flownet2, resample_layer.cpp)."""
    return _resized(layer, "resample_param.height", "resample_param.width")


@register_fork("Downsample", bottoms=between(1, 2), tops=exactly(1), fork_fields=["downsample_param"])
def downsample(layer: LayerContext) -> SetUp:
    """The size given, or that of the second bottom (lmb-freiburg/flownet2, downsample_layer.cpp)."""
    return _resized(layer, "downsample_param.top_height", "downsample_param.top_width")


def _resized(layer: LayerContext, height: str, width: str) -> SetUp:
    num, channels, *_ = layer.legacy(0)
    if len(layer.bottoms) == 2:
        return SetUp([(num, channels, *layer.legacy(1)[2:])])
    size = layer.fork.integer(height, 0), layer.fork.integer(width, 0)
    layer.require(0 not in size, "height and width must be > 0", size=size)
    return SetUp([(num, channels, *size)])
