"""`msra`: normal values that keep the variance of signals through ReLU layers."""

from functools import lru_cache
from math import inf
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.fans import fan
from filler_server.fillers.parameters import refuse_sparse
from filler_server.fillers.shape import check_axis, check_shape
from filler_server.rng.stream import RandomStream, Runs, Values


class MSRAFiller(Filler):
    """Normal values of variance 2 / n, n being fan_in, fan_out or their average.

    x ~ N(0, std^2), std = sqrt(2 / n). He, Zhang, Ren and Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", 2015. Caffe: `MSRAFiller` in `include/caffe/filler.hpp`.
    """

    type = "msra"
    fields = ("variance_norm",)

    def __init__(self, param: FillerParameter) -> None:
        """Take `variance_norm`."""
        refuse_sparse(param)
        self._variance_norm = param.variance_norm

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape with at least one axis."""
        check_axis(check_shape(shape), "filler type 'msra'")

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write normal values."""
        random.gaussian(out, runs, 0.0, _std(shape, self._variance_norm, out.dtype))

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Mean 0 and the std of the formula."""
        return Moments(0.0, _std(shape, self._variance_norm, np.dtype(np.float64)), -inf, inf)


@lru_cache(maxsize=1024)
def _std(shape: tuple[int, ...], variance_norm: FillerParameter.VarianceNorm, dtype: np.dtype[Any]) -> float:
    return float(np.sqrt(dtype.type(2) / fan(shape, variance_norm, dtype.type)))
