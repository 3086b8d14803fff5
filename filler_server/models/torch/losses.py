"""Losses, each a scalar, and Accuracy."""

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import Source, call
from filler_server.models.torch.registry import Written, emits
from filler_server.net.operations import losses as of


@emits(of.Accuracy)
def accuracy(layer: Layer, operation: of.Accuracy) -> Written:
    """Write Accuracy."""
    named: dict[str, object] = {"axis": operation.axis}
    if operation.top_k != 1:
        named["top_k"] = operation.top_k
    if operation.ignore_label is not None:
        named["ignore_label"] = operation.ignore_label
    if len(layer.node.tops) == 1:
        return _of_bottoms(layer, "accuracy", named)
    return [_of_bottoms(layer, "accuracy", named), _of_bottoms(layer, "accuracy_per_class", named)]


@emits(of.ContrastiveLoss)
def contrastive_loss(layer: Layer, operation: of.ContrastiveLoss) -> str:
    """Write ContrastiveLoss."""
    named: dict[str, object] = {"margin": operation.margin}
    if operation.legacy_version:
        named["legacy_version"] = True
    return _of_bottoms(layer, "contrastive_loss", named)


@emits(of.EuclideanLoss)
def euclidean_loss(layer: Layer, operation: of.EuclideanLoss) -> str:
    """Write EuclideanLoss."""
    if len(layer.bottoms) > 2:
        raise NoCounterpart("a third bottom, which weighs the distance, is not written")
    a, b = layer.bottoms
    return f"(({a} - {b}.reshape({a}.shape)) ** 2).sum() / (2 * {a}.shape[0])"


@emits(of.HingeLoss)
def hinge_loss(layer: Layer, operation: of.HingeLoss) -> str:
    """Write HingeLoss."""
    return _of_bottoms(layer, "hinge_loss", {"norm": "l2"} if operation.norm == "l2" else {})


@emits(of.InfogainLoss)
def infogain_loss(layer: Layer, operation: of.InfogainLoss) -> Written:
    """Write InfogainLoss with its matrix as a bottom."""
    if operation.source is not None:
        raise NoCounterpart("its matrix is in a file, not a bottom")
    loss = _of_bottoms(layer, "infogain_loss", _softmax_options(operation))
    return loss if len(layer.node.tops) == 1 else [loss, f"{layer.bottoms[0]}.softmax({operation.axis})"]


@emits(of.MultinomialLogisticLoss)
def multinomial_logistic_loss(layer: Layer, operation: of.MultinomialLogisticLoss) -> str:
    """Write MultinomialLogisticLoss."""
    return _of_bottoms(layer, "multinomial_logistic_loss", {})


@emits(of.SigmoidCrossEntropyLoss)
def sigmoid_cross_entropy_loss(layer: Layer, operation: of.SigmoidCrossEntropyLoss) -> str:
    """Write SigmoidCrossEntropyLoss."""
    named: dict[str, object] = {"normalization": operation.normalization}
    if operation.ignore_label is not None:
        named["ignore_label"] = operation.ignore_label
    return _of_bottoms(layer, "sigmoid_cross_entropy_loss", named)


@emits(of.SmoothL1Loss)
def smooth_l1_loss(layer: Layer, operation: of.SmoothL1Loss) -> str:
    """Write SmoothL1Loss."""
    if operation.places:
        raise NoCounterpart("the form for hard examples is not written")
    return _of_bottoms(layer, "smooth_l1_loss", {"sigma": operation.sigma})


@emits(of.SoftmaxWithLoss)
def softmax_with_loss(layer: Layer, operation: of.SoftmaxWithLoss) -> Written:
    """Write SoftmaxWithLoss, and the softmax as its second top."""
    if operation.places:
        raise NoCounterpart("the form for hard examples is not written")
    loss = _of_bottoms(layer, "softmax_with_loss", _softmax_options(operation))
    return loss if len(layer.node.tops) == 1 else [loss, f"{layer.bottoms[0]}.softmax({operation.axis})"]


def _softmax_options(operation: of.SoftmaxWithLoss | of.InfogainLoss) -> dict[str, object]:
    named: dict[str, object] = {"axis": operation.axis}
    if operation.normalization != "valid":
        named["normalization"] = operation.normalization
    if operation.ignore_label is not None:
        named["ignore_label"] = operation.ignore_label
    return named


def _of_bottoms(layer: Layer, function: str, named: dict[str, object]) -> str:
    return call(function, [Source(bottom) for bottom in layer.bottoms], named)
