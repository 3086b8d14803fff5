"""Operations over regions of interest."""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from filler_server.models.onnx import boxes
from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.reference.regions import anchors
from filler_server.net.operations import regions


@emits(regions.ROIPooling)
def roi_pooling(layer: LayerNodes, operation: regions.ROIPooling, x: str, rois: str) -> str:
    """Say ROIPooling, which is MaxRoiPool."""
    return layer.add(
        "MaxRoiPool",
        x,
        _rows(layer, rois),
        pooled_shape=list(operation.pooled or ()),
        spatial_scale=float(operation.spatial_scale),
    )


@emits(regions.PSROIPooling)
def psroi_pooling(layer: LayerNodes, operation: regions.PSROIPooling, x: str, rois: str) -> str:
    """Say PSROIPooling: sums over bins are differences of sums over all that is before their corners."""
    group, outputs = operation.group_size, operation.output_dim
    channels, height, width = layer.known(layer.shape(x)[1:], x)
    wide = layer.add("Cast", x, to=TensorProto.DOUBLE)
    for axis in (2, 3):
        wide = layer.add("CumSum", wide, layer.integers(axis, "axis"))
    sums = layer.reshaped(layer.add("Pad", wide, layer.integers([0, 0, 1, 1, 0, 0, 0, 0], "pads")), [-1])
    columns = layer.add_all("Split", 5, _rows(layer, rois), layer.integers([1] * 5, "columns"), axis=1)
    image, left, upper, right, lower = (layer.reshaped(column, [-1, 1, 1, 1]) for column in columns)
    rows = _edges(layer, upper, lower, operation, height, (1, 1, group, 1))
    across = _edges(layer, left, right, operation, width, (1, 1, 1, group))
    # Channel (c * group + row) * group + column of the image.
    own = np.arange(outputs * group * group).reshape(1, outputs, group, group)
    before = layer.add("Mul", layer.whole(image), layer.integers(channels, "channels"))
    channel = layer.add("Add", before, layer.integers(own, "own"))
    start = layer.add("Mul", channel, layer.integers((height + 1) * (width + 1), "size"))

    def corner(row: str, column: str) -> str:
        place = layer.add("Add", layer.add("Mul", row, layer.integers(width + 1, "width")), column)
        return layer.add("Gather", sums, layer.add("Add", start, place), axis=0)

    (first, last), (begin, end) = rows, across
    left_of = (layer.add("Sub", corner(last, column), corner(first, column)) for column in (end, begin))
    inside = layer.add("Sub", *left_of)
    area = layer.add("Mul", layer.add("Sub", last, first), layer.add("Sub", end, begin))
    zero = layer.integers(0, "zero")
    size = layer.add("Cast", layer.add("Max", area, layer.integers(1, "one")), to=TensorProto.DOUBLE)
    mean = layer.floats(layer.add("Div", inside, size))
    return layer.add("Where", layer.add("Greater", area, zero), mean, layer.constant(0, "nothing"))


@emits(regions.Proposal)
def proposal(layer: LayerNodes, operation: regions.Proposal, *bottoms: str) -> list[str]:
    """Say Proposal."""
    scores, offsets, image = bottoms
    height, width = layer.known(layer.shape(scores)[2:], scores)
    around = anchors(operation, (height, width)).reshape(-1, 4)
    number = len(around) // (height * width)
    # The scores of the foreground, after those of the background: as [images, places * anchors].
    own = layer.cut(scores, [1], [number], [2 * number])
    own = layer.reshaped(layer.add("Transpose", own, perm=[0, 2, 3, 1]), [0, -1])
    moves = layer.reshaped(offsets, [0, number, 4, height, width])
    moves = layer.reshaped(layer.add("Transpose", moves, perm=[0, 3, 4, 1, 2]), [0, -1, 4])
    values = layer.reshaped(image, [-1])
    limits, scales = layer.cut(values, [0], [0], [2]), layer.cut(values, [0], [2], [4])
    backwards = layer.integers([1, 0], "backwards")
    found = _moved(layer, around, moves)
    last = layer.add("Sub", layer.add("Gather", limits, backwards, axis=0), layer.constant(1, "one"))
    bounds = layer.add("Concat", last, last, axis=0)
    found = layer.add("Max", layer.add("Min", found, bounds), layer.constant(0, "zero"))
    low, high = layer.add_all("Split", 2, found, layer.integers([2, 2], "corners"), axis=-1)
    sides = layer.add("Add", layer.add("Sub", high, low), layer.constant(1, "one"))
    smallest = layer.constant(operation.min_size, "min_size")
    least = layer.add("Mul", layer.add("Gather", scales, backwards, axis=0), smallest)
    large = layer.floats(layer.add("GreaterOrEqual", sides, least))
    own = layer.add("Mul", own, layer.add("ReduceMin", large, layer.integers([-1], "axes"), keepdims=0))
    most = min(operation.pre_nms_topn, height * width * number)
    best, order = layer.add_all("TopK", 2, own, layer.integers([most], "pre_nms_topn"), axis=1)
    ordered = layer.add("GatherND", found, layer.add("Unsqueeze", order, layer.integers([-1], "axes")), batch_dims=1)
    # Sides count both of their ends.
    whole = layer.add("Add", ordered, layer.constant([0, 0, 1, 1], "ends"))
    one = layer.add("Unsqueeze", best, layer.integers([1], "axes"))
    kept = boxes.chosen(layer, whole, one, operation.nms_thresh, boxes.LOWEST, operation.post_nms_topn)
    chosen = layer.add("Gather", kept, layer.integers([0, 2], "columns"), axis=1)
    index = layer.floats(layer.cut(kept, [1], [0], [1]))
    rois = layer.add("Concat", index, layer.add("GatherND", ordered, chosen), axis=1)
    return [rois, layer.add("GatherND", best, chosen)] if len(layer.node.tops) > 1 else [rois]


def _rows(layer: LayerNodes, rois: str) -> str:
    """Return regions as rows of five values."""
    return rois if len(layer.shape(rois)) == 2 else layer.reshaped(rois, [-1, 5])


def _edges(
    layer: LayerNodes, first: str, last: str, operation: regions.PSROIPooling, extent: int, shape: tuple[int, ...]
) -> tuple[str, str]:
    """Return where each bin along an axis begins and ends, cut to the map."""
    scale = layer.constant(operation.spatial_scale, "scale")
    begin = layer.add("Mul", _rounded(layer, first), scale)
    end = layer.add("Mul", layer.add("Add", _rounded(layer, last), layer.constant(1, "one")), scale)
    length = layer.add("Max", layer.add("Sub", end, begin), layer.constant(0.1, "least"))
    size = layer.add("Div", length, layer.constant(operation.group_size, "group"))
    numbers = np.arange(operation.group_size).reshape(shape)
    starts = layer.add("Floor", layer.add("Add", layer.add("Mul", layer.constant(numbers, "numbers"), size), begin))
    stops = layer.add("Ceil", layer.add("Add", layer.add("Mul", layer.constant(numbers + 1, "numbers"), size), begin))
    bounds = layer.constant(0, "low"), layer.constant(extent, "high")
    return layer.whole(layer.add("Clip", starts, *bounds)), layer.whole(layer.add("Clip", stops, *bounds))


def _rounded(layer: LayerNodes, value: str) -> str:
    """Return a value rounded half away from zero, as C's `round` does."""
    size = layer.add("Floor", layer.add("Add", layer.add("Abs", value), layer.constant(0.5, "half")))
    return layer.add("Mul", layer.add("Sign", value), size)


def _moved(layer: LayerNodes, around: NDArray[np.float64], moves: str) -> str:
    """Return anchors moved and scaled as offsets say; sides count both of their ends."""
    sizes = around[:, 2:] - around[:, :2] + 1
    shift, growth = layer.add_all("Split", 2, moves, layer.integers([2, 2], "corners"), axis=-1)
    way = layer.add("Mul", shift, layer.constant(sizes, "sizes"))
    center = layer.add("Add", way, layer.constant(around[:, :2] + sizes / 2, "centers"))
    half = layer.add("Mul", layer.add("Exp", growth), layer.constant(sizes / 2, "halves"))
    return layer.add("Concat", layer.add("Sub", center, half), layer.add("Add", center, half), axis=-1)
