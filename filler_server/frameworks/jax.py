"""`jax.nn.initializers`: each with JAX's own parameters and defaults, the dtype and the axes left out."""

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind

_KINDS: dict[str, Kind] = {"truncated_normal": "truncated", "normal": "gaussian", "uniform": "uniform"}


def zeros() -> FillerParameter:
    """Return zeros."""
    return fillers.constant(0.0)


def ones() -> FillerParameter:
    """Return ones."""
    return fillers.constant(1.0)


def constant(value: float) -> FillerParameter:
    """Return one value."""
    return fillers.constant(value)


def uniform(scale: float = 1e-2) -> FillerParameter:
    """Return uniform values of [0, scale]."""
    return fillers.uniform(0.0, scale)


def normal(stddev: float = 1e-2) -> FillerParameter:
    """Return normal values around 0."""
    return fillers.gaussian(0.0, stddev)


def truncated_normal(stddev: float = 1e-2, lower: float = -2.0, upper: float = 2.0) -> FillerParameter:
    """Return normal values around 0 between bounds that count in standard deviations."""
    return fillers.truncated(0.0, stddev, lower * stddev, upper * stddev)


def variance_scaling(scale: float, mode: str, distribution: str) -> FillerParameter:
    """Return values of variance scale / n.

    Raises:
        InvalidArgument: there is no such mode or distribution.
    """
    kind = _KINDS.get(distribution)
    if kind is None:
        raise InvalidArgument(f"distribution is one of {', '.join(_KINDS)}. Received: distribution={distribution!r}")
    return fillers.scaled(kind, scale, mode)


def glorot_uniform() -> FillerParameter:
    """Return uniform values by the average of the fans."""
    return fillers.scaled("uniform", 1.0, "fan_avg")


def glorot_normal() -> FillerParameter:
    """Return truncated normal values by the average of the fans."""
    return fillers.scaled("truncated", 1.0, "fan_avg")


def he_uniform() -> FillerParameter:
    """Return uniform values of twice the variance 1 / fan_in."""
    return fillers.scaled("uniform", 2.0, "fan_in")


def he_normal() -> FillerParameter:
    """Return truncated normal values of twice the variance 1 / fan_in."""
    return fillers.scaled("truncated", 2.0, "fan_in")


def lecun_uniform() -> FillerParameter:
    """Return uniform values of variance 1 / fan_in."""
    return fillers.scaled("uniform", 1.0, "fan_in")


def lecun_normal() -> FillerParameter:
    """Return truncated normal values of variance 1 / fan_in."""
    return fillers.scaled("truncated", 1.0, "fan_in")


def orthogonal(scale: float = 1.0) -> FillerParameter:
    """Return an orthogonal matrix."""
    return fillers.with_value("orthogonal", scale)
