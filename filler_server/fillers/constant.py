"""`constant`: one value everywhere."""

import math

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.parameters import refuse_sparse
from filler_server.fillers.shape import check_shape
from filler_server.rng.stream import RandomStream, Runs, Values

_SMALL = 1 << 15
"""Fewer values than this NumPy has written before a kernel has begun."""


class ConstantFiller(Filler):
    """The same value everywhere.

    x = value. Caffe: `ConstantFiller` in `include/caffe/filler.hpp`.
    """

    type = "constant"
    fields = ("value",)

    def __init__(self, param: FillerParameter) -> None:
        """Take any `value`, infinite and NaN as well, as Caffe does."""
        refuse_sparse(param)
        self._value = param.value

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have."""
        check_shape(shape)

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write the value; `random` is not used."""
        if out.size < _SMALL:
            out.fill(self._value)
            return
        from filler_server.fillers import kernels

        kernels.constant(out, self._value)

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Mean and bounds are the value."""
        return Moments(self._value, 0.0 if math.isfinite(self._value) else math.nan, self._value, self._value)
