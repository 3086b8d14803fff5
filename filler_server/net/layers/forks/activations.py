"""Layers of forks that work value by value, or change values only, and have no learnable blobs."""

from filler_server.net.dimensions import Unknown
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import activations as operations
from filler_server.net.registry import exactly, register_fork


@register_fork("ReLU6", bottoms=exactly(1), tops=exactly(1), fork_fields=["relu6_param"])
def relu6(layer: LayerContext) -> SetUp:
    """The shape of the bottom (eric612/MobileNet-YOLO, relu6_layer.cpp)."""
    layer.fork.disregard("relu6_param.engine")
    operation = layer.operation(
        lambda: operations.ReLU6(negative_slope=layer.fork.number("relu6_param.negative_slope", 0))
    )
    return SetUp([layer.bottoms[0]], operation=operation)


@register_fork("NegReLU", bottoms=exactly(1), tops=exactly(1))
def negative_relu(layer: LayerContext) -> SetUp:
    """The shape of the bottom (lmb-freiburg/flownet2, neg_relu_layer.cpp)."""
    operation = operations.NegReLU(negative_slope=layer.parameter.relu_param.negative_slope)
    return SetUp([layer.bottoms[0]], operation=operation)


@register_fork("Noise", bottoms=exactly(1), tops=exactly(1), fork_fields=["noise_param"])
def noise(layer: LayerContext) -> SetUp:
    """The shape of the bottom (happynear/caffe-windows, noise_layer.cpp)."""
    fork = layer.fork

    def operation() -> operations.Noise:
        std, reach = (
            fork.number(f"noise_param.{name}", 0) if f"noise_param.{name}" in fork else None
            for name in ("gaussian_std", "uniform_range")
        )
        return operations.Noise(
            gaussian_std=std, uniform_range=reach, bias=fork.number("noise_param.bias", 0), random=layer.training
        )

    return SetUp([layer.bottoms[0]], operation=layer.operation(operation))


@register_fork("SpatialDropout", bottoms=exactly(1), tops=exactly(1), fork_fields=["spatial_dropout_param"])
def spatial_dropout(layer: LayerContext) -> SetUp:
    """The shape of the bottom; the ratio is that of dropout_param (intel/caffe, spatial_dropout_layer.cpp)."""
    layer.fork.disregard("spatial_dropout_param.dropout_ratio")
    ratio = layer.parameter.dropout_param.dropout_ratio
    operation = operations.Dropout(ratio=ratio, random=layer.training, whole_channels=True)
    return SetUp([layer.bottoms[0]], operation=operation)


@register_fork("SignedSqrt", bottoms=exactly(1), tops=exactly(1))
def signed_sqrt(layer: LayerContext) -> SetUp:
    """The shape of the bottom (cvjena/caffe_pp2, signed_sqrt_layer.cpp)."""
    return SetUp([layer.bottoms[0]], operation=operations.SignedSqrt())


@register_fork("SignedPower", bottoms=exactly(1), tops=exactly(1))
def signed_power(layer: LayerContext) -> SetUp:
    """The shape of the bottom (cvjena/caffe_pp2, signed_power_layer.cpp)."""
    parameter = layer.parameter.power_param
    operation = operations.SignedPower(power=parameter.power, scale=parameter.scale, shift=parameter.shift)
    return SetUp([layer.bottoms[0]], operation=operation)


@register_fork("RReLU", bottoms=exactly(1), tops=exactly(1))
@register_fork("ScaleFilter", bottoms=exactly(1), tops=exactly(1))
@register_fork("SeLu", bottoms=exactly(1), tops=exactly(1))
@register_fork("SeLuDropout", bottoms=exactly(1), tops=exactly(1))
def neuron(layer: LayerContext) -> SetUp:
    """The shape of the bottom.

    Neuron layers of happynear/caffe-windows, openvinotoolkit/training_toolbox_caffe and ducha-aiki/caffe.
    """
    return SetUp([layer.bottoms[0]], operation=layer.custom())


@register_fork("Insanity", bottoms=exactly(1), tops=exactly(1), fork_fields=["insanity_param"])
def insanity(layer: LayerContext) -> SetUp:
    """The shape of the bottom, which needs two axes (happynear/caffe-windows, insanity_layer.cpp)."""
    bottom, fork = layer.bottoms[0], layer.fork
    if not isinstance(bottom, Unknown):
        layer.require(len(bottom) >= 2, "Number of axes of bottom blob must be >=2", shape=bottom)
    operation = layer.operation(
        lambda: operations.Insanity(
            lower=fork.number("insanity_param.lb", 5), upper=fork.number("insanity_param.ub", 10), random=layer.training
        )
    )
    return SetUp([bottom], operation=operation)
