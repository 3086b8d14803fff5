"""Losses, each a scalar, and Accuracy."""

from math import prod
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import BlobProto
from caffe_filler.errors import InvalidArgument
from filler_server.models.graph import Node
from filler_server.models.reference.activations import probabilities
from filler_server.models.reference.combination import whole_numbers
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import losses as operations

SMALLEST = float(np.finfo(np.float32).tiny)
"""The least probability of which Caffe's SoftmaxWithLoss takes a logarithm, whatever its dtype."""

_LOG_THRESHOLD = 1e-20
"""The least probability of MultinomialLogisticLoss and InfogainLoss."""

_LONGEST = 1 << 28
"""Bytes of a file with a matrix."""


@computes(operations.Accuracy)
def accuracy(operation: operations.Accuracy, layer: Layer) -> tuple[Array, ...]:
    """Return the share of labels among the top_k classes, and that for each class; a tie counts against a label."""
    x = layer.bottom
    rows, labels, counted = _labelled(x, layer.bottoms[1], operation.axis, operation.ignore_label)
    scores = np.take_along_axis(rows, labels[:, None, :], 1)
    right = ((rows >= scores).sum(1) - 1 < operation.top_k) & counted
    classes = [counted & (labels == label) for label in range(rows.shape[1])] if layer.num_tops > 1 else []
    shares = [_share(right & chosen, chosen) for chosen in classes]
    return np.asarray(_share(right, counted), x.dtype), np.asarray(shares, x.dtype)


@computes(operations.ContrastiveLoss)
def contrastive_loss(operation: operations.ContrastiveLoss, layer: Layer) -> Array:
    """Return the mean over pairs of d^2 / 2 if alike, else of what the distance lacks of the margin."""
    one, other, alike = layer.bottoms
    # They may differ in axes of 1 at their ends.
    squared = ((one.reshape(len(one), -1) - other.reshape(len(other), -1)) ** 2).sum(1)
    if operation.legacy_version:
        apart = np.maximum(operation.margin - squared, 0)
    else:
        apart = np.maximum(operation.margin - np.sqrt(squared), 0) ** 2
    return np.asarray(np.where(alike.reshape(-1).astype(np.intp) != 0, squared, apart).sum() / len(one) / 2)


@computes(
    operations.EuclideanLoss,
    unless=lambda operation, node: "forks differ in its third bottom" if len(node.bottoms) > 2 else None,
)
def euclidean_loss(operation: operations.EuclideanLoss, layer: Layer) -> Array:
    """Return half the mean over items of the squared distance."""
    difference = layer.bottoms[0].reshape(-1) - layer.bottoms[1].reshape(-1)
    return np.asarray(difference @ difference / len(layer.bottom) / 2)


@computes(operations.HingeLoss)
def hinge_loss(operation: operations.HingeLoss, layer: Layer) -> Array:
    """Return the mean over items of the margins missed."""
    rows = layer.bottom.reshape(len(layer.bottom), -1)
    labels = whole_numbers(layer.bottoms[1].reshape(-1), rows.shape[1], "a label")
    signs = np.ones_like(rows)
    signs[np.arange(len(rows)), labels] = -1
    missed = np.maximum(1 + signs * rows, 0)
    return np.asarray((missed if operation.norm == "l1" else missed * missed).sum() / len(rows))


@computes(operations.InfogainLoss)
def infogain_loss(operation: operations.InfogainLoss, layer: Layer) -> tuple[Array, ...]:
    """Return -log of the softmax, weighted by the row of the matrix for the label; and the softmax."""
    x = layer.bottom
    softmax = probabilities(x, operation.axis)
    rows, labels, counted = _labelled(softmax, layer.bottoms[1], operation.axis, operation.ignore_label)
    matrix = layer.bottoms[2] if operation.source is None else _matrix(operation.source).astype(x.dtype)
    if matrix.size != rows.shape[1] ** 2:
        raise InvalidArgument(f"the matrix is one of {rows.shape[1]} classes. Received: {matrix.size} values")
    weights = np.moveaxis(matrix.reshape(rows.shape[1], -1)[labels], -1, 1)
    losses = -(weights * np.log(np.maximum(rows, _LOG_THRESHOLD))).sum(1)
    return _normalized(losses, counted, operation.normalization), softmax


@computes(operations.MultinomialLogisticLoss)
def multinomial_logistic_loss(operation: operations.MultinomialLogisticLoss, layer: Layer) -> Array:
    """Return the mean over items of -log(max(p, 1e-20)) for the p of the label."""
    rows = layer.bottom.reshape(len(layer.bottom), -1)
    labels = whole_numbers(layer.bottoms[1].reshape(-1), rows.shape[1], "a label")
    chosen = rows[np.arange(len(rows)), labels]
    return np.asarray(-np.log(np.maximum(chosen, _LOG_THRESHOLD)).sum() / len(rows))


@computes(operations.SigmoidCrossEntropyLoss)
def sigmoid_cross_entropy_loss(operation: operations.SigmoidCrossEntropyLoss, layer: Layer) -> Array:
    """Return -t log(s) - (1 - t) log(1 - s), s the sigmoid of x, computed without an overflow."""
    x = layer.bottom
    targets = layer.bottoms[1].reshape(x.shape)
    losses = np.log1p(np.exp(-np.abs(x))) - x * (targets - (x >= 0))
    counted = _counted(targets, operation.ignore_label)
    return _normalized(losses, counted, operation.normalization)


def _of_places(operation: operations.SmoothL1Loss | operations.SoftmaxWithLoss, node: Node) -> str | None:
    return "it is the form for hard examples" if operation.places else None


@computes(operations.SmoothL1Loss, unless=_of_places)
def smooth_l1_loss(operation: operations.SmoothL1Loss, layer: Layer) -> Array:
    """Return the sum of smooth distances by the number of items."""
    x, target, *weights = layer.bottoms
    difference = x - target.reshape(x.shape)
    if weights:
        difference = weights[0].reshape(x.shape) * difference
    squared = operation.sigma * operation.sigma
    far = np.abs(difference)
    losses = np.where(far < 1 / squared, 0.5 * squared * difference * difference, far - 0.5 / squared)
    if len(weights) > 1:
        losses = weights[1].reshape(x.shape) * losses
    return np.asarray(losses.sum() / len(x))


@computes(operations.SoftmaxWithLoss, unless=_of_places)
def softmax_with_loss(operation: operations.SoftmaxWithLoss, layer: Layer) -> tuple[Array, ...]:
    """Return -log of the softmax at the labels, and the softmax."""
    softmax = probabilities(layer.bottom, operation.axis)
    rows, labels, counted = _labelled(softmax, layer.bottoms[1], operation.axis, operation.ignore_label)
    chosen = np.take_along_axis(rows, labels[:, None, :], 1)[:, 0]
    losses = -np.log(np.maximum(chosen, SMALLEST))
    return _normalized(losses, counted, operation.normalization), softmax


def _matrix(source: str) -> Array:
    """Return the matrix of an InfogainLoss that is in a file, a BlobProto.

    Raises:
        InvalidArgument: it is no such file.
        OSError: it cannot be read.
    """
    path, blob = Path(source), BlobProto()
    if path.exists() and not (path.is_file() and path.stat().st_size <= _LONGEST):
        raise InvalidArgument(f"the matrix is a file of at most {_LONGEST} bytes. Received: source={source}")
    try:
        blob.ParseFromString(path.read_bytes())
    except DecodeError:
        raise InvalidArgument(f"the matrix is a .binaryproto. Received: source={source}") from None
    return np.array(blob.double_data or blob.data)


def _labelled(
    x: Array, labels: Array, axis: int, ignored: int | None
) -> tuple[Array, NDArray[np.intp], NDArray[np.bool_]]:
    """Return values as [outer, classes, inner], the labels [outer, inner] and which of these count.

    Raises:
        InvalidArgument: a label that counts is that of no class.
    """
    axis %= x.ndim
    rows = x.reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
    labels = labels.reshape(len(rows), -1)
    counted = _counted(labels, ignored)
    return rows, whole_numbers(np.where(counted, labels, 0), rows.shape[1], "a label"), counted


def _counted(labels: Array, ignored: int | None) -> NDArray[np.bool_]:
    return np.ones(labels.shape, np.bool_) if ignored is None else np.trunc(labels) != ignored


def _normalized(losses: Array, counted: NDArray[np.bool_], normalization: str) -> Array:
    """Return the sum of the losses that count by what the loss is divided by, at least 1."""
    divisors = {"full": counted.size, "valid": int(counted.sum()), "batch_size": len(counted), "none": 1}
    return np.asarray(losses[counted].sum() / max(divisors[normalization], 1))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    number = int(whole.sum())
    return int(part.sum()) / number if number else 0.0
