"""Operations that work value by value, and Softmax."""

import math

import numpy as np

from filler_server.models.reference.registry import Array, Layer, computes, random_reason
from filler_server.net.operations import activations as operations


@computes(operations.AbsVal)
def absolute_value(operation: operations.AbsVal, layer: Layer) -> Array:
    """Return |x|."""
    return np.abs(layer.bottom)


@computes(operations.BNLL)
def binomial_normal_log_likelihood(operation: operations.BNLL, layer: Layer) -> Array:
    """Return log(1 + exp(x)), without an overflow."""
    x = layer.bottom
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@computes(operations.Clip)
def clip(operation: operations.Clip, layer: Layer) -> Array:
    """Return min(max(x, lower), upper)."""
    return np.minimum(np.maximum(layer.bottom, operation.lower), operation.upper)


@computes(operations.Dropout, unless=random_reason)
def dropout(operation: operations.Dropout, layer: Layer) -> Array:
    """Return x, or with scale_train off x times what training leaves of it."""
    return layer.bottom if operation.scale_train else layer.bottom * (1 - operation.ratio)


@computes(operations.ELU)
def exponential_linear_unit(operation: operations.ELU, layer: Layer) -> Array:
    """Return max(x, 0) + alpha * (exp(min(x, 0)) - 1)."""
    x = layer.bottom
    return np.maximum(x, 0) + operation.alpha * np.expm1(np.minimum(x, 0))


@computes(operations.Exp)
def exponential(operation: operations.Exp, layer: Layer) -> Array:
    """Return base ^ (shift + scale * x)."""
    log_base = math.log(operation.base)
    # NumPy's exponential becomes infinite where Python's raises.
    return np.exp(log_base * operation.scale * layer.bottom) * float(np.exp(log_base * operation.shift))


@computes(operations.Insanity, unless=random_reason)
def insanity(operation: operations.Insanity, layer: Layer) -> Array:
    """Return max(x, 0) + min(x, 0) / s."""
    x, lower, upper = layer.bottom, operation.lower, operation.upper
    return np.maximum(x, 0) + np.minimum(x, 0) / ((upper - lower) / math.log(abs(upper / lower)))


@computes(operations.Log)
def logarithm(operation: operations.Log, layer: Layer) -> Array:
    """Return log(shift + scale * x) to the base."""
    return np.log(operation.shift + operation.scale * layer.bottom) / math.log(operation.base)


@computes(operations.NegReLU)
def negative_relu(operation: operations.NegReLU, layer: Layer) -> Array:
    """Return min(x, 0) + negative_slope * max(x, 0)."""
    x = layer.bottom
    return np.minimum(x, 0) + operation.negative_slope * np.maximum(x, 0)


@computes(operations.Noise, unless=random_reason)
def noise(operation: operations.Noise, layer: Layer) -> Array:
    """Return x, as there is noise in training alone."""
    return layer.bottom


@computes(operations.Power)
def power(operation: operations.Power, layer: Layer) -> Array:
    """Return (shift + scale * x) ^ power; one constant where power * scale is 0, whatever x is."""
    x = layer.bottom
    if operation.power * operation.scale == 0:
        return np.full_like(x, np.power(x.dtype.type(operation.shift), operation.power))
    # Caffe adds no 0, which would take the sign of -0.
    moved = operation.scale * x + operation.shift if operation.shift else operation.scale * x
    return moved if operation.power == 1 else np.power(moved, operation.power)


@computes(operations.PReLU)
def parametric_relu(operation: operations.PReLU, layer: Layer) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    x = layer.bottom
    slope = layer.blobs[0].reshape(-1, *(1,) * (x.ndim - 2))
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


@computes(operations.ReLU)
def relu(operation: operations.ReLU, layer: Layer) -> Array:
    """Return max(x, 0) + negative_slope * min(x, 0)."""
    return _relu(layer.bottom, operation.negative_slope)


@computes(operations.ReLU6)
def relu6(operation: operations.ReLU6, layer: Layer) -> Array:
    """Return at most 6 of a ReLU."""
    return np.minimum(_relu(layer.bottom, operation.negative_slope), 6)


@computes(operations.Sigmoid)
def sigmoid(operation: operations.Sigmoid, layer: Layer) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return logistic(layer.bottom)


@computes(operations.SignedPower)
def signed_power(operation: operations.SignedPower, layer: Layer) -> Array:
    """Return sign(z) * |z| ^ power, z = shift + scale * x."""
    moved = operation.shift + operation.scale * layer.bottom
    return np.sign(moved) * np.power(np.abs(moved), operation.power)


@computes(operations.SignedSqrt)
def signed_sqrt(operation: operations.SignedSqrt, layer: Layer) -> Array:
    """Return sign(x) * sqrt(|x|)."""
    return np.sign(layer.bottom) * np.sqrt(np.abs(layer.bottom))


@computes(operations.Softmax)
def softmax(operation: operations.Softmax, layer: Layer) -> Array:
    """Return exp(x) / sum of exp(x) along the axis."""
    return probabilities(layer.bottom, operation.axis)


@computes(operations.Swish)
def swish(operation: operations.Swish, layer: Layer) -> Array:
    """Return x * sigmoid(beta * x)."""
    return layer.bottom * logistic(operation.beta * layer.bottom)


@computes(operations.TanH)
def tanh(operation: operations.TanH, layer: Layer) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(layer.bottom)


@computes(operations.Threshold)
def threshold(operation: operations.Threshold, layer: Layer) -> Array:
    """Return 1 where x > threshold, else 0."""
    return (layer.bottom > operation.threshold).astype(layer.bottom.dtype)


def logistic(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without an overflow."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


def probabilities(x: Array, axis: int) -> Array:
    """Return the softmax along an axis."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _relu(x: Array, slope: float) -> Array:
    positive = np.maximum(x, 0)
    return positive if slope == 0 else positive + slope * np.minimum(x, 0)
