"""`bilinear`: the kernel that makes a deconvolution interpolate linearly."""

from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import ShapeError
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.fans import Dtype
from filler_server.fillers.parameters import refuse_sparse
from filler_server.fillers.shape import check_shape
from filler_server.rng.stream import RandomStream, Runs, Values

_SMALL_PLANE = 1 << 14
"""Planes of at most so many values are computed once and copied."""

_PATTERN = 1 << 12
"""At least so many values are copied at a time."""


class BilinearFiller(Filler):
    """The same square plane of bilinear interpolation weights in every channel.

    x[n, c, i, j] = (1 - |i / f - m|) (1 - |j / f - m|), f = ceil(width / 2), m = (width - 1) / (2 f). A Deconvolution
    of kernel_size 2 s - s % 2, stride s, pad ceil((s - 1) / 2), group = num_output = channels upsamples by s with it.
    Caffe: `BilinearFiller` in `include/caffe/filler.hpp`.
    """

    type = "bilinear"
    fields = ()

    def __init__(self, param: FillerParameter) -> None:
        """Take no parameter."""
        refuse_sparse(param)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept shapes of four axes, the last two equal."""
        check_shape(shape)
        if len(shape) != 4:
            raise ShapeError(f"filler type 'bilinear' needs a blob of four axes. Received: shape={list(shape)}")
        if shape[2] != shape[3]:
            raise ShapeError(f"filler type 'bilinear' needs height == width. Received: shape={list(shape)}")

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write the plane over and over; `random` is not used."""
        from filler_server.fillers import kernels

        width = shape[3]
        if width * width <= _SMALL_PLANE:
            kernels.repeat(out, runs, _planes(width, out.dtype), width * width)
        else:
            kernels.outer(out, runs, _table(width, out.dtype.type))

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Those of the plane itself; the bounds hold for float32 and float64."""
        single, double = _table(shape[3], np.float32), _table(shape[3], np.float64)
        mean = float(np.mean(double)) ** 2
        square = float(np.mean(double * double)) ** 2
        low = min(float(single.min() * single.min()), float(double.min() * double.min()))
        high = max(float(single.max() * single.max()), float(double.max() * double.max()))
        return Moments(mean, sqrt(max(square - mean * mean, 0.0)), low, high)


@lru_cache(maxsize=16)
def _planes(width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Planes of one width, one after the other, `_PATTERN` values or more."""
    table = _table(width, dtype.type)
    return np.tile(np.multiply.outer(table, table).ravel(), -(-_PATTERN // (width * width)))


def _table(width: int, dtype: Dtype) -> NDArray[Any]:
    """The weights of one axis: 1 - |x / f - m| in `dtype`, with m computed in double."""
    f = -(-width // 2)
    m = dtype((width - 1) / (2.0 * f))
    x: NDArray[Any] = np.arange(width).astype(dtype)
    weights: NDArray[Any] = dtype(1) - np.abs(x / dtype(f) - m)
    return weights
