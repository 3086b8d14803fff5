"""`xavier`: uniform values that keep the variance of signals from layer to layer."""

from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.fans import fan
from filler_server.fillers.parameters import refuse_sparse
from filler_server.fillers.shape import check_axis, check_shape
from filler_server.rng.stream import RandomStream, Runs, Values


class XavierFiller(Filler):
    """Uniform values of variance 1 / n, n being fan_in, fan_out or their average.

    x ~ U[-scale, scale], scale = sqrt(3 / n). Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", 2010. Caffe: `XavierFiller` in `include/caffe/filler.hpp`.
    """

    type = "xavier"
    fields = ("variance_norm",)

    def __init__(self, param: FillerParameter) -> None:
        """Take `variance_norm`."""
        refuse_sparse(param)
        self._variance_norm = param.variance_norm

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape with at least one axis."""
        check_axis(check_shape(shape), "filler type 'xavier'")

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write uniform values."""
        scale = _scale(shape, self._variance_norm, out.dtype)
        random.uniform(out, runs, -scale, scale)

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Std is scale / sqrt(3); the bounds hold for float32 and float64."""
        single, double = (_scale(shape, self._variance_norm, np.dtype(dtype)) for dtype in (np.float32, np.float64))
        bound = max(single, double)
        return Moments(0.0, double / sqrt(3), -bound, bound)


@lru_cache(maxsize=1024)
def _scale(shape: tuple[int, ...], variance_norm: FillerParameter.VarianceNorm, dtype: np.dtype[Any]) -> float:
    return float(np.sqrt(dtype.type(3) / fan(shape, variance_norm, dtype.type)))
