"""`constant`: one value everywhere."""

from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import refuse_sparse
from filler_server.fillers.distributions import Constant


class ConstantFiller(Filler):
    """The same value everywhere.

    x = value. Caffe: `ConstantFiller` in `include/caffe/filler.hpp`.
    """

    type = "constant"
    fields = ("value",)
    draws = False

    def __init__(self, param: FillerParameter) -> None:
        """Take any `value`, infinite and NaN as well, as Caffe does."""
        refuse_sparse(param)
        self._value = param.value

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have."""
        check_shape(shape)

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Constant:
        """Return the value."""
        return Constant(self._value)
