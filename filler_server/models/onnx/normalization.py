"""Normalizations, and Scale and Bias, which often follow them."""

from collections.abc import Sequence

import numpy as np

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import normalization

_NORM_EPS = 1e-6


@emits(normalization.BatchNorm)
def batch_norm(layer: LayerNodes, operation: normalization.BatchNorm, x: str) -> str:
    """Say BatchNorm; the stored sums are divided by their factor here, in single precision as in Caffe."""
    if not operation.use_global_stats:
        y = _by_own_statistics(layer, x, operation.eps)
        if operation.scale_bias:
            y = layer.add("Mul", y, layer.weight(3, _by_channel(layer, x)))
            y = layer.add("Add", y, layer.weight(4, _by_channel(layer, x)))
        return y
    mean, variance, factor = (layer.values(index).reshape(-1) for index in range(3))
    rate = np.float32(0) if factor[0] == 0 else np.float32(1) / factor[0]
    if operation.scale_bias:
        scale, bias = layer.weight(3, mean.shape), layer.weight(4, mean.shape)
    else:
        scale, bias = layer.constant(np.ones_like(mean), "scale"), layer.constant(np.zeros_like(mean), "bias")
    statistics = layer.constant(mean * rate, "mean"), layer.constant(variance * rate, "variance")
    return layer.add("BatchNormalization", x, scale, bias, *statistics, epsilon=float(operation.eps))


@emits(normalization.BN)
def bn(layer: LayerNodes, operation: normalization.BN, x: str) -> str:
    """Say BN."""
    channels = (layer.blob_shape(0)[1],)
    if operation.statistics == "stored":
        parameters = [layer.weight(index, channels) for index in range(4)]
        return layer.add("BatchNormalization", x, *parameters, epsilon=float(operation.eps))
    if operation.statistics == "batch":
        x = _by_own_statistics(layer, x, operation.eps)
    y = layer.add("Mul", x, layer.weight(0, _by_channel(layer, layer.node.bottoms[0])))
    return layer.add("Add", y, layer.weight(1, _by_channel(layer, layer.node.bottoms[0])))


@emits(normalization.LRN)
def lrn(layer: LayerNodes, operation: normalization.LRN, x: str) -> str:
    """Say LRN; within a channel it is made of an average of squares, whose padding counts."""
    size, alpha, beta = operation.local_size, operation.alpha, operation.beta
    if operation.region == "across_channels":
        return layer.add("LRN", x, size=size, alpha=float(alpha), beta=float(beta), bias=float(operation.k))
    mean = layer.add(
        "AveragePool",
        layer.add("Mul", x, x),
        kernel_shape=[size, size],
        strides=[1, 1],
        pads=[(size - 1) // 2] * 4,
        count_include_pad=1,
    )
    total = layer.add("Add", layer.add("Mul", mean, layer.constant(alpha, "alpha")), layer.constant(operation.k, "k"))
    return layer.add("Mul", x, layer.add("Pow", total, layer.constant(-beta, "power")))


@emits(normalization.MVN)
def mvn(layer: LayerNodes, operation: normalization.MVN, x: str) -> str:
    """Say MVN; eps is added to the standard deviation."""
    shape = layer.shape(x)
    if len(shape) < 4:
        x = layer.reshaped(x, [0] * len(shape) + [1] * (4 - len(shape)))
    axes = [1, 2, 3] if operation.across_channels else [2, 3]
    centered = layer.add("Sub", x, layer.reduced("ReduceMean", x, axes))
    if not operation.normalize_variance:
        return centered
    variance = layer.reduced("ReduceMean", layer.add("Mul", centered, centered), axes)
    deviation = layer.add("Add", layer.add("Sqrt", variance), layer.constant(operation.eps, "eps"))
    return layer.add("Div", centered, deviation)


@emits(normalization.Normalize)
def normalize(layer: LayerNodes, operation: normalization.Normalize, x: str) -> str:
    """Say Normalize."""
    axes = range(1, len(layer.shape(x))) if operation.across_spatial else [1]
    squares = layer.add("Add", layer.reduced("ReduceSumSquare", x, axes), layer.constant(operation.eps, "eps"))
    y = layer.add("Div", x, layer.add("Sqrt", squares))
    return layer.add("Mul", y, layer.weight(0, () if operation.channel_shared else _by_channel(layer, x)))


@emits(normalization.NormalizeChannels)
def normalize_channels(layer: LayerNodes, operation: normalization.NormalizeChannels, x: str) -> list[str]:
    """Say NormalizeChannels."""
    eps = layer.constant(_NORM_EPS, "eps")
    if operation.norm == "l2":
        norm = layer.add("Sqrt", layer.add("Add", layer.reduced("ReduceSumSquare", x, [1]), eps))
    else:
        norm = layer.add("Add", layer.reduced("ReduceL1", x, [1]), eps)
    return [layer.add("Div", x, norm), norm][: len(layer.node.tops)]


@emits(normalization.Bias)
def bias(layer: LayerNodes, operation: normalization.Bias, x: str, *further: str) -> str:
    """Say Bias."""
    added = _along(layer, x, operation.axis, further[0]) if operation.from_bottom else None
    return layer.add("Add", x, added or _blob_along(layer, x, operation.axis, 0))


@emits(normalization.Scale)
def scale(layer: LayerNodes, operation: normalization.Scale, x: str, *further: str) -> str:
    """Say Scale."""
    factor = _along(layer, x, operation.axis, further[0]) if operation.from_bottom else None
    y = layer.add("Mul", x, factor or _blob_along(layer, x, operation.axis, 0))
    if operation.bias:
        shape = layer.shape(further[0]) if operation.from_bottom else layer.blob_shape(0)
        y = layer.add("Add", y, _blob_along(layer, x, operation.axis, len(layer.node.blobs) - 1, len(shape)))
    return y


def _by_own_statistics(layer: LayerNodes, x: str, eps: float) -> str:
    """Return a value normalized for each channel by its mean and its biased variance."""
    axes = [axis for axis in range(len(layer.shape(x))) if axis != 1]
    centered = layer.add("Sub", x, layer.reduced("ReduceMean", x, axes))
    variance = layer.reduced("ReduceMean", layer.add("Mul", centered, centered), axes)
    deviation = layer.add("Sqrt", layer.add("Add", variance, layer.constant(eps, "eps")))
    return layer.add("Div", centered, deviation)


def _by_channel(layer: LayerNodes, x: str) -> Sequence[int]:
    """Return the shape in which one number for each channel meets a value."""
    shape = layer.shape(x)
    return (*layer.known(shape[1:2], x), *(1,) * (len(shape) - 2))


def _along(layer: LayerNodes, x: str, axis: int | None, other: str) -> str:
    """Return a bottom in the shape in which it meets the axes of another one from some axis on."""
    shape, own = layer.shape(x), layer.shape(other)
    if not own:
        return other
    if axis is None:
        raise NoCounterpart("it is not known which axes its second bottom covers")
    further = len(shape) - axis - len(own)
    return layer.reshaped(other, [0] * len(own) + [1] * further) if further else other


def _blob_along(layer: LayerNodes, x: str, axis: int | None, index: int, axes: int | None = None) -> str:
    """Return a blob in that shape."""
    own = layer.blob_shape(index)
    if axis is None:
        raise NoCounterpart("it is not known which axes its second bottom covers")
    further = len(layer.shape(x)) - axis - len(own)
    return layer.weight(index, (*own, *(1,) * further) if own else ())
