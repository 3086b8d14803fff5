"""The forward pass of Caffe's layers in NumPy, for the nets of the tests."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import LayerParameter, NetParameter

Array = NDArray[Any]


def forward(net: NetParameter, weights: dict[str, Array], data: Array) -> dict[str, Array]:
    """Every top of a net whose only input is `data`."""
    tops: dict[str, Array] = {}
    for layer in net.layer:
        blobs = [weights[name] for name in sorted(weights) if name.rpartition("/")[0] == layer.name]
        bottom = data if layer.type == "Input" else tops[layer.bottom[0]]
        tops[layer.top[0]] = LAYERS[layer.type](layer, blobs, bottom)
    return tops


def same(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    return x


def relu(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    return np.maximum(x, 0)


def softmax(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    power = np.exp(x - x.max(1, keepdims=True))
    return power / power.sum(1, keepdims=True)


def channels(values: Array) -> Array:
    return values.reshape(1, -1, 1, 1)


def convolution(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    parameter = layer.convolution_param
    pad, stride = sum(parameter.pad), max([1, *parameter.stride])
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    weight, groups = blobs[0], parameter.group
    windows = sliding_window_view(x, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    parts = zip(np.split(windows, groups, 1), np.split(weight, groups, 0), strict=True)
    out = np.concatenate([np.tensordot(part, kernel, ((1, 4, 5), (1, 2, 3))) for part, kernel in parts], 3)
    out = out.transpose(0, 3, 1, 2)
    return out + channels(blobs[1]) if parameter.bias_term else out


def max_pooling(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    size, stride = layer.pooling_param.kernel_size, layer.pooling_param.stride
    # Caffe rounds up: the last windows may reach over the edge.
    missing = [-(length - size) % stride for length in x.shape[2:]]
    x = np.pad(x, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), constant_values=-np.inf)
    return sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride].max((4, 5))


def inner_product(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    return x.reshape(len(x), -1) @ blobs[0].T + blobs[1]


def lrn(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    parameter = layer.lrn_param
    side = parameter.local_size // 2
    squares = np.pad(x * x, ((0, 0), (side, side), (0, 0), (0, 0)))
    total = sliding_window_view(squares, parameter.local_size, 1).sum(-1)
    return x / (parameter.k + parameter.alpha / parameter.local_size * total) ** parameter.beta


def batch_norm(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    mean, variance, factor = blobs
    return (x - channels(mean / factor)) / np.sqrt(channels(variance / factor) + layer.batch_norm_param.eps)


def scale(layer: LayerParameter, blobs: list[Array], x: Array) -> Array:
    return x * channels(blobs[0]) + channels(blobs[1])


LAYERS = {
    "Input": same,
    "Dropout": same,
    "ReLU": relu,
    "Softmax": softmax,
    "Convolution": convolution,
    "Pooling": max_pooling,
    "InnerProduct": inner_product,
    "LRN": lrn,
    "BatchNorm": batch_norm,
    "Scale": scale,
}
