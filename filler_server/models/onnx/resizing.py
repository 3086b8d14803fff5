"""Operations that change height and width."""

from math import prod

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import resizing


@emits(resizing.Interp)
def interp(layer: LayerNodes, operation: resizing.Interp, x: str, *reference: str) -> str:
    """Say Interp: Resize with aligned corners, after a crop."""
    height, width = layer.known(layer.shape(x)[2:], x)
    size = layer.known(operation.size, layer.node.tops[0])
    before, after = -operation.pad_beg, operation.pad_end
    if before or after:
        x = layer.cut(x, [2, 3], [before, before], [height + after, width + after])
        height, width = height - before + after, width - before + after
    if size == (height, width):
        return layer.add("Identity", x)
    return layer.add(
        "Resize",
        x,
        "",
        "",
        layer.add("Concat", layer.add("Shape", x, start=0, end=2), layer.integers(size, "size"), axis=0),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )


@emits(resizing.Upsample)
def upsample(layer: LayerNodes, operation: resizing.Upsample, x: str, *mask: str) -> str:
    """Say Upsample: back to where a pooling took values from, or each value repeated."""
    if operation.mask:
        return _unpooled(layer, operation, x, mask[0])
    if operation.scale is None:
        raise NoCounterpart("its scale is not known")
    axes = len(layer.shape(x))
    scales = [*[1] * (axes - 2), operation.scale, operation.scale]
    return layer.add(
        "Resize",
        x,
        "",
        layer.constant(scales, "scales"),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _unpooled(layer: LayerNodes, operation: resizing.Upsample, x: str, mask: str) -> str:
    """Return values at the places of a mask and zeros elsewhere; of several at one place the last one stays."""
    size = prod(layer.known(operation.size, layer.node.tops[0]))
    flat = layer.reshaped(x, [0, 0, -1])
    places = layer.whole(layer.reshaped(mask, [0, 0, -1]))
    leading = layer.add("Shape", x, start=0, end=2)
    shape = layer.add("Concat", leading, layer.integers([size], "size"), axis=0)
    nothing = layer.add("Expand", layer.constant(0, "zero"), shape)
    return layer.as_top(layer.add("ScatterElements", nothing, places, flat, axis=2), kept=2)
