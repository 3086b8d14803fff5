"""Normalizations, and Scale and Bias, which often follow them."""

import numpy as np

from filler_server.models.graph import Node
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.models.reference.windows import sums
from filler_server.net.operations import normalization as operations

_TINY = 1e-6
"""The summand of NormalizeChannels that keeps a norm from 0."""


@computes(operations.BatchNorm)
def batch_norm(operation: operations.BatchNorm, layer: Layer) -> Array:
    """Return (x - mean) / sqrt(variance + eps), by the statistics stored or by those of the batch."""
    x = layer.bottom
    if operation.use_global_stats:
        mean, variance, factor = (blob.reshape(-1) for blob in layer.blobs[:3])
        share = np.where(factor == 0, 0, 1 / factor)
        mean, variance = mean * share, variance * share
    else:
        mean, variance = _statistics(x)
    top = _normalized(x, mean, variance, operation.eps)
    if operation.scale_bias:
        scale, bias = layer.blobs[3:5]
        top = top * _by_channel(scale, x) + _by_channel(bias, x)
    return top


def _more_tops(operation: operations.BN, node: Node) -> str | None:
    return "forks differ in its second and third top" if len(node.tops) > 1 else None


@computes(operations.BN, unless=_more_tops)
def bn(operation: operations.BN, layer: Layer) -> Array:
    """Return scale * (x - mean) / sqrt(variance + eps) + bias."""
    x = layer.bottom
    scale, bias, *stored = layer.blobs
    match operation.statistics:
        case "stored":
            x = _normalized(x, stored[0], stored[1], operation.eps)
        case "batch":
            x = _normalized(x, *_statistics(x), operation.eps)
    return _by_channel(scale, x) * x + _by_channel(bias, x)


@computes(operations.LRN)
def local_response_normalization(operation: operations.LRN, layer: Layer) -> Array:
    """Return x / (k + alpha / n * sum of squares) ^ beta."""
    x, size = layer.bottom, operation.local_size
    side = (size - 1) // 2
    total, number = x * x, size if operation.region == "across_channels" else size * size
    for axis in (1,) if operation.region == "across_channels" else (2, 3):
        total = sums(total, axis, x.shape[axis], size, pad=side)
    return x * np.power(operation.k + operation.alpha / number * total, -operation.beta)


@computes(operations.MVN)
def mean_variance_normalization(operation: operations.MVN, layer: Layer) -> Array:
    """Return x - mean, divided by the standard deviation + eps."""
    x = layer.bottom.reshape(*layer.bottom.shape, *(1,) * (4 - layer.bottom.ndim))
    axes = (1, 2, 3) if operation.across_channels else (2, 3)
    centered = x - x.mean(axes, keepdims=True)
    if not operation.normalize_variance:
        return centered
    deviation = np.sqrt((centered * centered).mean(axes, keepdims=True))
    return centered / (deviation + operation.eps)


@computes(operations.Normalize)
def normalize(operation: operations.Normalize, layer: Layer) -> Array:
    """Return scale * x / sqrt(sum of x^2 + eps)."""
    x = layer.bottom
    axes = tuple(range(1, x.ndim)) if operation.across_spatial else (1,)
    norm = np.sqrt((x * x).sum(axes, keepdims=True) + operation.eps)
    return _by_channel(layer.blobs[0], x) * (x / norm)


@computes(operations.NormalizeChannels)
def normalize_channels(operation: operations.NormalizeChannels, layer: Layer) -> tuple[Array, ...]:
    """Return x by its norm over channels, and that norm."""
    x = layer.bottom
    if operation.norm == "l2":
        norm = np.sqrt((x * x).sum(1, keepdims=True) + _TINY)
    else:
        norm = np.abs(x).sum(1, keepdims=True) + _TINY
    return x / norm, norm


def _open_axis(operation: operations.Scale | operations.Bias, node: Node) -> str | None:
    return "it is not known which axes its second bottom covers" if operation.axis is None else None


@computes(operations.Bias, unless=_open_axis)
def bias(operation: operations.Bias, layer: Layer) -> Array:
    """Return x + b."""
    summand = layer.bottoms[1] if operation.from_bottom else layer.blobs[0]
    return layer.bottom + _over(operation, summand, layer.bottom)


@computes(operations.Scale, unless=_open_axis)
def scale(operation: operations.Scale, layer: Layer) -> Array:
    """Return a * x, or a * x + b."""
    x = layer.bottom
    factor = layer.bottoms[1] if operation.from_bottom else layer.blobs[0]
    top = x * _over(operation, factor, x)
    return top + _over(operation, layer.blobs[-1], x) if operation.bias else top


def _over(operation: operations.Scale | operations.Bias, values: Array, x: Array) -> Array:
    """Return values that cover the axes from the operation's on, in a shape that broadcasts over x."""
    axis = (operation.axis or 0) % max(x.ndim, 1)
    return values.reshape(*values.shape, *(1,) * (x.ndim - axis - values.ndim))


def _by_channel(values: Array, x: Array) -> Array:
    """Return one value for each channel, or one for all, in a shape that broadcasts over x."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and biased variance of each channel."""
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes)
    centered = x - _by_channel(mean, x)
    return mean, (centered * centered).mean(axes)


def _normalized(x: Array, mean: Array, variance: Array, eps: float) -> Array:
    return (x - _by_channel(mean, x)) / np.sqrt(_by_channel(variance, x) + eps)
