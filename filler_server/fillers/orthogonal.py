"""`orthogonal`: rows or columns that are orthonormal."""

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, ShapeError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import finite_or, refuse_unused
from filler_server.fillers.orthonormal import OrthonormalFrame

_LEAST_SIDE = 2048
"""The shorter side counts as at least so many values: that bounds the memory, in which the whole blob is held."""


class OrthogonalFiller(Filler):
    """A matrix of rows, or of columns where they are fewer, that are orthonormal, times a gain.

    The matrix has the first axis as rows and all others together as columns. It is uniformly distributed over all such
    matrices. Any value costs the whole blob. Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics
    of learning in deep linear neural networks", 2013. PyTorch: `torch.nn.init.orthogonal_`; Keras: `Orthogonal`.
    """

    type = "orthogonal"
    fields = ("value",)
    defaults: ClassVar[Mapping[str, str]] = {"value": "1.0"}
    in_caffe = False
    whole = True

    def __init__(self, param: FillerParameter) -> None:
        """Take the gain in `value` > 0, finite; 1 where it is not given."""
        refuse_unused(param, self.fields)
        self._gain = finite_or(param, "value", 1.0)
        if self._gain <= 0:
            raise FillerParameterError(
                f"value, the gain of filler type 'orthogonal', must be above 0. Received: value={self._gain}",
                field="value",
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept shapes of two axes or more."""
        check_shape(shape)
        if len(shape) < 2:
            raise ShapeError(
                f"filler type 'orthogonal' needs a blob of two axes or more. Received: shape={list(shape)}"
            )

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> OrthonormalFrame:
        """Return the distribution of one value, which brings the matrix along."""
        rows, columns = shape[0], prod(shape[1:])
        return OrthonormalFrame(max(rows, columns), self._gain, rows, columns)

    @classmethod
    def cost(cls, shape: tuple[int, ...]) -> int:
        """Return the values of the blob, each as often as there are vectors, or 2048 times where they are fewer."""
        return prod(shape) * max(min(shape[0], prod(shape[1:])), _LEAST_SIDE)
