"""Losses: the gradient that each starts with. Labels are taken to be drawn at random, each as likely as the others."""

from dataclasses import replace
from math import isfinite, log, sqrt

import numpy as np

from filler_server.diagnostics.signal.gradients import Gradient
from filler_server.diagnostics.signal.moments import APART, CROSS, KINDS, NEAR, OTHER, UNITS, Moments, of_twins
from filler_server.diagnostics.signal.normal import NODES, WEIGHTS, Kernel, Reals, largest, mean_of
from filler_server.diagnostics.signal.probabilities import shared_square, softmax
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import Activation, constant
from filler_server.net.operations import losses
from filler_server.net.operations.activations import Softmax

_MOST_LOSS = -log(float(np.finfo(np.float32).tiny))
"""Loss of a sample whose label gets the probability 0, as Caffe has it: 87.3365."""


def _unknown(layer: Layer, reason: str, *, loss: Activation | None = None) -> Passed:
    """Return a layer whose gradients are not known."""
    unknown = NotKnown(reason)
    tops: list[Activation | NotKnown] = [unknown] * len(layer.plan.tops)
    if loss is not None:
        tops[0] = loss
    return Passed(
        tuple(tops), lambda _: Back((unknown, *(None,) * (len(layer.bottoms) - 1)), (None,) * len(layer.weights))
    )


def _divisor(normalization: str, outer: int, inner: int, kept: float = 1.0) -> float:
    """Return what a sum over places is divided by.

    Args:
        normalization: that of the loss.
        outer: places along the axes before that of the classes: what Caffe takes for the size of the batch.
        inner: places along those after it.
        kept: share of places whose label is not ignored.
    """
    if normalization == "none":
        return 1.0
    return max(outer if normalization == "batch_size" else outer * inner * (kept if normalization == "valid" else 1), 1)


def _terms(normalization: str, outer: tuple[int | None, ...], inner: tuple[int | None, ...], kept: float) -> float:
    """Return how many places a loss adds up for each one that it divides by; arguments are those of `_divisor`.

    Raises:
        NotKnown: it depends on a number of places that is not known.
    """
    if normalization in ("full", "valid"):
        return kept if normalization == "full" else float(kept > 0)
    return kept * size(inner, "places") * (1 if normalization == "batch_size" else size(outer, "samples"))


@rule(losses.SoftmaxWithLoss)
def softmax_with_loss(operation: losses.SoftmaxWithLoss, layer: Layer) -> Passed:
    """Lead through SoftmaxWithLoss: the gradient is (p - y) / n, and 0 where the label is ignored."""
    dims, axis = layer.shape(), operation.axis
    number = size(dims[axis : axis + 1], "classes")
    outer, inner = dims[:axis], dims[axis + 1 :]
    ignored = operation.ignore_label
    labels = number if ignored is None or not 0 <= ignored < number else number - 1
    kept = labels / max(number, 1)
    bottom = layer.bottom
    variance = max(bottom.mean_square - float(bottom.products[UNITS]), 0.0)
    found = softmax(variance, number)
    mean = _clipped_loss(found.log_sum, number, variance)
    loss = constant(mean * _terms(operation.normalization, outer, inner, kept))
    further: tuple[Activation | NotKnown, ...] = (NotKnown("it is a further top"),) * (len(layer.plan.tops) - 1)

    def back(gradients: Gradients) -> Back:
        divisor = _divisor(operation.normalization, size(outer, "samples"), size(inner, "places"), kept)
        scale = _weight(gradients) / divisor**2
        # The mean over classes of (p - y)^2, and for two samples of (p - y)(q - z).
        square = kept * (found.square + 1 - 2 / number) / number
        products = np.zeros(KINDS)
        for kind in (NEAR, APART, CROSS, OTHER):
            correlation = _class_correlation(bottom, kind, variance)
            shared = shared_square(number, variance, correlation)
            products[kind] = kept**2 * (shared - 2 / number + 1 / max(labels, 1)) / number
        products[UNITS] = -square / max(number - 1, 1)
        # By Stein's lemma the mean of the sum of x p over the classes is variance (1 - sum of p^2).
        pull = kept * variance * (1 - found.square) / number / bottom.mean_square if bottom.mean_square else 0.0
        gradient = Gradient(square * scale, products * scale, pull=pull * sqrt(scale))
        return Back((gradient, *(None,) * (len(layer.bottoms) - 1)))

    return Passed((loss, *further), back)


def _clipped_loss(mean: float, number: int, variance: float) -> float:
    """Return the mean of the loss of a sample with Caffe's bound, by its mean without.

    The largest of the other scores, as far as their logarithm of the sum of exponentials goes, stands against that of
    the label.
    """
    if number < 2 or not isfinite(mean):
        return mean
    std = sqrt(variance)
    others = std * largest(number - 1, 0.0)[0]
    others += softmax(variance, number - 1).log_sum - mean_of(others)
    losses_ = np.logaddexp(0, np.subtract.outer(others, std * NODES))
    whole, kept = (float(WEIGHTS @ part @ WEIGHTS) for part in (losses_, np.minimum(losses_, _MOST_LOSS)))
    return mean * kept / whole if kept < whole else mean


def _class_correlation(bottom: Activation, kind: int, variance: float) -> float:
    """Return how the scores of two places or samples go together, apart from what all have in common."""
    if not variance > 0:
        return 0.0
    common = bottom.mean**2
    return float(np.clip((bottom.products[kind] - common) / variance, 0, 1))


def _weight(gradients: Gradients) -> float:
    """Return the square of what the loss weighs."""
    return gradients[0].mean_square


@rule(losses.MultinomialLogisticLoss)
def multinomial_logistic_loss(operation: losses.MultinomialLogisticLoss, layer: Layer) -> Passed:
    """Refuse the gradient of MultinomialLogisticLoss."""
    reason = "its gradient divides by the probability itself"
    if isinstance(layer.kinds[0], Softmax):
        reason += "; SoftmaxWithLoss is Softmax and this loss in one"
    return _unknown(layer, reason)


@rule(losses.SigmoidCrossEntropyLoss)
def sigmoid_cross_entropy_loss(operation: losses.SigmoidCrossEntropyLoss, layer: Layer) -> Passed:
    """Lead through SigmoidCrossEntropyLoss: the gradient is (p - y) / n."""
    dims, (scores, targets) = layer.shape(), layer.bottoms[:2]
    if operation.ignore_label is not None and np.any(targets.points == operation.ignore_label):
        return _unknown(layer, "it ignores a part of its targets")
    points = 1 / (1 + np.exp(-scores.plain().points))
    chances = Activation(points, scores.plain().correlations)
    count = size(dims, "values")
    divisor = _divisor(operation.normalization, size(dims[:1], "samples"), size(dims[1:], "values"))
    entropy = mean_of(np.logaddexp(0, scores.plain().points)) - targets.mean * scores.mean
    loss = constant(entropy * count / divisor)

    def back(gradients: Gradients) -> Back:
        scale = _weight(gradients) / divisor**2
        difference = _difference(chances.moments, targets.moments)
        along = mean_of(points * scores.plain().points) - targets.mean * scores.mean
        pull = along / scores.mean_square * sqrt(scale) if scores.mean_square else 0.0
        return Back((Gradient(difference.mean_square * scale, difference.products * scale, pull=pull), None))

    return Passed((loss,), back)


def _difference(first: Moments, second: Moments, *, twins: bool = False) -> Moments:
    """Return the moments of the difference of two elements, which are independent or go together as two samples do."""
    if twins:
        both = of_twins(first)
        square = max(first.mean_square + second.mean_square - 2 * both.mean_square, 0.0)
        return Moments(0.0, square, first.products + second.products - 2 * both.products)
    mean = 2 * first.mean * second.mean
    square = max(first.mean_square + second.mean_square - mean, 0.0)
    return Moments(first.mean - second.mean, square, first.products + second.products - mean)


@rule(losses.EuclideanLoss)
def euclidean_loss(operation: losses.EuclideanLoss, layer: Layer) -> Passed:
    """Lead through EuclideanLoss: the gradient is the difference divided by n."""
    if len(layer.bottoms) > 2:
        raise NotKnown("a third bottom weighs it")
    dims = layer.shape()
    samples, number = size(dims[:1], "samples"), size(dims[1:], "values")
    if layer.same[:2] == (0, 0):
        difference = Moments(0.0, 0.0, np.zeros(KINDS))
    else:
        difference = _difference(layer.bottoms[0].moments, layer.bottoms[1].moments, twins=layer.twins)

    def back(gradients: Gradients) -> Back:
        scale = _weight(gradients) / max(samples, 1) ** 2
        gradient = Gradient(difference.mean_square * scale, difference.products * scale)
        both = layer.bottoms[0].mean * layer.bottoms[1].mean
        squares = [bottom.mean_square for bottom in layer.bottoms]
        pulls = [(1 - both / square) * sqrt(scale) if square else 0.0 for square in squares]
        if layer.twins:
            # What comes back along with one comes back along with the other as well.
            pulls = [sqrt(gradient.mean_square / square) if square else 0.0 for square in squares]
        return Back(tuple(replace(gradient, pull=pull, twin=layer.twins) for pull in pulls))

    return Passed((constant(number * difference.mean_square / 2),), back)


@rule(losses.HingeLoss)
def hinge_loss(operation: losses.HingeLoss, layer: Layer) -> Passed:
    """Lead through HingeLoss: the gradient is that of margins missed, divided by n."""
    dims = layer.shape()
    samples, number = size(dims[:1], "samples"), size(dims[1:], "classes")
    scores = layer.bottom.plain()
    label, other = np.maximum(1 - scores.points, 0), np.maximum(1 + scores.points, 0)
    share = 1 / max(number, 1)
    if operation.norm == "l1":
        slopes = -(label > 0).astype(float), (other > 0).astype(float)
        losses_ = label, other
    else:
        slopes = -2 * label, 2 * other
        losses_ = label**2, other**2
    loss = number * float(share * (WEIGHTS @ losses_[0]) + (1 - share) * (WEIGHTS @ losses_[1]))

    def back(gradients: Gradients) -> Back:
        scale = _weight(gradients) / max(samples, 1) ** 2
        square = share * mean_of(slopes[0] ** 2) + (1 - share) * mean_of(slopes[1] ** 2)
        # Labels of two samples do not depend on each other.
        products = Kernel(share * slopes[0] + (1 - share) * slopes[1])(scores.correlations)
        along = mean_of((share * slopes[0] + (1 - share) * slopes[1]) * scores.points)
        pull = along / scores.mean_square * sqrt(scale) if scores.mean_square else 0.0
        return Back((Gradient(square * scale, products * scale, pull=pull), None))

    return Passed((constant(loss),), back)


@rule(losses.ContrastiveLoss)
def contrastive_loss(operation: losses.ContrastiveLoss, layer: Layer) -> Passed:
    """Lead through ContrastiveLoss of pairs that are alike or not, each half of the time."""
    dims = layer.shape()
    samples, number = size(dims[:1], "pairs"), size(dims[1:], "values")
    first, second = layer.bottoms[:2]
    # Both come through the same weights, as two samples do.
    variance = max(first.mean_square + second.mean_square - float(first.products[CROSS] + second.products[CROSS]), 0.0)
    squares = variance * _chi_square(number)
    distances = np.sqrt(squares)
    if operation.legacy_version:
        pulls = (squares < operation.margin).astype(float)
        apart = np.maximum(operation.margin - squares, 0) / 2
    else:
        pulls = np.maximum(operation.margin - distances, 0) / np.maximum(distances + 1e-4, 1e-12)
        apart = np.maximum(operation.margin - distances, 0) ** 2 / 2
    loss = mean_of(squares / 2 + apart) / 2

    def back(gradients: Gradients) -> Back:
        scale = _weight(gradients) / max(samples, 1) ** 2
        square = mean_of(squares * (1 + pulls**2)) / 2 / max(number, 1)
        gradient = Gradient(square * scale)
        return Back((gradient, gradient, None))

    return Passed((constant(loss),), back)


def _chi_square(number: int) -> Reals:
    """Return the sum of squares of standard normal variables by its nodes (Wilson and Hilferty 1931)."""
    part = 2 / (9 * max(number, 1))
    return max(number, 1) * np.maximum(1 - part + sqrt(part) * NODES, 0) ** 3


@rule(losses.SmoothL1Loss)
def smooth_l1_loss(operation: losses.SmoothL1Loss, layer: Layer) -> Passed:
    """Lead through SmoothL1Loss of normal differences."""
    if len(layer.bottoms) > 2 or operation.places:
        return _unknown(layer, "bottoms weigh it")
    dims = layer.shape()
    samples, count = size(dims[:1], "samples"), size(dims, "values")
    moments = _difference(layer.bottoms[0].moments, layer.bottoms[1].moments, twins=layer.twins)
    std, bend = sqrt(max(moments.mean_square - moments.mean**2, 0.0)), operation.sigma**2
    points = moments.mean + std * NODES
    slopes = np.clip(bend * points, -1, 1)
    distances = np.where(np.abs(points) < 1 / bend, bend * points**2 / 2, np.abs(points) - 0.5 / bend)

    def back(gradients: Gradients) -> Back:
        scale = _weight(gradients) / max(samples, 1) ** 2
        variance = std * std or 1.0
        correlations = np.clip((moments.products - moments.mean**2) / variance, -1, 1)
        pull = mean_of(slopes * points) / moments.mean_square if moments.mean_square else 0.0
        products = Kernel(slopes)(correlations) * scale
        gradient = Gradient(mean_of(slopes**2) * scale, products, pull=pull * sqrt(scale))
        return Back((gradient, gradient))

    return Passed((constant(mean_of(distances) * count / max(samples, 1)),), back)


@rule(losses.InfogainLoss)
def infogain_loss(operation: losses.InfogainLoss, layer: Layer) -> Passed:
    """Refuse the gradient of InfogainLoss."""
    return _unknown(layer, "its gradient depends on a matrix")


@rule(losses.Accuracy)
def accuracy(operation: losses.Accuracy, layer: Layer) -> Passed:
    """Lead through Accuracy of guesses."""
    number = size(layer.shape()[operation.axis : operation.axis + 1], "classes")
    share = constant(min(operation.top_k / max(number, 1), 1.0))
    return Passed((share,) * len(layer.plan.tops), lambda tops: Back((None,) * len(layer.bottoms)))
