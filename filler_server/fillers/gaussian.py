"""`gaussian`: normal values, optionally most of them zero."""

from math import inf, sqrt

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.fans import Dtype
from filler_server.fillers.parameters import finite
from filler_server.fillers.shape import check_axis, check_shape
from filler_server.rng.stream import RandomStream, Runs, Values


class GaussianFiller(Filler):
    """Normal values; with sparse, all but about that many inputs of each output are zero.

    x ~ N(mean, std^2). With sparse >= 0, x is kept with probability sparse / shape[0] and else multiplied by 0, which
    makes -0.0 of a negative value, as in Caffe. The outputs are taken to be the first axis (Martens, "Deep learning
    via Hessian-free optimization", 2010). Caffe: `GaussianFiller` in `include/caffe/filler.hpp`.
    """

    type = "gaussian"
    fields = ("mean", "std", "sparse")

    def __init__(self, param: FillerParameter) -> None:
        """Take `mean`, `std` > 0, both finite, and `sparse` >= 0, or -1 for none."""
        self._mean, self._std = finite(param, "mean"), finite(param, "std")
        if self._std <= 0:
            raise FillerParameterError(
                f"std of filler type 'gaussian' must be above 0. Received: std={self._std}", field="std"
            )
        if param.sparse < -1:
            raise FillerParameterError(
                f"sparse of filler type 'gaussian' must be at least 0, or -1 for none. Received: sparse={param.sparse}",
                field="sparse",
            )
        self._sparse = param.sparse

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have; sparse needs shape[0] >= sparse."""
        check_shape(shape)
        if self._sparse < 0:
            return
        check_axis(shape, "sparse of filler type 'gaussian'")
        if self._sparse > shape[0]:
            raise FillerParameterError(
                "sparse of filler type 'gaussian' must not exceed the first dimension. "
                f"Received: sparse={self._sparse}, shape={list(shape)}",
                field="sparse",
            )

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write normal values, then multiply by the mask."""
        random.gaussian(out, runs, self._mean, self._std)
        if self._sparse >= 0:
            mask = np.empty(out.shape, np.bool_)
            random.bernoulli(mask, runs, _kept(self._sparse, shape, out.dtype.type))
            out *= mask

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """With the mask, the mean is p mean and the variance p (std^2 + mean^2) - (p mean)^2."""
        kept = _kept(self._sparse, shape, np.float64) if self._sparse >= 0 else 1.0
        mean = kept * self._mean
        std = sqrt(kept * (self._std**2 + (1 - kept) * self._mean**2))
        return Moments(mean, std, -inf if kept else 0.0, inf if kept else 0.0)


def _kept(sparse: int, shape: tuple[int, ...], dtype: Dtype) -> float:
    """The probability that a value is kept, computed in `dtype`."""
    return float(dtype(sparse) / dtype(shape[0]))
