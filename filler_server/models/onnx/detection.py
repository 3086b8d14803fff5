"""Operations of SSD and of YOLO in Caffe."""

import numpy as np
from onnx import TensorProto, numpy_helper

from filler_server.models.onnx import boxes
from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.reference.registry import Layer, function_for
from filler_server.net.operations import detection
from filler_server.net.operations.base import Operation


@emits(detection.PriorBox)
@emits(detection.PriorBoxClustered)
def prior_box(layer: LayerNodes, operation: Operation, *bottoms: str) -> str:
    """Say PriorBox: a constant, since shapes alone decide over its boxes."""
    extents = [layer.known((1, *layer.shape(bottom)[1:]), bottom) for bottom in bottoms]
    images = tuple(np.broadcast_to(np.float32(0), extent) for extent in extents)
    values = function_for(operation)(operation, Layer(images, (), 1))
    return layer.add("Constant", value=numpy_helper.from_array(np.asarray(values, np.float32)))


@emits(detection.DetectionOutput)
def detection_output(layer: LayerNodes, operation: detection.DetectionOutput, *bottoms: str) -> str:
    """Say DetectionOutput."""
    offsets, scores, priors = bottoms
    classes = operation.num_classes
    groups = 1 if operation.share_location else classes
    # As [images, 1 or classes, priors, 4], and [images, classes, priors].
    decoded = _decoded(layer, operation, layer.reshaped(offsets, [0, -1, groups, 4]), priors)
    decoded = layer.add("Transpose", decoded, perm=[0, 2, 1, 3])
    grouped = layer.add("Transpose", layer.reshaped(scores, [0, -1, classes]), perm=[0, 2, 1])
    # As [images, classes or 1, 1 or classes, ...]: boxes of a group are the same.
    candidates = _candidates(layer, operation, grouped, layer.known(layer.shape(priors)[2:3], priors)[0] // 4)
    kept = _kept(layer, operation, boxes.without_empty(layer, decoded), candidates)
    image, label, prior = layer.add_all("Split", 3, kept, layer.integers([1, 1, 1], "columns"), axis=1)
    score = layer.add("GatherND", grouped, layer.add("Concat", image, label, prior, axis=1))
    group = label if groups > 1 else layer.add("Mul", label, layer.integers(0, "zero"))
    box = layer.add("GatherND", decoded, layer.add("Concat", image, group, prior, axis=1))
    found = layer.add("Concat", layer.floats(image), layer.floats(label), layer.reshaped(score, [-1, 1]), box, axis=1)
    if operation.keep_top_k > -1:
        found = _best_of_each_image(layer, found, image, score, scores, operation.keep_top_k)
    return layer.reshaped(_or_none(layer, found, scores), [1, 1, -1, 7])


@emits(detection.Reorg)
def reorg(layer: LayerNodes, operation: detection.Reorg, x: str) -> str:
    """Say Reorg in darknet's order: what lies in memory is first taken for a map of fewer, larger channels."""
    channels, height, width = layer.known(layer.shape(x)[1:], x)
    stride = operation.stride
    if operation.reverse:
        return layer.add("DepthToSpace", x, blocksize=stride, mode="DCR")
    larger = layer.reshaped(x, [0, channels // stride**2, height * stride, width * stride])
    return layer.as_top(layer.add("SpaceToDepth", larger, blocksize=stride), kept=1)


def _decoded(layer: LayerNodes, operation: detection.DetectionOutput, offsets: str, priors: str) -> str:
    """Return boxes [images, priors, 1 or classes, 4] from offsets of that shape."""
    halves = layer.integers([1, 1], "halves")
    prior, variance = layer.add_all("Split", 2, layer.reshaped(priors, [2, -1, 1, 4]), halves, axis=0)
    if not operation.variance_encoded_in_target:
        offsets = layer.add("Mul", offsets, variance)
    if operation.code_type == "corner":
        return layer.add("Add", prior, offsets)
    corners = layer.integers([2, 2], "corners")
    low, high = layer.add_all("Split", 2, prior, corners, axis=-1)
    size = layer.add("Sub", high, low)
    if operation.code_type == "corner_size":
        return layer.add("Add", prior, layer.add("Mul", offsets, layer.add("Concat", size, size, axis=-1)))
    half = layer.constant(0.5, "half")
    shift, growth = layer.add_all("Split", 2, offsets, corners, axis=-1)
    center = layer.add("Add", layer.add("Mul", shift, size), layer.add("Mul", layer.add("Add", low, high), half))
    reach = layer.add("Mul", layer.add("Mul", layer.add("Exp", growth), size), half)
    return layer.add("Concat", layer.add("Sub", center, reach), layer.add("Add", center, reach), axis=-1)


def _candidates(layer: LayerNodes, operation: detection.DetectionOutput, scores: str, priors: int) -> str:
    """Return scores of which those that are no detections are the lowest number: of the background, and below top_k."""
    background = operation.background_label_id
    if 0 <= background < operation.num_classes:
        is_other = np.arange(operation.num_classes).reshape(1, -1, 1) != background
        chosen = layer.add("Cast", layer.integers(is_other, "classes"), to=TensorProto.BOOL)
        scores = layer.add("Where", chosen, scores, layer.constant(boxes.LOWEST, "lowest"))
    if -1 < operation.top_k < priors:
        best, places = layer.add_all("TopK", 2, scores, layer.integers([operation.top_k], "top_k"), axis=2)
        lowest = layer.add("Expand", layer.constant(boxes.LOWEST, "lowest"), layer.add("Shape", scores))
        scores = layer.add("ScatterElements", lowest, places, best, axis=2)
    return scores


def _kept(layer: LayerNodes, operation: detection.DetectionOutput, decoded: str, scores: str) -> str:
    """Return rows (image, class, prior) of the boxes that are kept, by image and class, the best first."""
    threshold, eta = operation.nms_threshold, operation.eta
    least = boxes.LOWEST if operation.confidence_threshold is None else operation.confidence_threshold
    if eta < 1 and threshold > 0.5:
        return _kept_by_falling_threshold(layer, operation, decoded, scores, least)
    classes = operation.num_classes
    most = (1 << 31) - 1
    if operation.share_location:
        return boxes.chosen(layer, layer.reshaped(decoded, [0, -1, 4]), scores, threshold, least, most)
    # Each class of an image is a group of its own.
    (priors,) = layer.known(layer.shape(layer.node.bottoms[2])[2:3], layer.node.bottoms[2])
    flat = layer.reshaped(decoded, [-1, priors // 4, 4])
    kept = boxes.chosen(layer, flat, layer.reshaped(scores, [-1, 1, priors // 4]), threshold, least, most)
    group, _, prior = layer.add_all("Split", 3, kept, layer.integers([1, 1, 1], "columns"), axis=1)
    count = layer.integers(classes, "count")
    return layer.add("Concat", layer.add("Div", group, count), layer.add("Mod", group, count), prior, axis=1)


def _kept_by_falling_threshold(
    layer: LayerNodes, operation: detection.DetectionOutput, decoded: str, scores: str, least: float
) -> str:
    top_k = layer.add("Shape", scores, start=2)
    if operation.top_k > -1:
        top_k = layer.add("Min", top_k, layer.integers([operation.top_k], "top_k"))
    best, places = layer.add_all("TopK", 2, scores, top_k, axis=2)
    if operation.share_location:
        shape = layer.add("Concat", layer.add("Shape", scores), layer.integers([4], "box"), axis=0)
        decoded = layer.add("Expand", decoded, shape)
    ordered = layer.add("GatherND", decoded, layer.add("Unsqueeze", places, layer.integers([-1], "axes")), batch_dims=2)
    kept = boxes.chosen_by_falling_threshold(layer, ordered, best, operation.nms_threshold, least, operation.eta)
    prior = layer.reshaped(layer.add("GatherND", places, kept), [-1, 1])
    return layer.add("Concat", layer.cut(kept, [1], [0], [2]), prior, axis=1)


def _best_of_each_image(layer: LayerNodes, found: str, image: str, score: str, scores: str, most: int) -> str:
    """Return the rows with the best scores of each image, in the order in which they stand."""
    all_ = layer.add("Shape", score)
    _, order = layer.add_all("TopK", 2, score, all_, axis=0)
    images = layer.add("Gather", layer.reshaped(image, [-1]), order, axis=0)
    number = layer.reshaped(layer.add("Shape", scores, end=1), [])
    member = layer.add("OneHot", images, number, layer.constant([0, 1], "member"), axis=-1)
    before = layer.add("CumSum", member, layer.integers(0, "axis"))
    rank = layer.reduced("ReduceSum", layer.add("Mul", before, member), [1], keep=False)
    good = layer.floats(layer.add("LessOrEqual", rank, layer.constant(most, "keep_top_k")))
    nothing = layer.add("Expand", layer.constant(0, "zero"), all_)
    chosen = layer.add("ScatterElements", nothing, order, good, axis=0)
    return layer.add("Gather", found, layer.chosen(layer.add("Cast", chosen, to=TensorProto.BOOL)), axis=0)


def _or_none(layer: LayerNodes, found: str, scores: str) -> str:
    """Return the rows, or where there is none at all, one of -1 for each image."""
    number = layer.add("Shape", scores, end=1)
    counted = layer.add("Range", layer.integers(0, "start"), layer.reshaped(number, []), layer.integers(1, "delta"))
    images = layer.reshaped(layer.floats(counted), [-1, 1])
    none = layer.add("Pad", images, layer.integers([0, 0, 0, 6], "pads"), layer.constant(-1, "none"))
    empty = layer.add("Equal", layer.add("Shape", found, end=1), layer.integers([0], "zero"))
    shown = layer.add("Gather", none, layer.chosen(layer.add("Expand", empty, number)), axis=0)
    return layer.add("Concat", found, shown, axis=0)
