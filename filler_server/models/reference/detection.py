"""Operations of SSD and of YOLO in Caffe."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Node
from filler_server.models.mining import foreign_mining
from filler_server.models.reference import boxes, matching
from filler_server.models.reference.activations import probabilities
from filler_server.models.reference.combination import whole_numbers
from filler_server.models.reference.losses import SMALLEST
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import detection as operations


def _other_boxes(operation: operations.PriorBox, node: Node) -> str | None:
    return "what reduce_boxes does is not known" if operation.reduce_boxes else None


@computes(operations.PriorBox, unless=_other_boxes)
def prior_box(operation: operations.PriorBox, layer: Layer) -> Array:
    """Return boxes of several sizes and ratios around each place, and their variances."""
    sides: list[tuple[float, float]] = []
    for index, smallest in enumerate(operation.min_sizes):
        sides.append((smallest, smallest))
        if operation.max_sizes:
            middle = sqrt(smallest * operation.max_sizes[index])
            sides.append((middle, middle))
        # The first ratio is 1, which the square is.
        sides += [(smallest * sqrt(ratio), smallest / sqrt(ratio)) for ratio in operation.ratios[1:]]
    return _priors(operation, layer, sides)


@computes(
    operations.PriorBoxClustered,
    unless=lambda operation, node: None if operation.heights else "it has widths without heights",
)
def prior_box_clustered(operation: operations.PriorBoxClustered, layer: Layer) -> Array:
    """Return boxes of given widths and heights around each place, and their variances."""
    return _priors(operation, layer, list(zip(operation.widths, operation.heights, strict=True)))


def _refined(operation: operations.DetectionOutput, node: Node) -> str | None:
    return "the forms of RefineDet are not among those computed" if len(node.bottoms) > 3 else None


@computes(operations.DetectionOutput, unless=_refined)
def detection_output(operation: operations.DetectionOutput, layer: Layer) -> Array:
    """Return the boxes that are found: rows (image, class, score, box)."""
    offsets, scores, priors = layer.bottoms
    priors = priors.reshape(2, -1, 4)
    number, images = len(priors[0]), len(offsets)
    offsets = offsets.reshape(images, number, -1, 4)
    scores = scores.reshape(images, number, operation.num_classes)
    variances = np.ones_like(priors[1]) if operation.variance_encoded_in_target else priors[1]
    rows = [np.zeros((0, 7), scores.dtype)]
    for image in range(images):
        found = boxes.decoded(priors[0][:, None], variances[:, None], offsets[image], operation.code_type)
        rows += _detections(operation, image, found, scores[image])
    top = np.concatenate(rows)
    if not len(top):
        top = np.full((images, 7), -1, scores.dtype)
        top[:, 0] = range(images)
    return top[None, None]


def _other_mining(operation: operations.MultiBoxLoss, node: Node) -> str | None:
    foreign = foreign_mining(operation)
    return f"{foreign} is not among what is computed" if foreign else None


@computes(operations.MultiBoxLoss, unless=_other_mining)
def multi_box_loss(operation: operations.MultiBoxLoss, layer: Layer) -> Array:
    """Return the loss of offsets at matched priors, and that of confidences there and at the hardest others."""
    offsets, scores, priors, rows = layer.bottoms
    priors, variances = priors.reshape(2, -1, 4)
    images, number = len(offsets), len(priors)
    offsets = offsets.reshape(images, number, -1, 4)
    scores = scores.reshape(images, number, operation.num_classes)
    rows = rows.reshape(-1, 8)
    rows = rows[(rows[:, 0] != -1) & (operation.use_difficult_gt | (rows[:, 7] == 0))]
    total, found = 0.0, 0
    for image in range(images):
        truth = rows[rows[:, 0] == image]
        labels = whole_numbers(truth[:, 1], operation.num_classes, "a label")
        matched, overlap = matching.matches(
            priors, truth[:, 3:7], operation.overlap_threshold, bipartite=operation.match_type == "bipartite"
        )
        positive = np.flatnonzero(matched > -1)
        classes = np.full(number, operation.background_label_id)
        classes[positive] = labels[matched[positive]]
        chosen = offsets[image, positive, 0 if operation.share_location else classes[positive]]
        target = boxes.encoded(priors[positive], truth[matched[positive], 3:7], operation.code_type)
        if operation.encode_variance_in_target:
            chosen = chosen / variances[positive]
        total += operation.loc_weight * _distance(chosen - target / variances[positive], operation.loc_loss_type)
        found += len(positive)
        losses = _confidence_losses(operation, scores[image], classes)
        if operation.mining_type == "none":
            total += losses.sum()
        elif len(truth):
            negative = matching.hardest(losses, matched, overlap, operation.neg_pos_ratio, operation.neg_overlap)
            total += losses[positive].sum() + losses[negative].sum()
    divisors = {"full": images * number, "valid": found, "batch_size": images, "none": 1}
    return np.asarray(total / max(divisors[operation.normalization], 1), scores.dtype)


@computes(operations.Reorg)
def reorg(operation: operations.Reorg, layer: Layer) -> Array:
    """Return places as channels, in darknet's order, or the reverse."""
    x, stride = layer.bottom, operation.stride
    number, channels, height, width = x.shape
    if operation.reverse:
        # As [N, row in the block, column in the block, C, H, W].
        blocks = x.reshape(number, stride, stride, -1, height, width).transpose(0, 3, 4, 1, 5, 2)
        return blocks.reshape(number, -1, height * stride, width * stride)
    # The values are taken for those of fewer, larger channels first.
    blocks = x.reshape(number, -1, height, stride, width, stride).transpose(0, 3, 5, 1, 2, 4)
    return blocks.reshape(number, channels * stride * stride, height // stride, width // stride)


def _priors(
    operation: operations.PriorBox | operations.PriorBoxClustered, layer: Layer, sides: Sequence[tuple[float, float]]
) -> Array:
    """Return boxes of these widths and heights around each place, and their variances: [1, 2, H * W * boxes * 4]."""
    places = layer.bottom.shape[-2:]
    image = [given or layer.bottoms[1].shape[axis] for given, axis in zip(operation.image, (-2, -1), strict=True)]
    steps = [given or extent / number for given, extent, number in zip(operation.step, image, places, strict=True)]
    rows, columns = ((np.arange(number) + operation.offset) * step for number, step in zip(places, steps, strict=True))
    centers = np.stack(np.meshgrid(columns, rows), -1)[:, :, None]
    half = np.array(sides)[None, None] / 2
    corners = np.concatenate([centers - half, centers + half], -1) / np.tile(image[::-1], 2)
    if operation.clip:
        corners = np.clip(corners, 0, 1)
    variances = np.broadcast_to(operation.variances, corners.shape)
    return np.stack([corners.reshape(-1), variances.reshape(-1)])[None].astype(layer.bottom.dtype)


def _distance(difference: Array, kind: str) -> float:
    """Return the sum of half the squares, or of smooth L1 distances."""
    far = np.abs(difference)
    half = 0.5 * difference * difference
    return float((half if kind == "l2" else np.where(far < 1, half, far - 0.5)).sum())


def _confidence_losses(operation: operations.MultiBoxLoss, scores: Array, classes: NDArray[np.intp]) -> Array:
    """Return the loss of the confidences [priors, classes] of each prior for its class."""
    if operation.conf_loss_type == "softmax":
        chosen = probabilities(scores, 1)[np.arange(len(scores)), classes]
        return -np.log(np.maximum(chosen, SMALLEST))
    targets = classes[:, None] == np.arange(operation.num_classes)
    return (np.log1p(np.exp(-np.abs(scores))) - scores * (targets * 1.0 - (scores >= 0))).sum(1)


def _detections(operation: operations.DetectionOutput, image: int, found: Array, scores: Array) -> list[Array]:
    """Return the rows of one image, of each class apart; the boxes are [priors, classes or 1, 4]."""
    chosen: list[tuple[int, NDArray[np.intp]]] = []
    for label in range(operation.num_classes):
        if label != operation.background_label_id:
            column = 0 if operation.share_location else label
            chosen.append((label, _best(operation, found[:, column], scores[:, label])))
    total = sum(len(indices) for _, indices in chosen)
    if -1 < operation.keep_top_k < total:
        chosen = _best_of_all(operation.keep_top_k, chosen, scores)
    rows = []
    for label, indices in chosen:
        row = np.empty((len(indices), 7), scores.dtype)
        row[:, 0], row[:, 1], row[:, 2] = image, label, scores[indices, label]
        row[:, 3:] = found[indices, 0 if operation.share_location else label]
        rows.append(row)
    return rows


def _best(operation: operations.DetectionOutput, found: Array, scores: Array) -> NDArray[np.intp]:
    """Return the boxes of one class that are kept, the best first."""
    least = operation.confidence_threshold
    candidates = np.arange(len(scores)) if least is None else np.flatnonzero(scores > least)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    if operation.top_k > -1:
        candidates = candidates[: operation.top_k]
    return candidates[boxes.kept(found[candidates], operation.nms_threshold, eta=operation.eta)]


def _best_of_all(
    number: int, chosen: Sequence[tuple[int, NDArray[np.intp]]], scores: Array
) -> list[tuple[int, NDArray[np.intp]]]:
    """Return the best of what was chosen of all classes, again by class."""
    labels = np.concatenate([np.full(len(indices), label) for label, indices in chosen])
    indices = np.concatenate([indices for _, indices in chosen])
    order = np.argsort(-scores[indices, labels], kind="stable")[:number]
    return [(label, indices[order][labels[order] == label]) for label, _ in chosen]
