"""Operations that work value by value, and Softmax."""

from math import log

import numpy as np

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import activations


@emits(activations.AbsVal)
def abs_val(layer: LayerNodes, operation: activations.AbsVal, x: str) -> str:
    """Say AbsVal."""
    return layer.add("Abs", x)


@emits(activations.BNLL)
def bnll(layer: LayerNodes, operation: activations.BNLL, x: str) -> str:
    """Say BNLL, which is Softplus."""
    return layer.add("Softplus", x)


@emits(activations.Clip)
def clip(layer: LayerNodes, operation: activations.Clip, x: str) -> str:
    """Say Clip."""
    return layer.add("Clip", x, layer.constant(operation.lower, "min"), layer.constant(operation.upper, "max"))


@emits(activations.Dropout)
def dropout(layer: LayerNodes, operation: activations.Dropout, x: str) -> str:
    """Say a Dropout that drops nothing."""
    if operation.scale_train:
        return layer.add("Identity", x)
    return layer.add("Mul", x, layer.constant(1 - operation.ratio, "kept"))


@emits(activations.ELU)
def elu(layer: LayerNodes, operation: activations.ELU, x: str) -> str:
    """Say ELU."""
    return layer.add("Elu", x, alpha=float(operation.alpha))


@emits(activations.Exp)
def exp(layer: LayerNodes, operation: activations.Exp, x: str) -> str:
    """Say Exp as Caffe computes it: base ^ shift * e ^ (log(base) * scale * x)."""
    rate = log(operation.base) * operation.scale
    if rate != 1:
        x = layer.add("Mul", x, layer.constant(rate, "scale"))
    y = layer.add("Exp", x)
    if operation.shift != 0:
        y = layer.add("Mul", y, layer.constant(_power(operation.base, operation.shift), "factor"))
    return y


@emits(activations.Insanity)
def insanity(layer: LayerNodes, operation: activations.Insanity, x: str) -> str:
    """Say Insanity without chance."""
    lower, upper = operation.lower, operation.upper
    divisor = (upper - lower) / (log(abs(upper)) - log(abs(lower))) if upper != lower else upper
    return layer.add("LeakyRelu", x, alpha=1 / divisor)


@emits(activations.Log)
def log_(layer: LayerNodes, operation: activations.Log, x: str) -> str:
    """Say Log."""
    y = layer.add("Log", _affine(layer, x, operation.scale, operation.shift))
    factor = 1 / log(operation.base)
    return y if factor == 1 else layer.add("Mul", y, layer.constant(factor, "factor"))


@emits(activations.NegReLU)
def neg_relu(layer: LayerNodes, operation: activations.NegReLU, x: str) -> str:
    """Say NegReLU."""
    zero = layer.constant(0, "zero")
    y = layer.add("Min", x, zero)
    if operation.negative_slope == 0:
        return y
    slope = layer.constant(operation.negative_slope, "slope")
    return layer.add("Add", y, layer.add("Mul", layer.add("Max", x, zero), slope))


@emits(activations.Noise)
def noise(layer: LayerNodes, operation: activations.Noise, x: str) -> str:
    """Say a Noise that adds none."""
    return layer.add("Identity", x)


@emits(activations.Power)
def power(layer: LayerNodes, operation: activations.Power, x: str) -> str:
    """Say Power; where nothing of x is left in it, it is a constant, as in Caffe."""
    if operation.power * operation.scale == 0:
        value = 1.0 if operation.power == 0 else _power(operation.shift, operation.power)
        return layer.add("Expand", layer.constant(value, "value"), layer.add("Shape", x))
    y = _affine(layer, x, operation.scale, operation.shift)
    return y if operation.power == 1 else layer.add("Pow", y, layer.constant(operation.power, "power"))


@emits(activations.PReLU)
def prelu(layer: LayerNodes, operation: activations.PReLU, x: str) -> str:
    """Say PReLU."""
    channels = layer.blob_shape(0)[:1]
    spatial = (1,) * (len(layer.shape(x)) - 2)
    return layer.add("PRelu", x, layer.weight(0, (1,) if operation.channel_shared else (*channels, *spatial)))


@emits(activations.ReLU)
def relu(layer: LayerNodes, operation: activations.ReLU, x: str) -> str:
    """Say ReLU."""
    return _relu(layer, x, operation.negative_slope)


@emits(activations.ReLU6)
def relu6(layer: LayerNodes, operation: activations.ReLU6, x: str) -> str:
    """Say ReLU6."""
    six = layer.constant(6, "max")
    if operation.negative_slope == 0:
        return layer.add("Clip", x, layer.constant(0, "min"), six)
    return layer.add("Min", _relu(layer, x, operation.negative_slope), six)


@emits(activations.Sigmoid)
def sigmoid(layer: LayerNodes, operation: activations.Sigmoid, x: str) -> str:
    """Say Sigmoid."""
    return layer.add("Sigmoid", x)


@emits(activations.SignedPower)
def signed_power(layer: LayerNodes, operation: activations.SignedPower, x: str) -> str:
    """Say SignedPower."""
    z = _affine(layer, x, operation.scale, operation.shift)
    size = layer.add("Pow", layer.add("Abs", z), layer.constant(operation.power, "power"))
    return layer.add("Mul", layer.add("Sign", z), size)


@emits(activations.SignedSqrt)
def signed_sqrt(layer: LayerNodes, operation: activations.SignedSqrt, x: str) -> str:
    """Say SignedSqrt."""
    return layer.add("Mul", layer.add("Sign", x), layer.add("Sqrt", layer.add("Abs", x)))


@emits(activations.Softmax)
def softmax(layer: LayerNodes, operation: activations.Softmax, x: str) -> str:
    """Say Softmax."""
    return layer.add("Softmax", x, axis=operation.axis)


@emits(activations.Swish)
def swish(layer: LayerNodes, operation: activations.Swish, x: str) -> str:
    """Say Swish."""
    z = x if operation.beta == 1 else layer.add("Mul", x, layer.constant(operation.beta, "beta"))
    return layer.add("Mul", x, layer.add("Sigmoid", z))


@emits(activations.TanH)
def tanh(layer: LayerNodes, operation: activations.TanH, x: str) -> str:
    """Say TanH."""
    return layer.add("Tanh", x)


@emits(activations.Threshold)
def threshold(layer: LayerNodes, operation: activations.Threshold, x: str) -> str:
    """Say Threshold."""
    return layer.floats(layer.add("Greater", x, layer.constant(operation.threshold, "threshold")))


def _affine(layer: LayerNodes, x: str, scale: float, shift: float) -> str:
    """Return shift + scale * x."""
    if scale != 1:
        x = layer.add("Mul", x, layer.constant(scale, "scale"))
    return x if shift == 0 else layer.add("Add", x, layer.constant(shift, "shift"))


def _power(base: float, exponent: float) -> float:
    """Return a power as C has it: infinite or NaN where Python raises."""
    with np.errstate(all="ignore"):
        return float(np.float64(base) ** np.float64(exponent))


def _relu(layer: LayerNodes, x: str, negative_slope: float) -> str:
    return layer.add("Relu", x) if negative_slope == 0 else layer.add("LeakyRelu", x, alpha=float(negative_slope))
