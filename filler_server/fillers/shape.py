"""What shapes blobs have."""

import operator
from collections.abc import Sequence
from math import prod

from caffe_filler.errors import ShapeError

MAX_AXES = 32
"""Caffe's `kMaxBlobAxes`."""

MAX_COUNT = (2**63 - 1) // 8
"""The most values of a blob: as float64 they have 2^63 - 1 bytes at most. Caffe's own limit is 2^31 - 1 values."""


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple when a blob can have it. No axes make a scalar.

    Raises:
        ShapeError: more than 32 axes, a dimension that is no integer or below 1, or too many values.
    """
    try:
        dims = tuple(map(operator.index, shape))
    except TypeError:
        raise ShapeError(f"the dimensions of a blob are integers. Received: shape={list(shape)}") from None
    if len(dims) > MAX_AXES:
        raise ShapeError(f"a blob has at most {MAX_AXES} axes. Received: {len(dims)} axes")
    if min(dims, default=1) < 1:
        raise ShapeError(f"every dimension of a blob is at least 1. Received: shape={list(dims)}")
    if prod(dims) > MAX_COUNT:
        raise ShapeError(f"a blob has at most {MAX_COUNT} values. Received: shape={list(dims)}")
    return dims


def check_axis(shape: tuple[int, ...], reader: str) -> None:
    """Make sure that a shape has a first axis; `reader` says who reads it.

    Raises:
        ShapeError: it has no axes.
    """
    if not shape:
        raise ShapeError(f"{reader} needs a blob with at least one axis. Received: shape=[]")
