"""`uniform`: every value of an interval equally likely."""

from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import finite, refuse_sparse
from filler_server.fillers.distributions import Uniform


class UniformFiller(Filler):
    """Uniform values between min and max.

    x ~ U[min, max]. Caffe: `UniformFiller` in `include/caffe/filler.hpp`.
    """

    type = "uniform"
    fields = ("min", "max")

    def __init__(self, param: FillerParameter) -> None:
        """Take `min` and `max`, both finite, min <= max."""
        refuse_sparse(param)
        low, high = finite(param, "min"), finite(param, "max")
        if low > high:
            raise FillerParameterError(
                f"min of filler type 'uniform' must not exceed max. Received: min={low}, max={high}", field="min"
            )
        self._low, self._high = low, high

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have."""
        check_shape(shape)

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Uniform:
        """Return U[min, max]."""
        return Uniform(self._low, self._high)
