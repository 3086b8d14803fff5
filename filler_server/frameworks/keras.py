"""`keras.initializers`: each with Keras's own parameters and defaults, the seed left out."""

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind

_KINDS: dict[str, Kind] = {
    "truncated_normal": "truncated",
    "normal": "truncated",
    "untruncated_normal": "gaussian",
    "uniform": "uniform",
}


def zeros() -> FillerParameter:
    """Return zeros."""
    return fillers.constant(0.0)


def ones() -> FillerParameter:
    """Return ones."""
    return fillers.constant(1.0)


def constant(value: float = 0.0) -> FillerParameter:
    """Return one value."""
    return fillers.constant(value)


def random_normal(mean: float = 0.0, stddev: float = 0.05) -> FillerParameter:
    """Return normal values."""
    return fillers.gaussian(mean, stddev)


def random_uniform(minval: float = -0.05, maxval: float = 0.05) -> FillerParameter:
    """Return uniform values."""
    return fillers.uniform(minval, maxval)


def truncated_normal(mean: float = 0.0, stddev: float = 0.05) -> FillerParameter:
    """Return normal values within two standard deviations, which are not corrected."""
    return fillers.truncated(mean, stddev, mean - 2 * stddev, mean + 2 * stddev)


def variance_scaling(
    scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> FillerParameter:
    """Return values of variance scale / n.

    Raises:
        InvalidArgument: there is no such mode or distribution.
    """
    kind = _KINDS.get(distribution.lower())
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


def orthogonal(gain: float = 1.0) -> FillerParameter:
    """Return an orthogonal matrix."""
    return fillers.with_value("orthogonal", gain)


def identity(gain: float = 1.0) -> FillerParameter:
    """Return the gain on the diagonal."""
    return fillers.with_value("identity", gain)
