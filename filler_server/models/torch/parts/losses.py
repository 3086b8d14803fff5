"""Caffe's losses and its accuracy."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def normalizer(normalization: str, places: Tensor, outer: int) -> Tensor:
    """Return what a loss is divided by, at least 1.

    Args:
        normalization: full (all places), valid (those that count), batch_size or none.
        places: which places count.
        outer: the batch size.
    """
    count = {"full": places.numel(), "valid": places.sum(), "batch_size": outer, "none": 1}[normalization]
    return torch.as_tensor(count, device=places.device).clamp(min=1)


def at_least(x: Tensor, smallest: float) -> Tensor:
    """Return values that are at least one, whose gradient passes below it as well."""
    # The difference is 0, or NaN of an infinite value.
    return x.detach().clamp(min=smallest) + (x - x.detach()).nan_to_num()


def by_place(x: Tensor, labels: Tensor, axis: int, ignore_label: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores [places, classes], the label of each place as an index, and whether it counts."""
    scores = x.movedim(axis, -1).flatten(0, -2)
    labels = labels.flatten().long()
    if ignore_label is None:
        return scores, labels, torch.ones_like(labels, dtype=torch.bool)
    counts = labels != ignore_label
    return scores, torch.where(counts, labels, 0), counts


def softmax_with_loss(
    x: Tensor, labels: Tensor, axis: int = 1, normalization: str = "valid", ignore_label: int | None = None
) -> Tensor:
    """Caffe's SoftmaxWithLoss; a probability counts as at least the smallest normal float."""
    scores, labels, counts = by_place(x, labels, axis, ignore_label)
    smallest = math.log(torch.finfo(torch.float32).tiny)
    chances = at_least(scores.log_softmax(1).gather(1, labels[:, None])[:, 0], smallest)
    return -(chances * counts).sum() / normalizer(normalization, counts, math.prod(x.shape[:axis]))


def infogain_loss(
    x: Tensor,
    labels: Tensor,
    matrix: Tensor,
    axis: int = 1,
    normalization: str = "valid",
    ignore_label: int | None = None,
) -> Tensor:
    """Caffe's InfogainLoss; a probability counts as at least 1e-20."""
    scores, labels, counts = by_place(x, labels, axis, ignore_label)
    weights = matrix.reshape(scores.shape[1], scores.shape[1])[labels]
    chances = (weights * at_least(scores.log_softmax(1), math.log(1e-20))).sum(1)
    return -(chances * counts).sum() / normalizer(normalization, counts, math.prod(x.shape[:axis]))


def multinomial_logistic_loss(chances: Tensor, labels: Tensor) -> Tensor:
    """Caffe's MultinomialLogisticLoss; a probability counts as at least 1e-20."""
    chosen = chances.flatten(1).gather(1, labels.reshape(-1, 1).long())
    return -at_least(chosen, 1e-20).log().sum() / chances.shape[0]


def sigmoid_cross_entropy_loss(
    x: Tensor, targets: Tensor, normalization: str = "batch_size", ignore_label: int | None = None
) -> Tensor:
    """Caffe's SigmoidCrossEntropyLoss, which has no gradient for its targets."""
    targets = targets.detach().reshape(x.shape).to(x.dtype)
    counts = torch.ones_like(x, dtype=torch.bool) if ignore_label is None else targets.long() != ignore_label
    losses = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
    return torch.where(counts, losses, 0).sum() / normalizer(normalization, counts, x.shape[0])


def hinge_loss(x: Tensor, labels: Tensor, norm: str = "l1") -> Tensor:
    """Caffe's HingeLoss."""
    scores = x.flatten(1)
    own = F.one_hot(labels.flatten().long(), scores.shape[1]).bool()
    missed = F.relu(1 + torch.where(own, -scores, scores))
    return (missed if norm == "l1" else missed.square()).sum() / x.shape[0]


def contrastive_loss(a: Tensor, b: Tensor, alike: Tensor, margin: float = 1.0, legacy_version: bool = False) -> Tensor:
    """Caffe's ContrastiveLoss."""
    squares = (a.flatten(1) - b.flatten(1)).square().sum(1)
    if legacy_version:
        apart = F.relu(margin - squares)
    else:
        # Of a distance of 0 the root has no gradient.
        distances = torch.where(squares > 0, squares, 1).sqrt()
        apart = F.relu(margin - torch.where(squares > 0, distances, 0)).square()
    return torch.where(alike.flatten().long() != 0, squares, apart).sum() / (2 * a.shape[0])


def smooth_l1_loss(
    a: Tensor, b: Tensor, inside: Tensor | None = None, outside: Tensor | None = None, sigma: float = 1.0
) -> Tensor:
    """SmoothL1Loss of SSD and of Fast R-CNN, with weights of the differences and of the distances."""
    # Bottoms may differ in axes of 1 at their ends.
    differences = a - b.reshape(a.shape)
    if inside is not None:
        differences = inside.reshape(a.shape) * differences
    sizes, square = differences.abs(), sigma**2
    distances = torch.where(sizes < 1 / square, 0.5 * square * differences.square(), sizes - 0.5 / square)
    return (distances if outside is None else outside.reshape(a.shape) * distances).sum() / a.shape[0]


def better(x: Tensor, labels: Tensor, axis: int, ignore_label: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many other classes are at least as good as the label of each place, the labels, and which count."""
    scores, labels, counts = by_place(x, labels, axis, ignore_label)
    return (scores >= scores.gather(1, labels[:, None])).sum(1) - 1, labels, counts


def accuracy(x: Tensor, labels: Tensor, axis: int = 1, top_k: int = 1, ignore_label: int | None = None) -> Tensor:
    """Caffe's Accuracy; a tie counts against the label."""
    others, _, counts = better(x, labels, axis, ignore_label)
    right = (others < top_k) & counts
    return right.sum().to(x.dtype) / counts.sum().clamp(min=1)


def accuracy_per_class(
    x: Tensor, labels: Tensor, axis: int = 1, top_k: int = 1, ignore_label: int | None = None
) -> Tensor:
    """Caffe's Accuracy of each class, 0 for one that no label has."""
    others, labels, counts = better(x, labels, axis, ignore_label)
    own = F.one_hot(labels, x.shape[axis]).bool() & counts[:, None]
    right = own & (others < top_k)[:, None]
    return right.sum(0).to(x.dtype) / own.sum(0).clamp(min=1)
