"""Operations that change height and width."""

import numpy as np

from filler_server.models.graph import Node
from filler_server.models.reference.combination import whole_numbers
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import resizing as operations


def _open_size(operation: operations.Interp | operations.Upsample, node: Node) -> str | None:
    return "its size is not known" if None in operation.size else None


@computes(operations.Interp, unless=_open_size)
def interp(operation: operations.Interp, layer: Layer) -> Array:
    """Return bilinear interpolation with aligned corners of what a crop leaves."""
    height, width = layer.bottom.shape[-2:]
    x = layer.bottom[
        ..., -operation.pad_beg : height + operation.pad_end, -operation.pad_beg : width + operation.pad_end
    ]
    for axis, size in zip((-2, -1), operation.size, strict=True):
        x = _stretched(x, axis, size or 0)
    return x


@computes(operations.Upsample, unless=_open_size)
def upsample(operation: operations.Upsample, layer: Layer) -> Array:
    """Return values back at the places that a mask tells, or each value repeated."""
    x = layer.bottom
    if not operation.mask:
        return x.repeat(operation.scale or 1, -2).repeat(operation.scale or 1, -1)
    height, width = (size or 0 for size in operation.size)
    places = whole_numbers(layer.bottoms[1], height * width, "a place in the mask of Upsample")
    top = np.zeros((*x.shape[:2], height * width), x.dtype)
    planes = top.reshape(-1, height * width)
    for plane, values, where in zip(planes, x.reshape(len(planes), -1), places.reshape(len(planes), -1), strict=True):
        # Of several values for one place the last one counts.
        plane[where] = values
    return top.reshape(*x.shape[:2], height, width)


def _stretched(x: Array, axis: int, size: int) -> Array:
    """Return an array with another extent along an axis, its first and last values at the ends."""
    extent = x.shape[axis]
    if size == extent:
        return x
    step = (extent - 1) / (size - 1) if size > 1 else 0.0
    places = np.arange(size) * step
    before = np.minimum(places.astype(np.intp), extent - 1)
    after = np.minimum(before + 1, extent - 1)
    share = (places - before).astype(x.dtype).reshape(-1, *(1,) * (-1 - axis))
    return (1 - share) * x.take(before, axis) + share * x.take(after, axis)
