"""How many inputs and outputs a weight of a blob has, as Caffe counts them (`include/caffe/filler.hpp`)."""

from math import prod
from typing import TypeAlias

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter

Dtype: TypeAlias = type[np.float32] | type[np.float64]
"""Caffe's `Dtype`: the type of a blob's values, in which fillers compute."""


def fan_in(shape: tuple[int, ...]) -> int:
    """Return count / shape[0]: 1 when there is one axis. The shape needs one axis and no zeros."""
    return prod(shape) // shape[0]


def fan_out(shape: tuple[int, ...]) -> int:
    """Return count / shape[1], or count when there is one axis. The shape needs one axis and no zeros."""
    return prod(shape) // shape[1] if len(shape) > 1 else prod(shape)


def fan(shape: tuple[int, ...], variance_norm: FillerParameter.VarianceNorm, dtype: Dtype) -> np.float32 | np.float64:
    """Return the n by which xavier and msra scale, computed in `dtype`: fan_in, fan_out or their average."""
    if variance_norm == FillerParameter.AVERAGE:
        return dtype(fan_in(shape) + fan_out(shape)) / dtype(2)
    return dtype(fan_out(shape) if variance_norm == FillerParameter.FAN_OUT else fan_in(shape))
