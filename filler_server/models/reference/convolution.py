"""Convolutions, as products of matrices over patches."""

from math import prod
from typing import Any

import numpy as np

from filler_server.models.graph import Node
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.models.reference.windows import Windows, patches
from filler_server.net.operations import convolution as operations

_MOST_VALUES = 1 << 24
"""Values of patches that stand in memory at once, about."""


def _open_windows(operation: "operations.Convolution | operations.Deconvolution", node: Node) -> str | None:
    return "it is not known over how many axes its windows go" if operation.kernel is None else None


@computes(operations.Convolution, unless=_open_windows)
def convolution(operation: operations.Convolution, layer: Layer) -> tuple[Array, ...]:
    """Return each patch of each group times the weight of that group."""
    windows, group = _windows(operation), operation.group or 1
    weight = layer.blobs[0]
    matrices = weight.reshape(group, len(weight) // group, -1)
    tops = []
    for x in layer.bottoms:
        items = _items(x, operation.axis)
        top = np.empty((len(items), len(weight), *windows.over(items.shape[2:])), x.dtype)
        for item, result in zip(items, top, strict=True):
            _convolve(item, matrices, windows, result)
        tops.append(_finished(operation, layer, top, x))
    return tuple(tops)


@computes(operations.Deconvolution, unless=_open_windows)
def deconvolution(operation: operations.Deconvolution, layer: Layer) -> tuple[Array, ...]:
    """Return each value times the kernels of its channel, added up where they meet."""
    windows, group = _windows(operation), operation.group or 1
    weight = layer.blobs[0]
    outputs = weight.shape[1]
    # As [group, taps, outputs, inputs].
    shape = group, len(weight) // group, outputs, prod(windows.kernel)
    matrices = np.ascontiguousarray(weight.reshape(shape).transpose(0, 3, 2, 1))
    tops = []
    for x in layer.bottoms:
        items = _items(x, operation.axis)
        wide = windows.spread(items.shape[2:])
        middle = tuple(slice(pad, extent - pad) for extent, pad in zip(wide, windows.pad, strict=True))
        extents = (extent - 2 * pad for extent, pad in zip(wide, windows.pad, strict=True))
        top = np.empty((len(items), group * outputs, *extents), x.dtype)
        for item, result in zip(items, top, strict=True):
            spread = np.zeros((group, outputs, *wide), x.dtype)
            _deconvolve(item, matrices, windows, spread)
            result[...] = spread.reshape(-1, *wide)[(slice(None), *middle)]
        tops.append(_finished(operation, layer, top, x))
    return tuple(tops)


@computes(operations.Im2col, unless=_open_windows)
def im2col(operation: operations.Im2col, layer: Layer) -> Array:
    """Return the patches themselves, laid out along the axis of the channels."""
    windows = _windows(operation)
    items = _items(layer.bottom, operation.axis)
    columns = items.shape[1] * prod(windows.kernel)
    top = np.empty((len(items), columns, *windows.over(items.shape[2:])), items.dtype)
    for item, result in zip(items, top, strict=True):
        result[...] = patches(item, windows).reshape(result.shape)
    return top.reshape(*layer.bottom.shape[: operation.axis], *top.shape[1:])


@computes(operations.Local)
def local(operation: operations.Local, layer: Layer) -> Array:
    """Return the patch at each place times the weight of that place."""
    windows = _windows(operation)
    extents = windows.over(layer.bottom.shape[2:])
    weight = layer.blobs[0].reshape(operation.num_output, -1, prod(extents))
    top = np.empty((len(layer.bottom), operation.num_output, prod(extents)), layer.bottom.dtype)
    for item, result in zip(layer.bottom, top, strict=True):
        result[...] = np.einsum("ojp,jp->op", weight, patches(item, windows).reshape(-1, prod(extents)))
    if operation.bias:
        top += layer.blobs[1].reshape(top.shape[1:])
    return top.reshape(*top.shape[:2], *extents)


@computes(operations.CCCP)
def cascaded_pooling(operation: operations.CCCP, layer: Layer) -> Array:
    """Return the channels of each group at each place times the weight of that group."""
    x, group = layer.bottom, operation.group
    weight = layer.blobs[0].reshape(group, operation.num_output, -1)
    top = (weight @ x.reshape(len(x), group, -1, prod(x.shape[2:]))).reshape(len(x), -1, *x.shape[2:])
    return top + layer.blobs[1].reshape(-1, *(1,) * (x.ndim - 2)) if operation.bias else top


def _convolve(x: Array, matrices: Array, windows: Windows, result: Array) -> None:
    """Convolve one item into `result`, some rows of windows at a time."""
    group, _, inputs = matrices.shape
    columns = patches(x, windows)
    spatial = result.shape[1:]
    step = max(1, _MOST_VALUES // max(group * inputs * prod(spatial[1:]), 1))
    for first in range(0, spatial[0] if spatial else 1, step):
        rows: Any = (..., slice(first, first + step), *(slice(None),) * (len(spatial) - 1)) if spatial else ...
        matrix = columns[rows].reshape(group, inputs, -1)
        result[rows] = (matrices @ matrix).reshape(result[rows].shape)


def _deconvolve(x: Array, matrices: Array, windows: Windows, spread: Array) -> None:
    """Add to `spread` what one item makes of each tap, some taps at a time."""
    group, number, outputs, inputs = matrices.shape
    values = x.reshape(group, inputs, -1)
    step = max(1, _MOST_VALUES // max(group * outputs * values.shape[-1], 1))
    places = list(np.ndindex(*windows.kernel))
    for first in range(0, number, step):
        taps = matrices[:, first : first + step]
        parts = (taps.reshape(group, -1, inputs) @ values).reshape(*taps.shape[:3], *x.shape[1:])
        for index, place in enumerate(places[first : first + step]):
            at = tuple(
                slice(tap * gap, tap * gap + stride * (extent - 1) + 1, stride)
                for tap, gap, stride, extent in zip(place, windows.dilation, windows.stride, x.shape[1:], strict=True)
            )
            spread[(slice(None), slice(None), *at)] += parts[:, index]


def _items(x: Array, axis: int) -> Array:
    """Return an array as [N, C, *spatial], all axes before that of the channels as one."""
    axis %= x.ndim
    return x.reshape(prod(x.shape[:axis]), *x.shape[axis:])


def _finished(
    operation: operations.Convolution | operations.Deconvolution, layer: Layer, top: Array, bottom: Array
) -> Array:
    """Return the top with its bias and with the axes of the batch."""
    if operation.bias:
        top += layer.blobs[1].reshape(-1, *(1,) * (top.ndim - 2))
    spatial = [extent for extent in top.shape[2:] if not (operation.squeeze and extent == 1)]
    return top.reshape(*bottom.shape[: operation.axis], top.shape[1], *spatial)


def _windows(
    operation: operations.Convolution | operations.Deconvolution | operations.Im2col | operations.Local,
) -> Windows:
    return Windows(operation.kernel or (), operation.stride or (), operation.pad or (), operation.dilation or ())
