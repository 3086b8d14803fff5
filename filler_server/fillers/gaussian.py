"""`gaussian`: normal values, optionally most of them zero."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import check_axis, finite
from filler_server.fillers.distributions import Gaussian, MaskedGaussian


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
        mean, std = finite(param, "mean"), finite(param, "std")
        if std <= 0:
            raise FillerParameterError(
                f"std of filler type 'gaussian' must be above 0. Received: std={std}", field="std"
            )
        if param.sparse < -1:
            raise FillerParameterError(
                f"sparse of filler type 'gaussian' must be at least 0, or -1 for none. Received: sparse={param.sparse}",
                field="sparse",
            )
        self._normal = Gaussian(mean, std)
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

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Gaussian | MaskedGaussian:
        """Return N(mean, std^2), with sparse masked by a probability that is computed in `dtype`."""
        if self._sparse < 0:
            return self._normal
        real = np.dtype(dtype).type
        return MaskedGaussian(self._normal, float(real(self._sparse) / real(shape[0])))

    @classmethod
    def samples(cls) -> Sequence[FillerParameter]:
        """Return parameters with and without the mask."""
        return FillerParameter(type=cls.type), FillerParameter(type=cls.type, sparse=1)
