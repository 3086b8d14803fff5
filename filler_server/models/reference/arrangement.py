"""Operations that arrange values anew."""

from math import prod

import numpy as np

from filler_server.models.graph import Node
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import arrangement as operations


@computes(operations.Axpy)
def axpy(operation: operations.Axpy, layer: Layer) -> Array:
    """Return a * x + z, one a for each item and channel."""
    factors, x, summand = layer.bottoms
    return _per_channel(factors, x) * x + summand


@computes(operations.BroadcastMul)
def broadcast_mul(operation: operations.BroadcastMul, layer: Layer) -> Array:
    """Return the larger bottom times the other, which has one factor for each item and channel."""
    factors, x = sorted(layer.bottoms, key=lambda array: (array.size, array.ndim))
    return _per_channel(factors, x) * x


@computes(operations.Concat)
def concat(operation: operations.Concat, layer: Layer) -> Array:
    """Return the bottoms end to end."""
    bottoms = layer.bottoms
    if operation.flatten:
        bottoms = tuple(x.reshape(len(x), -1, *(1,) * (x.ndim - 2)) for x in bottoms)
    return np.concatenate(bottoms, operation.axis)


@computes(operations.Crop)
def crop(operation: operations.Crop, layer: Layer) -> Array:
    """Return the first bottom cut to the extents of the second."""
    x, reference = layer.bottoms
    start = operation.axis % x.ndim
    offsets = operation.offsets or (0,)
    offsets = offsets * (x.ndim - start) if len(offsets) == 1 else offsets
    places = (
        slice(offset, offset + reference.shape[axis])
        for axis, offset in zip(range(start, x.ndim), offsets, strict=True)
    )
    return x[(*(slice(None),) * start, *places)]


@computes(operations.Flatten)
def flatten(operation: operations.Flatten, layer: Layer) -> Array:
    """Return the axes from `axis` to `end_axis` as one."""
    x = layer.bottom
    start, end = operation.axis % x.ndim, _after(operation.end_axis, x.ndim)
    return x.reshape(*x.shape[:start], prod(x.shape[start:end]), *x.shape[end:])


@computes(operations.Flip)
def flip(operation: operations.Flip, layer: Layer) -> Array:
    """Return values in reverse order along width and height."""
    axes = tuple(axis for axis, flips in ((-1, operation.width), (-2, operation.height)) if flips)
    return np.flip(layer.bottom, axes)


@computes(operations.Identity)
def identity(operation: operations.Identity, layer: Layer) -> tuple[Array, ...]:
    """Return the bottoms."""
    return layer.bottoms


@computes(operations.Permute)
def permute(operation: operations.Permute, layer: Layer) -> Array:
    """Return the axes in another order."""
    rest = (axis for axis in range(layer.bottom.ndim) if axis not in operation.order)
    return layer.bottom.transpose(*operation.order, *rest)


@computes(operations.Reshape)
def reshape(operation: operations.Reshape, layer: Layer) -> Array:
    """Return other extents for the same values."""
    x = layer.bottom
    start = operation.axis if operation.axis >= 0 else x.ndim + 1 + operation.axis
    end = x.ndim if operation.num_axes is None else start + operation.num_axes
    dims = [x.shape[start + index] if dim == 0 else dim for index, dim in enumerate(operation.dims)]
    return x.reshape(*x.shape[:start], *dims, *x.shape[end:])


@computes(operations.Reverse)
def reverse(operation: operations.Reverse, layer: Layer) -> Array:
    """Return values in reverse order along the axis."""
    return np.flip(layer.bottom, operation.axis)


@computes(operations.ShuffleChannel)
def shuffle_channel(operation: operations.ShuffleChannel, layer: Layer) -> Array:
    """Return channels as a matrix with a row for each group, transposed."""
    x = layer.bottom
    groups = x.reshape(len(x), operation.group, -1, *x.shape[2:])
    return groups.swapaxes(1, 2).reshape(x.shape)


def _open_points(operation: operations.Slice, node: Node) -> str | None:
    return "it is not known where it cuts" if None in operation.points else None


@computes(operations.Slice, unless=_open_points)
def slice_(operation: operations.Slice, layer: Layer) -> tuple[Array, ...]:
    """Return pieces of the bottom."""
    points = [point for point in operation.points if point is not None]
    return tuple(np.split(layer.bottom, points, operation.axis))


@computes(operations.Split)
def split(operation: operations.Split, layer: Layer) -> tuple[Array, ...]:
    """Return the bottom as often as it is wanted."""
    return layer.bottoms * layer.num_tops


@computes(operations.Tile)
def tile(operation: operations.Tile, layer: Layer) -> Array:
    """Return the bottom several times, end to end."""
    return np.concatenate([layer.bottom] * operation.tiles, operation.axis)


def _per_channel(factors: Array, x: Array) -> Array:
    """Return factors, one for each item and channel, in a shape that broadcasts over an array."""
    return factors.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


def _after(axis: int, axes: int) -> int:
    """Return the axis after one that may count from the end."""
    return (axis if axis >= 0 else axes + axis) + 1
