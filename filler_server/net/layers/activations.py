"""Layers that work value by value and keep the shape; of these only PReLU learns."""

import math

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, Unknown, count, differ, text
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import activations as operations
from filler_server.net.operations.base import Operation
from filler_server.net.registry import exactly, register, up_to

_SAMPLES = "dropout_param.sample_weights_test"
_SCALE_TRAIN = "dropout_param.scale_train"
_QUARTER = caffe_pb2.FillerParameter(type="constant", value=0.25)


def _neuron(layer: LayerContext, operation: Operation) -> SetUp:
    return SetUp([layer.bottoms[0]], operation=operation)


@register("AbsVal", bottoms=exactly(1), tops=exactly(1))
def absolute_value(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    layer.refuse_in_place()
    return _neuron(layer, operations.AbsVal())


@register("BNLL", bottoms=exactly(1), tops=exactly(1))
def binomial_normal_log_likelihood(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.BNLL())


@register("Clip", bottoms=exactly(1), tops=exactly(1))
def clip(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    parameter = layer.parameter.clip_param
    return _neuron(layer, operations.Clip(lower=parameter.min, upper=parameter.max))


@register("Dropout", bottoms=exactly(1), tops=exactly(1), fork_fields=[_SCALE_TRAIN, _SAMPLES])
def dropout(layer: LayerContext) -> SetUp:
    """The shape of the bottom.

    Forks scale when they test instead of when they train (rbgirshick/caffe-fast-rcnn), or drop values then, too
    (alexgkendall/caffe-segnet).
    """

    def operation() -> operations.Dropout:
        samples = layer.fork.flag(_SAMPLES, False)
        return operations.Dropout(
            ratio=layer.parameter.dropout_param.dropout_ratio,
            random=layer.training or samples,
            scale_train=layer.fork.flag(_SCALE_TRAIN, True),
            random_in_test=samples,
        )

    return SetUp([layer.bottoms[0]], operation=layer.operation(operation))


@register("ELU", bottoms=exactly(1), tops=exactly(1))
def exponential_linear_unit(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.ELU(alpha=layer.parameter.elu_param.alpha))


@register("Power", bottoms=exactly(1), tops=exactly(1))
def power(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    parameter = layer.parameter.power_param
    return _neuron(layer, operations.Power(power=parameter.power, scale=parameter.scale, shift=parameter.shift))


@register("ReLU", bottoms=exactly(1), tops=exactly(1))
def relu(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.ReLU(negative_slope=layer.parameter.relu_param.negative_slope))


@register("Sigmoid", bottoms=exactly(1), tops=exactly(1))
def sigmoid(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.Sigmoid())


@register("Swish", bottoms=exactly(1), tops=exactly(1))
def swish(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.Swish(beta=layer.parameter.swish_param.beta))


@register("TanH", bottoms=exactly(1), tops=exactly(1))
def tanh(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.TanH())


@register("Threshold", bottoms=exactly(1), tops=exactly(1))
def threshold(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.Threshold(threshold=layer.parameter.threshold_param.threshold))


@register("Exp", bottoms=exactly(1), tops=exactly(1))
def exponential(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    parameter = layer.parameter.exp_param
    _check_base(layer, parameter.base)
    base = math.e if parameter.base == -1 else parameter.base
    return _neuron(layer, operations.Exp(base=base, scale=parameter.scale, shift=parameter.shift))


@register("Log", bottoms=exactly(1), tops=exactly(1))
def logarithm(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    parameter = layer.parameter.log_param
    _check_base(layer, parameter.base)
    layer.require(parameter.base != 1, "Inf result: 1/log(base)", base=parameter.base)
    base = math.e if parameter.base == -1 else parameter.base
    return _neuron(layer, operations.Log(base=base, scale=parameter.scale, shift=parameter.shift))


@register("PReLU", bottoms=exactly(1), tops=exactly(1), roles=up_to("slope"))
def parametric_relu(layer: LayerContext) -> SetUp:
    """The slopes: [C], or a scalar [] with channel_shared."""
    parameter = layer.parameter.prelu_param
    bottom = layer.bottoms[0]
    if isinstance(bottom, tuple):
        layer.require(len(bottom) >= 2, "Number of axes of bottom blob must be >=2", shape=bottom)
    if isinstance(bottom, tuple) and len(bottom) > 4:
        layer.report(f"BVLC's PReLU works on 4 axes, not on {text(bottom)}: planned as in forks that can")
    slopes: Dims = () if parameter.channel_shared else (layer.channels(0),)
    filler = parameter.filler if parameter.HasField("filler") else _QUARTER
    blobs = layer.given_or(LearnedBlob(slopes, filler))
    if differ(count(blobs[0].shape), count(slopes)):
        layer.refuse("Negative slope size is inconsistent with prototxt config", blob=blobs[0].shape, shape=bottom)
    layer.require_values(count(bottom, 1), "each image")
    return SetUp([bottom], blobs, operations.PReLU(channel_shared=parameter.channel_shared))


@register("Softmax", bottoms=exactly(1), tops=exactly(1))
def softmax(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return _neuron(layer, operations.Softmax(axis=check_softmax(layer, layer.parameter.softmax_param.axis)))


def check_softmax(layer: LayerContext, axis: int) -> int:
    """Return the axis of classes of the first bottom; refuse one that it lacks or that is empty."""
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return axis
    axis = layer.axis(bottom, axis)
    layer.require_values(bottom[axis], "the axis of classes")
    return axis


def _check_base(layer: LayerContext, base: float) -> None:
    if base == -1:
        return
    layer.require(base > 0, "base must be strictly positive", base=base)
    layer.require(math.isfinite(base), "log(base) must be finite", base=base)
