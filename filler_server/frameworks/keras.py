"""`keras.initializers`: each with Keras's own parameters and defaults, the seed left out."""

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind
from filler_server.frameworks.scaling import kind_of

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
    return fillers.scaled(kind_of(distribution.lower(), _KINDS), scale, mode)


def orthogonal(gain: float = 1.0) -> FillerParameter:
    """Return an orthogonal matrix."""
    return fillers.with_value("orthogonal", gain)


def identity(gain: float = 1.0) -> FillerParameter:
    """Return the gain on the diagonal."""
    return fillers.with_value("identity", gain)
