"""`positive_unitball`: rows of positive values that sum to one."""

from math import prod
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import check_axis, refuse_sparse
from filler_server.fillers.distributions import RowNormalizedUniform


class PositiveUnitballFiller(Filler):
    """Positive values, each row of the first axis summing to 1.

    x[i, j] = u[i, j] / sum over k of u[i, k], u ~ U[0, 1], the sum in the blob's type, from 0, one by one in index
    order. A row of zeros only, where Caffe divides 0 by 0, becomes 1 / (its length). Caffe: `PositiveUnitballFiller`
    in `include/caffe/filler.hpp`.
    """

    type = "positive_unitball"
    fields = ()
    sums_rows = True

    def __init__(self, param: FillerParameter) -> None:
        """Take no parameter."""
        refuse_sparse(param)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape with at least one axis."""
        check_axis(check_shape(shape), "filler type 'positive_unitball'")

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> RowNormalizedUniform:
        """Return the distribution for rows as long as all axes but the first together."""
        return RowNormalizedUniform(prod(shape[1:]))
