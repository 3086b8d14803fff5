"""Fillers by what their values are: Caffe's own types where it has one, else those that it does not have."""

from math import isfinite
from typing import Literal, TypeAlias

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument

Kind: TypeAlias = Literal["uniform", "gaussian", "truncated"]

MODES = {
    "fan_in": FillerParameter.FAN_IN,
    "fan_out": FillerParameter.FAN_OUT,
    "fan_avg": FillerParameter.AVERAGE,
}
"""Names of PyTorch, Keras and JAX for the values of `variance_norm`."""

_CAFFES_OWN: dict[tuple[Kind, float], str] = {("uniform", 1.0): "xavier", ("gaussian", 2.0): "msra"}


def constant(value: float) -> FillerParameter:
    """Return the filler of one value."""
    return FillerParameter(type="constant", value=value)


def uniform(low: float, high: float) -> FillerParameter:
    """Return the filler of uniform values."""
    return FillerParameter(type="uniform", min=low, max=high)


def gaussian(mean: float, std: float) -> FillerParameter:
    """Return the filler of normal values; without any spread they are a constant."""
    return constant(mean) if std == 0 else FillerParameter(type="gaussian", mean=mean, std=std)


def truncated(mean: float, std: float, low: float, high: float) -> FillerParameter:
    """Return the filler of normal values within bounds."""
    return FillerParameter(type="truncated_gaussian", mean=mean, std=std, min=low, max=high)


def scaled(kind: Kind, scale: float, mode: str) -> FillerParameter:
    """Return the filler of variance scale / n; `mode` says what n is.

    Raises:
        InvalidArgument: there is no such mode, or the scale is not a number of 0 or more.
    """
    if mode not in MODES:
        raise InvalidArgument(f"mode is one of {', '.join(MODES)}. Received: mode={mode!r}")
    if not (isfinite(scale) and scale >= 0):
        raise InvalidArgument(f"a scale is finite, 0 or more. Received: scale={scale!r}")
    if scale == 0:
        return constant(0.0)
    own = _CAFFES_OWN.get((kind, scale))
    filler = FillerParameter(type=own) if own else FillerParameter(type=f"variance_scaling_{kind}", value=scale)
    if mode != "fan_in":
        filler.variance_norm = MODES[mode]
    return filler


def with_value(kind: str, value: float) -> FillerParameter:
    """Return a filler whose one field is `value`, such as a gain."""
    return FillerParameter(type=kind, value=value)
