"""Spread of values with which signals keep their variance from layer to layer; `xavier` and `msra`."""

from functools import lru_cache
from math import prod
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import check_axis, refuse_sparse


def fan_in(shape: tuple[int, ...]) -> int:
    """Return the inputs of a weight as Caffe counts them, count / shape[0]: 1 for one axis. No axis may be 0."""
    return prod(shape) // shape[0]


def fan_out(shape: tuple[int, ...]) -> int:
    """Return the outputs of a weight as Caffe counts them, count / shape[1]: count for one axis. No axis may be 0."""
    return prod(shape) // shape[1] if len(shape) > 1 else prod(shape)


class VarianceScaling(Filler):
    """A filler whose variance is inversely proportional to n, which is fan_in, fan_out or their average."""

    fields: ClassVar[tuple[str, ...]] = ("variance_norm",)

    def __init__(self, param: FillerParameter) -> None:
        """Take `variance_norm`."""
        refuse_sparse(param)
        self._variance_norm = param.variance_norm

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape with at least one axis."""
        check_axis(check_shape(shape), f"filler type '{self.type}'")

    def scale(self, factor: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> float:
        """Return sqrt(factor / n), each step computed in `dtype`."""
        return _scale(factor, shape, self._variance_norm, dtype)


@lru_cache(maxsize=1024)
def _scale(
    factor: float, shape: tuple[int, ...], variance_norm: FillerParameter.VarianceNorm, dtype: np.dtype[Any]
) -> float:
    real = np.dtype(dtype).type
    if variance_norm == FillerParameter.AVERAGE:
        n = real(fan_in(shape) + fan_out(shape)) / real(2)
    else:
        n = real(fan_out(shape) if variance_norm == FillerParameter.FAN_OUT else fan_in(shape))
    return float(np.sqrt(real(factor) / n))
