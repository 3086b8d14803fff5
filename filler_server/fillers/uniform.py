"""`uniform`: every value of an interval equally likely."""

from math import sqrt

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from filler_server.fillers.base import Filler, Moments
from filler_server.fillers.parameters import finite, refuse_sparse
from filler_server.fillers.shape import check_shape
from filler_server.rng.stream import RandomStream, Runs, Values


class UniformFiller(Filler):
    """Uniform values between min and max.

    x ~ U[min, max]. Caffe: `UniformFiller` in `include/caffe/filler.hpp`.
    """

    type = "uniform"
    fields = ("min", "max")

    def __init__(self, param: FillerParameter) -> None:
        """Take `min` and `max`, both finite, min <= max."""
        refuse_sparse(param)
        self._min, self._max = finite(param, "min"), finite(param, "max")
        if self._min > self._max:
            raise FillerParameterError(
                f"min of filler type 'uniform' must not exceed max. Received: min={self._min}, max={self._max}",
                field="min",
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have."""
        check_shape(shape)

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write uniform values."""
        random.uniform(out, runs, self._min, self._max)

    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Std is (max - min) / sqrt(12)."""
        return Moments((self._min + self._max) / 2, (self._max - self._min) / sqrt(12), self._min, self._max)
