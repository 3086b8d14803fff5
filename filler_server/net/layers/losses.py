"""Losses, each a scalar, and Accuracy."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Unknown, count, differ
from filler_server.net.layer import LayerContext, OpenDims, SetUp
from filler_server.net.layers.activations import check_softmax
from filler_server.net.operations import losses as operations
from filler_server.net.operations.base import Operation
from filler_server.net.registry import between, exactly, register

_SCALAR: OpenDims = ()


def normalization(layer: LayerContext, default: str = "valid") -> str:
    """Return what a loss is divided by; `default` where the layer does not say."""
    parameter = layer.parameter.loss_param
    if parameter.HasField("normalization"):
        return caffe_pb2.LossParameter.NormalizationMode.Name(parameter.normalization).lower()
    if parameter.HasField("normalize"):
        return "valid" if parameter.normalize else "batch_size"
    return default


def ignore_label(layer: LayerContext) -> int | None:
    """Return the label that does not count, or None."""
    parameter = layer.parameter.loss_param
    return parameter.ignore_label if parameter.HasField("ignore_label") else None


def scalar(operation: Operation) -> SetUp:
    """Return the set-up of a loss that is one number."""
    return SetUp([_SCALAR], operation=operation)


def check_batch(layer: LayerContext) -> None:
    """Refuse data and labels of different first dimensions, as Caffe's `LossLayer` does."""
    data, labels = layer.bottoms[:2]
    first: list[Dim] = [dims if isinstance(dims, Unknown) else dims[layer.axis(dims, 0)] for dims in (data, labels)]
    if differ(*first):
        layer.refuse("The data and label should have the same first dimension", data=data, label=labels)


@register("HingeLoss", bottoms=exactly(2), tops=exactly(1), loss=True)
def hinge_loss(layer: LayerContext) -> SetUp:
    """A scalar."""
    check_batch(layer)
    norm = caffe_pb2.HingeLossParameter.Norm.Name(layer.parameter.hinge_loss_param.norm)
    return scalar(operations.HingeLoss(norm=norm.lower()))


@register("EuclideanLoss", bottoms=between(2, 3), tops=exactly(1), loss=True)
def euclidean_loss(layer: LayerContext) -> SetUp:
    """A scalar."""
    if len(layer.bottoms) == 3:
        layer.report("a third bottom of EuclideanLoss is taken for weights, as in the fork of Fast R-CNN")
    check_batch(layer)
    if differ(count(layer.bottoms[0], 1), count(layer.bottoms[1], 1)):
        layer.refuse("Inputs must have the same dimension", bottom_0=layer.bottoms[0], bottom_1=layer.bottoms[1])
    return scalar(operations.EuclideanLoss())


@register("SigmoidCrossEntropyLoss", bottoms=exactly(2), tops=exactly(1), loss=True)
def sigmoid_cross_entropy_loss(layer: LayerContext) -> SetUp:
    """A scalar."""
    check_batch(layer)
    if differ(count(layer.bottoms[0]), count(layer.bottoms[1])):
        layer.refuse(
            "SIGMOID_CROSS_ENTROPY_LOSS layer inputs must have the same count",
            bottom_0=layer.bottoms[0],
            bottom_1=layer.bottoms[1],
        )
    return scalar(
        operations.SigmoidCrossEntropyLoss(
            normalization=normalization(layer, "batch_size"), ignore_label=ignore_label(layer)
        )
    )


@register("MultinomialLogisticLoss", bottoms=exactly(2), tops=exactly(1), loss=True)
def multinomial_logistic_loss(layer: LayerContext) -> SetUp:
    """A scalar."""
    check_batch(layer)
    _require_ones(layer, 1, ("channels", "height", "width"))
    return scalar(operations.MultinomialLogisticLoss())


@register("ContrastiveLoss", bottoms=exactly(3), tops=exactly(1), loss=True)
def contrastive_loss(layer: LayerContext) -> SetUp:
    """A scalar, from two batches of vectors and whether they are alike."""
    channels = [layer.legacy(bottom)[1] for bottom in (0, 1)]
    if differ(*channels):
        layer.refuse(
            "bottom[0] and bottom[1] must have the same channels", bottom_0=layer.bottoms[0], bottom_1=layer.bottoms[1]
        )
    for bottom, sides in ((0, ("height", "width")), (1, ("height", "width")), (2, ("channels", "height", "width"))):
        _require_ones(layer, bottom, sides)
    check_batch(layer)
    parameter = layer.parameter.contrastive_loss_param
    return scalar(operations.ContrastiveLoss(margin=parameter.margin, legacy_version=parameter.legacy_version))


@register("SoftmaxWithLoss", bottoms=exactly(2), tops=between(1, 2), loss=True)
def softmax_with_loss(layer: LayerContext) -> SetUp:
    """A scalar, and the probabilities, in the shape of the first bottom.

    The Softmax inside is built from the same prototxt. It has one top, and so refuses any other number of loss weights.
    """
    axis = layer.parameter.softmax_param.axis
    layer.require(
        layer.num_loss_weights == 1,
        "loss_weight must be unspecified or specified once per top blob of the Softmax inside",
        loss_weight=list(layer.parameter.loss_weight),
    )
    axis = check_softmax(layer, axis)
    check_batch(layer)
    _check_labels(layer, axis, "softmax")
    operation = operations.SoftmaxWithLoss(
        axis=axis, normalization=normalization(layer), ignore_label=ignore_label(layer)
    )
    return SetUp([_SCALAR, layer.bottoms[0]][: layer.num_tops], operation=operation)


@register("InfogainLoss", bottoms=between(2, 3), tops=between(1, 2), loss=True)
def infogain_loss(layer: LayerContext) -> SetUp:
    """A scalar, and the probabilities, in the shape of the first bottom."""
    parameter = layer.parameter.infogain_loss_param
    axis = check_softmax(layer, parameter.axis)
    layer.require(
        not layer.parameter.loss_param.HasField("normalize"),
        'normalize is deprecated. use "normalization"',
        normalize=layer.parameter.loss_param.normalize,
    )
    layer.require(
        len(layer.bottoms) == 3 or parameter.HasField("source"),
        "Infogain matrix source must be specified",
        bottoms=list(layer.parameter.bottom),
    )
    check_batch(layer)
    _check_labels(layer, parameter.axis, "infogain")
    bottom = layer.bottoms[0]
    if isinstance(bottom, tuple) and len(layer.bottoms) == 3:
        classes = bottom[layer.axis(bottom, parameter.axis)]
        if differ(count(layer.bottoms[2]), classes * classes):
            layer.refuse("the infogain matrix must be classes x classes", matrix=layer.bottoms[2], shape=bottom)
    operation = operations.InfogainLoss(
        axis=axis,
        source=None if len(layer.bottoms) == 3 else parameter.source,
        normalization=normalization(layer),
        ignore_label=ignore_label(layer),
    )
    return SetUp([_SCALAR, bottom][: layer.num_tops], operation=operation)


@register("Accuracy", bottoms=exactly(2), tops=between(1, 2), keeps_shape_in_place=True)
def accuracy(layer: LayerContext) -> SetUp:
    """A scalar, and one number for each class."""
    parameter = layer.parameter.accuracy_param
    predictions, labels = layer.bottoms
    layer.require_values(count(labels), "the label")
    have, want = count(predictions), count(labels)
    if isinstance(have, int) and isinstance(want, int):
        layer.require(
            parameter.top_k <= have // want,
            "top_k must be less than or equal to the number of classes",
            top_k=parameter.top_k,
            shape=predictions,
            label=labels,
        )
    _check_labels(layer, parameter.axis, "label")
    axis = parameter.axis if isinstance(predictions, Unknown) else layer.axis(predictions, parameter.axis)
    classes = predictions if isinstance(predictions, Unknown) else predictions[axis]
    operation = operations.Accuracy(
        top_k=parameter.top_k,
        axis=axis,
        ignore_label=parameter.ignore_label if parameter.HasField("ignore_label") else None,
    )
    return SetUp([_SCALAR, (classes,)][: layer.num_tops], operation=operation)


def _check_labels(layer: LayerContext, axis: int, name: str) -> None:
    predictions, labels = layer.bottoms[:2]
    if isinstance(predictions, Unknown):
        return
    axis = layer.axis(predictions, axis)
    if differ(count(predictions, 0, axis) * count(predictions, axis + 1), count(labels)):
        layer.refuse(
            f"Number of labels must match number of predictions; e.g., if {name} axis == 1 and prediction shape is "
            "(N, C, H, W), label count (number of labels) must be N*H*W, with integer values in {0, 1, ..., C-1}",
            shape=predictions,
            label=labels,
            axis=axis,
        )


def _require_ones(layer: LayerContext, bottom: int, names: tuple[str, ...]) -> None:
    dims = dict(zip(("num", "channels", "height", "width"), layer.legacy(bottom), strict=True))
    for name in names:
        if differ(dims[name], 1):
            layer.refuse(f"bottom[{bottom}] must have {name} 1", shape=layer.bottoms[bottom])
