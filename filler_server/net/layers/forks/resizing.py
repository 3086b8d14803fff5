"""Layers of forks that change height and width."""

from collections.abc import Callable, Sequence

from filler_server.net.dimensions import Dim, Unknown, known, quotient, shapes_differ
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import resizing as operations
from filler_server.net.operations.base import Extents, Operation
from filler_server.net.registry import between, exactly, register_fork

_BY_SCALE = ("scale", "scale_h", "scale_w", "pad_out_h", "pad_out_w")
_INT32 = {"least": -(1 << 31), "most": (1 << 31) - 1}


@register_fork("Interp", bottoms=between(1, 2), tops=exactly(1), fork_fields=["interp_param"])
def interp(layer: LayerContext) -> SetUp:
    """Bilinear interpolation by factors or to a given size (hszhao/PSPNet, interp_layer.cpp).

    With use_blob_size it is the size of the second bottom (soeaver/caffe-model).
    """
    num, channels, height, width = layer.legacy(0)
    fork = layer.fork
    by_bottom = fork.flag("interp_param.use_blob_size", False)
    layer.require(
        not by_bottom or len(layer.bottoms) == 2, "use_blob_size needs a second bottom", bottoms=len(layer.bottoms)
    )
    padding = [fork.integer(f"interp_param.{side}", 0, **_INT32) for side in ("pad_beg", "pad_end")]

    def resized(size: Sequence[Dim]) -> SetUp:
        operation = operations.Interp(size=tuple(map(known, size)), pad_beg=padding[0], pad_end=padding[1])
        return SetUp([(num, channels, *size)], operation=operation)

    if by_bottom:
        return resized(layer.legacy(1)[2:])
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
        fork.disregard("interp_param.height", "interp_param.width")
        shrunk = [quotient(extent - 1, shrink) + 1 for extent in inner]
        outer = [extent + (extent - 1) * (zoom - 1) for extent in shrunk]
    for extent in (*inner, *outer):
        if isinstance(extent, int):
            layer.require(extent > 0, "height and width must be positive", shape=layer.bottoms[0], size=tuple(outer))
    return resized(outer)


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
        return SetUp([(num, channels, *layer.legacy(1)[2:])], operation=layer.custom())
    factor = layer.fork.integer("bilinear_interpolation_param.interpolation_factor", 0)
    layer.require(factor > 0, "interpolation_factor must be positive", interpolation_factor=factor)
    return SetUp([(num, channels, height * factor, width * factor)], operation=layer.custom())


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
            return SetUp([bottom], operation=operations.Upsample(size=(None, None), scale=scale))
        layer.require(len(bottom) >= 2, "the input must have at least 2 axes", shape=bottom)
        larger = bottom[-2] * scale, bottom[-1] * scale
        operation = operations.Upsample(size=tuple(map(known, larger)), scale=scale)
        return SetUp([(*bottom[:-2], *larger)], operation=operation)
    num, channels, height, width = layer.four_axes(0)
    if shapes_differ((num, channels, height, width), layer.four_axes(1)):
        layer.refuse("the mask must have the shape of bottom[0]", shape=bottom, mask=layer.bottoms[1])
    sizes = [fork.integer(f"upsample_param.upsample_{side}", 0) for side in "hw"]
    if all(f"upsample_param.upsample_{side}" in fork for side in "hw"):
        layer.require(min(sizes) > 1, "upsample_h and upsample_w must be greater than 1", upsample=sizes)
        fork.disregard(*(f"upsample_param.{name}" for name in _BY_SCALE))
        return SetUp([(num, channels, *sizes)], operation=operations.Upsample(size=tuple(sizes), mask=True))
    one = fork.integer("upsample_param.scale", 2)
    scales = [fork.integer(f"upsample_param.scale_{side}", one) for side in "hw"]
    layer.require(min(scales) > 1, "scale must be greater than 1", scale=scales)
    cut = [int(fork.flag(f"upsample_param.pad_out_{side}", False)) for side in "hw"]
    size = height * scales[0] - cut[0], width * scales[1] - cut[1]
    return SetUp([(num, channels, *size)], operation=operations.Upsample(size=tuple(map(known, size)), mask=True))


@register_fork("Resample", bottoms=between(1, 2), tops=exactly(1), fork_fields=["resample_param"])
def resample(layer: LayerContext) -> SetUp:
    """The size given, or that of the second bottom (lmb-freiburg/flownet2, resample_layer.cpp)."""
    fork = layer.fork

    def operation(size: Extents) -> Operation:
        fork.disregard("resample_param.factor")
        return operations.Resample(
            size=size,
            method=fork.choice("resample_param.type", ("NEAREST", "LINEAR", "CUBIC", "AREA"), "LINEAR", first=1),
            antialias=fork.flag("resample_param.antialias", True),
        )

    return _resized(layer, "resample_param.height", "resample_param.width", operation)


@register_fork("Downsample", bottoms=between(1, 2), tops=exactly(1), fork_fields=["downsample_param"])
def downsample(layer: LayerContext) -> SetUp:
    """The size given, or that of the second bottom (lmb-freiburg/flownet2, downsample_layer.cpp)."""
    return _resized(
        layer,
        "downsample_param.top_height",
        "downsample_param.top_width",
        lambda size: operations.Downsample(size=size),
    )


def _resized(layer: LayerContext, height: str, width: str, operation: Callable[[Extents], Operation]) -> SetUp:
    num, channels, *_ = layer.legacy(0)
    size: tuple[Dim, ...] = layer.legacy(1)[2:] if len(layer.bottoms) == 2 else ()
    if not size:
        size = layer.fork.integer(height, 0), layer.fork.integer(width, 0)
        layer.require(0 not in size, "height and width must be > 0", size=size)
    layer.fork.disregard(height, width)
    return SetUp([(num, channels, *size)], operation=layer.operation(lambda: operation(tuple(map(known, size)))))
