"""Operations that arrange values anew."""

from itertools import pairwise

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import arrangement


@emits(arrangement.Axpy)
def axpy(layer: LayerNodes, operation: arrangement.Axpy, a: str, x: str, z: str) -> str:
    """Say Axpy."""
    factor = a if len(layer.shape(a)) == 4 else layer.reshaped(a, [0, 0, 1, 1])
    return layer.add("Add", layer.add("Mul", factor, x), z)


@emits(arrangement.BroadcastMul)
def broadcast_mul(layer: LayerNodes, operation: arrangement.BroadcastMul, one: str, other: str) -> str:
    """Say BroadcastMul."""
    factor, x = sorted((one, other), key=lambda value: (_count(layer, value), len(layer.shape(value))))
    axes = len(layer.shape(x))
    if len(layer.shape(factor)) != axes:
        factor = layer.reshaped(factor, [0, 0] + [1] * (axes - 2))
    return layer.add("Mul", x, factor)


@emits(arrangement.Concat)
def concat(layer: LayerNodes, operation: arrangement.Concat, *bottoms: str) -> str:
    """Say Concat."""
    values = list(bottoms)
    if operation.flatten:
        kept = operation.axis
        values = [
            layer.reshaped(value, [0] * kept + [-1] + [1] * (len(layer.shape(value)) - kept - 1)) for value in bottoms
        ]
    return layer.add("Concat", *values, axis=operation.axis)


@emits(arrangement.Crop)
def crop(layer: LayerNodes, operation: arrangement.Crop, x: str, reference: str) -> str:
    """Say Crop, as far as it cuts anything off."""
    cut = slice(operation.axis, None)
    shape, wanted = (layer.known(layer.shape(value)[cut], value) for value in (x, reference))
    axes = [axis for axis, (extent, other) in enumerate(zip(shape, wanted, strict=True)) if extent != other]
    if not axes:
        return layer.add("Identity", x)
    starts = [operation.offsets[axis] for axis in axes]
    stops = [operation.offsets[axis] + wanted[axis] for axis in axes]
    return layer.cut(x, [operation.axis + axis for axis in axes], starts, stops)


@emits(arrangement.Flatten)
def flatten(layer: LayerNodes, operation: arrangement.Flatten, x: str) -> str:
    """Say Flatten."""
    start, end = operation.axis, operation.end_axis
    after = layer.known(layer.shape(x)[end + 1 :], x)
    if start == 1 and not after:
        return layer.add("Flatten", x, axis=1)
    # With an end before the start there comes an axis of 1.
    merged = -1 if end >= start else 1
    return layer.reshaped(x, [0] * start + [merged, *after])


@emits(arrangement.Flip)
def flip(layer: LayerNodes, operation: arrangement.Flip, x: str) -> str:
    """Say Flip."""
    axes = [axis for axis, flipped in ((2, operation.height), (3, operation.width)) if flipped]
    return _reversed(layer, x, axes) if axes else layer.add("Identity", x)


@emits(arrangement.Identity)
def identity(layer: LayerNodes, operation: arrangement.Identity, *bottoms: str) -> list[str]:
    """Say Identity."""
    return [layer.add("Identity", value) for value in bottoms]


@emits(arrangement.Permute)
def permute(layer: LayerNodes, operation: arrangement.Permute, x: str) -> str:
    """Say Permute."""
    return layer.add("Transpose", x, perm=list(operation.order))


@emits(arrangement.Reshape)
def reshape(layer: LayerNodes, operation: arrangement.Reshape, x: str) -> str:
    """Say Reshape.

    A 0 of Caffe keeps the extent at the same distance from `axis`; a 0 of ONNX that of the same axis: both are one as
    long as no axis before has been replaced.
    """
    shape = layer.shape(x)
    if operation.num_axes is None:
        raise NoCounterpart("it needs the number of axes of its bottom, which is not known")
    end = operation.axis + operation.num_axes
    dims = [*[0] * operation.axis, *operation.dims]
    rest = [0] * len(shape[end:]) if len(dims) == end else layer.known(shape[end:], x)
    return layer.reshaped(x, [*dims, *rest])


@emits(arrangement.Reverse)
def reverse(layer: LayerNodes, operation: arrangement.Reverse, x: str) -> str:
    """Say Reverse."""
    return _reversed(layer, x, [operation.axis])


@emits(arrangement.ShuffleChannel)
def shuffle_channel(layer: LayerNodes, operation: arrangement.ShuffleChannel, x: str) -> str:
    """Say ShuffleChannel."""
    (channels,) = layer.known(layer.shape(x)[1:2], x)
    grouped = layer.reshaped(x, [0, operation.group, channels // operation.group, -1])
    swapped = layer.add("Transpose", grouped, perm=[0, 2, 1, 3])
    return layer.reshaped(swapped, [0, channels, *layer.known(layer.shape(x)[2:], x)])


@emits(arrangement.Slice)
def slice_(layer: LayerNodes, operation: arrangement.Slice, x: str) -> list[str]:
    """Say Slice, which is Split."""
    extent = layer.shape(x)[operation.axis]
    cuts = layer.known((0, *operation.points, extent), x)
    lengths = [stop - start for start, stop in pairwise(cuts)]
    if len(lengths) == 1:
        return [layer.add("Identity", x)]
    return layer.add_all("Split", len(lengths), x, layer.integers(lengths, "split"), axis=operation.axis)


@emits(arrangement.Split)
def split(layer: LayerNodes, operation: arrangement.Split, x: str) -> list[str]:
    """Say Split."""
    return [x] * len(layer.node.tops)


@emits(arrangement.Tile)
def tile(layer: LayerNodes, operation: arrangement.Tile, x: str) -> str:
    """Say Tile."""
    repeats = [1] * len(layer.shape(x))
    repeats[operation.axis] = operation.tiles
    return layer.add("Tile", x, layer.integers(repeats, "repeats"))


def _reversed(layer: LayerNodes, x: str, axes: list[int]) -> str:
    """Return a value in reverse order along some axes."""
    for axis in axes:
        (extent,) = layer.known(layer.shape(layer.node.bottoms[0])[axis : axis + 1], x)
        x = layer.add("Gather", x, layer.integers(range(extent)[::-1], "order"), axis=axis)
    return x


def _count(layer: LayerNodes, value: str) -> int:
    """Return how many values each item has."""
    total = 1
    for dim in layer.known(layer.shape(value)[1:], value):
        total *= dim
    return total
