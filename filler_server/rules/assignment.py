"""Fill of one parameter: by which rule, with which filler, and the values that theory expects."""

from dataclasses import dataclass

import numpy as np

from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.fillers import get_filler
from filler_server.fillers.distributions import Distribution, Gaussian, Uniform
from filler_server.fillers.truncation import TruncatedGaussian
from filler_server.fillers.variance_scaling import fan_in, fan_out

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@dataclass(slots=True)
class Assignment:
    """Filler of one parameter, with its fans and expectations.

    Attributes:
        rule: the rule, in a few words.
        index: its place among the rules, from 0.
        filler: the filler of the whole parameter.
        axes: the meaning of its axes; None where they are those of Caffe.
        zero_padding: whether the row that a module names with `padding_idx` is zeros.
        fan_in: inputs of each output, of the parameter or of that whose fan counts; None where there is no axis.
        fan_out: outputs of each input, likewise.
        mean: mean of the values that theory expects; None where the parameter has no values.
        std: their standard deviation, likewise.
        stream: name that selects the random numbers.
    """

    rule: str
    index: int
    filler: FillerParameter
    axes: FanAxes | None
    zero_padding: bool
    fan_in: int | None
    fan_out: int | None
    mean: float | None
    std: float | None
    stream: str


def expectation(filler: FillerParameter, shape: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation of a weight [outputs, inputs, kernel...]; None where it has no values.

    Raises:
        FillerError: the filler cannot fill this shape.
    """
    if 0 in shape:
        return None, None
    found = get_filler(filler)
    found.check(shape)
    distribution = found.distribution(shape, _FLOAT64)
    return distribution.mean, distribution.std


def fans(shape: tuple[int, ...]) -> tuple[int | None, int | None]:
    """Return the fans of a weight [outputs, inputs, kernel...]; None where it has no axis or no values."""
    return (None, None) if not shape or 0 in shape else (fan_in(shape), fan_out(shape))


def by_fan_of(filler: FillerParameter, shape: tuple[int, ...]) -> FillerParameter:
    """Return the filler whose values are those of a blob of another shape, whatever shape it fills.

    Args:
        filler: one that scales by fans.
        shape: the shape that has these fans, [outputs, inputs, kernel...].

    Raises:
        FillerError: the filler cannot fill this shape.
        InvalidArgument: its values are neither uniform nor normal.
    """
    found = get_filler(filler)
    found.check(shape)
    return _filler_of(found.distribution(shape, _FLOAT32), filler)


def _filler_of(distribution: Distribution, filler: FillerParameter) -> FillerParameter:
    if isinstance(distribution, Uniform):
        return FillerParameter(type="uniform", min=distribution.low, max=distribution.high)
    if isinstance(distribution, Gaussian):
        return FillerParameter(type="gaussian", mean=distribution.mean, std=distribution.std)
    if isinstance(distribution, TruncatedGaussian):
        return FillerParameter(
            type="truncated_gaussian",
            mean=distribution.center,
            std=distribution.scale,
            min=distribution.minimum,
            max=distribution.maximum,
        )
    raise InvalidArgument(f"values that scale by fans are uniform or normal. Received: type='{filler.type}'")
