"""The shapes that a blob can have, in Caffe and here."""

import operator
from collections.abc import Sequence
from math import prod

from caffe_filler.errors import ShapeError

MAX_AXES = 32
"""The most axes of a blob: Caffe's `kMaxBlobAxes`, and the library's own limit."""

CAFFE_MAX_COUNT = 2**31 - 1
"""The most values of a blob in Caffe, whose count is an int. Nets are held to it; single blobs are not."""

MAX_COUNT = (2**63 - 1) // 8
"""The most values of a blob here: as float64 they have 2^63 - 1 bytes at most."""

MAX_ARRAY_AXES = 64
"""The most axes of an array of NumPy or a tensor of PyTorch."""

_SHOWN = 24


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple when a blob can have it. No axes make a scalar.

    Raises:
        ShapeError: more than `MAX_AXES` axes or `MAX_COUNT` values, or a dimension that is no integer or below 1.
    """
    dims = _integers(shape)
    if len(dims) > MAX_AXES:
        raise ShapeError(f"a blob has at most {MAX_AXES} axes. Received: {len(dims)} axes")
    if min(dims, default=1) < 1:
        raise ShapeError(f"every dimension of a blob is at least 1. Received: shape={list(dims)}")
    if prod(dims) > MAX_COUNT:
        raise ShapeError(f"a blob has at most {MAX_COUNT} values. Received: shape={list(dims)}")
    return dims


def check_array_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple when an array of NumPy can have it, which may be empty.

    Raises:
        ShapeError: more than `MAX_ARRAY_AXES` axes or `MAX_COUNT` values, or a dimension that is no integer, below 0 or
            above `MAX_COUNT`.
    """
    dims = _integers(shape)
    if len(dims) > MAX_ARRAY_AXES:
        raise ShapeError(f"an array has at most {MAX_ARRAY_AXES} axes. Received: {len(dims)} axes")
    if min(dims, default=0) < 0 or prod(max(dim, 1) for dim in dims) > MAX_COUNT:
        shown = ", ".join(str(dim)[:_SHOWN] for dim in dims)
        raise ShapeError(f"an array has dimensions from 0 and at most {MAX_COUNT} values. Received: shape=[{shown}]")
    return dims


def _integers(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        dims = tuple(map(operator.index, shape))
    except TypeError:
        dims = None
    if dims is None or bool in map(type, shape):
        raise ShapeError(f"the dimensions of a blob are integers. Received: shape={list(shape)}")
    return dims
