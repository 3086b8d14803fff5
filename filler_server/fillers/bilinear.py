"""`bilinear`: the kernel that makes a deconvolution interpolate linearly."""

from functools import lru_cache
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import ShapeError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import refuse_sparse
from filler_server.fillers.distributions import BilinearPattern


class BilinearFiller(Filler):
    """The same square plane of bilinear interpolation weights in every channel.

    x[n, c, i, j] = (1 - |i / f - m|) (1 - |j / f - m|), f = ceil(width / 2), m = (width - 1) / (2 f). A Deconvolution
    of kernel_size 2 s - s % 2, stride s, pad ceil((s - 1) / 2), group = num_output = channels upsamples by s with it.
    Caffe: `BilinearFiller` in `include/caffe/filler.hpp`.
    """

    type = "bilinear"
    fields = ()
    draws = False

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

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> BilinearPattern:
        """Return the plane."""
        return _pattern(shape[3], np.dtype(dtype))


@lru_cache(maxsize=64)
def _pattern(width: int, dtype: np.dtype[Any]) -> BilinearPattern:
    return BilinearPattern(width, dtype)
