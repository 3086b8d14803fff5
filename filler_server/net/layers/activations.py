"""Layers that work value by value and keep the shape; of these only PReLU learns."""

import math

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, Unknown, count, differ, text
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.registry import exactly, register, up_to

_QUARTER = caffe_pb2.FillerParameter(type="constant", value=0.25)


@register("AbsVal", bottoms=exactly(1), tops=exactly(1))
@register("BNLL", bottoms=exactly(1), tops=exactly(1))
@register("Clip", bottoms=exactly(1), tops=exactly(1))
@register("Dropout", bottoms=exactly(1), tops=exactly(1))
@register("ELU", bottoms=exactly(1), tops=exactly(1))
@register("Power", bottoms=exactly(1), tops=exactly(1))
@register("ReLU", bottoms=exactly(1), tops=exactly(1))
@register("Sigmoid", bottoms=exactly(1), tops=exactly(1))
@register("Swish", bottoms=exactly(1), tops=exactly(1))
@register("TanH", bottoms=exactly(1), tops=exactly(1))
@register("Threshold", bottoms=exactly(1), tops=exactly(1))
def neuron(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    return SetUp([layer.bottoms[0]])


@register("Exp", bottoms=exactly(1), tops=exactly(1))
def exponential(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    _check_base(layer, layer.parameter.exp_param.base)
    return neuron(layer)


@register("Log", bottoms=exactly(1), tops=exactly(1))
def logarithm(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    base = layer.parameter.log_param.base
    _check_base(layer, base)
    layer.require(base != 1, "Inf result: 1/log(base)", base=base)
    return neuron(layer)


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
    blobs = layer.learned(LearnedBlob(slopes, filler))
    if differ(count(blobs[0].shape), count(slopes)):
        layer.refuse("Negative slope size is inconsistent with prototxt config", blob=blobs[0].shape, shape=bottom)
    layer.require_values(count(bottom, 1), "each image")
    return SetUp([bottom], blobs)


@register("Softmax", bottoms=exactly(1), tops=exactly(1))
def softmax(layer: LayerContext) -> SetUp:
    """The shape of the bottom."""
    check_softmax(layer, layer.parameter.softmax_param.axis)
    return SetUp([layer.bottoms[0]])


def check_softmax(layer: LayerContext, axis: int) -> None:
    """Refuse an axis of classes that the first bottom lacks or that is empty."""
    bottom = layer.bottoms[0]
    if not isinstance(bottom, Unknown):
        layer.require_values(bottom[layer.axis(bottom, axis)], "the axis of classes")


def _check_base(layer: LayerContext, base: float) -> None:
    if base == -1:
        return
    layer.require(base > 0, "base must be strictly positive", base=base)
    layer.require(math.isfinite(base), "log(base) must be finite", base=base)
