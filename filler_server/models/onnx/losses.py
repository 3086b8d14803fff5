"""Losses, each a scalar, and Accuracy.

Means over items are taken of one number for each item, so that they hold for any number of items.
"""

from math import prod

import numpy as np
from onnx import TensorProto

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import losses

_TINY = float(np.finfo(np.float32).tiny)
_LOG_THRESHOLD = 1e-20


@emits(losses.Accuracy)
def accuracy(layer: LayerNodes, operation: losses.Accuracy, x: str, label: str) -> list[str]:
    """Say Accuracy: a label counts if fewer than top_k other classes have at least its score."""
    axis = operation.axis
    places = _labels(layer, x, label, axis)
    counted = _counted(layer, places, operation.ignore_label)
    own = layer.add("GatherElements", x, _safe(layer, places, counted), axis=axis)
    better = layer.floats(layer.add("GreaterOrEqual", x, own))
    # The label's own class is among them.
    rank = layer.reduced("ReduceSum", better, [axis])
    right = layer.floats(layer.add("LessOrEqual", rank, layer.constant(operation.top_k, "top_k")))
    tops = [_share(layer, right, counted)]
    if len(layer.node.tops) > 1:
        tops.append(_share_by_class(layer, x, axis, places, right, counted))
    return tops


@emits(losses.SoftmaxWithLoss)
def softmax_with_loss(layer: LayerNodes, operation: losses.SoftmaxWithLoss, x: str, label: str) -> list[str]:
    """Say SoftmaxWithLoss."""
    axis = operation.axis
    probabilities = layer.add("Softmax", x, axis=axis)
    places = _labels(layer, x, label, axis)
    counted = _counted(layer, places, operation.ignore_label)
    own = layer.add("GatherElements", probabilities, _safe(layer, places, counted), axis=axis)
    loss = layer.add("Neg", layer.add("Log", layer.add("Max", own, layer.constant(_TINY, "tiny"))))
    total = _normalized(layer, loss, counted, operation.normalization, x, axis)
    return [total, probabilities][: len(layer.node.tops)]


@emits(losses.InfogainLoss)
def infogain_loss(layer: LayerNodes, operation: losses.InfogainLoss, x: str, label: str, matrix: str) -> list[str]:
    """Say InfogainLoss with a matrix that is a bottom."""
    axis = operation.axis
    shape = layer.shape(x)
    (classes,) = layer.known(shape[axis : axis + 1], x)
    probabilities = layer.add("Softmax", x, axis=axis)
    logs = layer.add("Log", layer.add("Max", probabilities, layer.constant(_LOG_THRESHOLD, "threshold")))
    places = _labels(layer, x, label, axis)
    counted = _counted(layer, places, operation.ignore_label)
    rows = layer.add("Gather", layer.reshaped(matrix, [classes, classes]), _safe(layer, places, counted), axis=0)
    # The gathered rows stand along the last axis, where that of the classes is 1: they move there.
    order = list(range(len(shape)))
    order[axis] = len(shape)
    weights = layer.add("Squeeze", layer.add("Transpose", rows, perm=[*order, axis]), layer.integers([-1], "axes"))
    loss = layer.add("Neg", layer.reduced("ReduceSum", layer.add("Mul", weights, logs), [axis]))
    total = _normalized(layer, loss, counted, operation.normalization, x, axis)
    return [total, probabilities][: len(layer.node.tops)]


@emits(losses.MultinomialLogisticLoss)
def multinomial_logistic_loss(layer: LayerNodes, operation: losses.MultinomialLogisticLoss, x: str, label: str) -> str:
    """Say MultinomialLogisticLoss."""
    flat = layer.reshaped(x, [0, -1])
    places = layer.whole(layer.reshaped(label, [-1, 1]))
    own = layer.add("GatherElements", flat, places, axis=1)
    logs = layer.add("Log", layer.add("Max", own, layer.constant(_LOG_THRESHOLD, "threshold")))
    return layer.add("Neg", _mean(layer, logs))


@emits(losses.HingeLoss)
def hinge_loss(layer: LayerNodes, operation: losses.HingeLoss, x: str, label: str) -> str:
    """Say HingeLoss."""
    classes = prod(layer.known(layer.shape(x)[1:], x))
    places = layer.whole(layer.reshaped(label, [-1]))
    signs = layer.add("OneHot", places, layer.integers(classes, "classes"), layer.constant([1, -1], "signs"), axis=-1)
    signed = layer.add("Mul", layer.reshaped(x, [0, -1]), signs)
    margins = layer.add("Relu", layer.add("Add", signed, layer.constant(1, "one")))
    return _mean(layer, layer.reduced("ReduceSum" if operation.norm == "l1" else "ReduceSumSquare", margins, [1]))


@emits(losses.EuclideanLoss)
def euclidean_loss(layer: LayerNodes, operation: losses.EuclideanLoss, x: str, y: str) -> str:
    """Say EuclideanLoss."""
    distance = layer.add("Sub", layer.reshaped(x, [0, -1]), layer.reshaped(y, [0, -1]))
    return _half(layer, _mean(layer, layer.reduced("ReduceSumSquare", distance, [1])))


@emits(losses.ContrastiveLoss)
def contrastive_loss(layer: LayerNodes, operation: losses.ContrastiveLoss, x: str, y: str, alike: str) -> str:
    """Say ContrastiveLoss."""
    distance = layer.add("Sub", layer.reshaped(x, [0, -1]), layer.reshaped(y, [0, -1]))
    squares = layer.reduced("ReduceSumSquare", distance, [1])
    margin = layer.constant(operation.margin, "margin")
    far = squares if operation.legacy_version else layer.add("Sqrt", squares)
    missed = layer.add("Relu", layer.add("Sub", margin, far))
    missed = missed if operation.legacy_version else layer.add("Mul", missed, missed)
    similar = layer.add("Cast", layer.whole(layer.reshaped(alike, [-1, 1])), to=TensorProto.BOOL)
    return _half(layer, _mean(layer, layer.add("Where", similar, squares, missed)))


@emits(losses.SigmoidCrossEntropyLoss)
def sigmoid_cross_entropy_loss(
    layer: LayerNodes, operation: losses.SigmoidCrossEntropyLoss, x: str, target: str
) -> str:
    """Say SigmoidCrossEntropyLoss: max(x, 0) - x * target + log(1 + exp(-|x|))."""
    flat, targets = layer.reshaped(x, [0, -1]), layer.reshaped(target, [0, -1])
    counted = _counted(layer, layer.whole(targets), operation.ignore_label)
    linear = layer.add("Sub", layer.add("Relu", flat), layer.add("Mul", flat, targets))
    loss = layer.add("Add", linear, layer.add("Softplus", layer.add("Neg", layer.add("Abs", flat))))
    return _normalized(layer, loss, counted, operation.normalization, x, 1)


@emits(losses.SmoothL1Loss)
def smooth_l1_loss(layer: LayerNodes, operation: losses.SmoothL1Loss, x: str, y: str, *weights: str) -> str:
    """Say SmoothL1Loss."""
    square = operation.sigma**2
    # Bottoms may differ in axes of 1.
    one, other, *factors = (layer.reshaped(bottom, [0, -1]) for bottom in (x, y, *weights))
    distance = layer.add("Sub", one, other)
    if factors:
        distance = layer.add("Mul", distance, factors[0])
    size = layer.add("Abs", distance)
    near = layer.add("Mul", layer.add("Mul", size, size), layer.constant(0.5 * square, "half"))
    far = layer.add("Sub", size, layer.constant(0.5 / square, "offset"))
    loss = layer.add("Where", layer.add("Less", size, layer.constant(1 / square, "bound")), near, far)
    if len(factors) > 1:
        loss = layer.add("Mul", loss, factors[1])
    return _mean(layer, layer.reduced("ReduceSum", loss, [1]))


def _labels(layer: LayerNodes, x: str, label: str, axis: int) -> str:
    """Return labels as whole numbers in the shape of x, with 1 along the axis of the classes."""
    shape = layer.shape(x)
    dims = [1 if place == axis else dim for place, dim in enumerate(shape)]
    if dims[0] is None and axis:
        dims[0] = -1
    return layer.whole(layer.reshaped(label, layer.known(dims, x)))


def _counted(layer: LayerNodes, labels: str, ignored: int | None) -> str | None:
    """Return which labels count, or None for all."""
    if ignored is None:
        return None
    return layer.add("Not", layer.add("Equal", labels, layer.integers(ignored, "ignored")))


def _safe(layer: LayerNodes, labels: str, counted: str | None) -> str:
    """Return labels with which values can be looked up: 0 for those that do not count."""
    return labels if counted is None else layer.add("Where", counted, labels, layer.integers(0, "any"))


def _normalized(layer: LayerNodes, loss: str, counted: str | None, normalization: str, x: str, axis: int) -> str:
    """Return the sum of losses that count, divided as the layer says."""
    if counted is not None:
        loss = layer.add("Where", counted, loss, layer.constant(0, "nothing"))
    total = layer.add("ReduceSum", loss, keepdims=0)
    if normalization == "none":
        return total
    if normalization == "valid" and counted is not None:
        count = layer.add("ReduceSum", layer.floats(counted), keepdims=0)
        return layer.add("Div", total, layer.add("Max", count, layer.constant(1, "least")))
    if normalization == "batch_size":
        count = layer.add("ReduceProd", layer.add("Shape", x, start=0, end=axis), keepdims=0)
    else:
        count = layer.add("Size", loss)
    return layer.add("Div", total, layer.floats(count))


def _share(layer: LayerNodes, right: str, counted: str | None) -> str:
    """Return the share of labels that are right among those that count, 0 if there are none."""
    if counted is None:
        return layer.add("ReduceMean", right, keepdims=0)
    weights = layer.floats(counted)
    hits = layer.add("ReduceSum", layer.add("Mul", right, weights), keepdims=0)
    count = layer.add("ReduceSum", weights, keepdims=0)
    return layer.add("Div", hits, layer.add("Max", count, layer.constant(1, "least")))


def _share_by_class(layer: LayerNodes, x: str, axis: int, labels: str, right: str, counted: str | None) -> str:
    """Return that share for each class."""
    (classes,) = layer.known(layer.shape(x)[axis : axis + 1], x)
    flat = layer.reshaped(labels, [-1])
    members = layer.add("OneHot", flat, layer.integers(classes, "classes"), layer.constant([0, 1], "members"), axis=-1)
    if counted is not None:
        members = layer.add("Mul", members, layer.reshaped(layer.floats(counted), [-1, 1]))
    hits = layer.reduced("ReduceSum", layer.add("Mul", members, layer.reshaped(right, [-1, 1])), [0], keep=False)
    count = layer.reduced("ReduceSum", members, [0], keep=False)
    return layer.add("Div", hits, layer.add("Max", count, layer.constant(1, "least")))


def _mean(layer: LayerNodes, values: str) -> str:
    """Return the mean of one number for each item, as a scalar."""
    return layer.add("ReduceMean", values, keepdims=0)


def _half(layer: LayerNodes, value: str) -> str:
    return layer.add("Mul", value, layer.constant(0.5, "half"))
