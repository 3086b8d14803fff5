"""`jax.nn.initializers`: each with JAX's own parameters and defaults, the dtype and the axes left out."""

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind
from filler_server.frameworks.scaling import kind_of

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


def truncated_normal(stddev: float = 1e-2, *, lower: float = -2.0, upper: float = 2.0) -> FillerParameter:
    """Return normal values around 0 between bounds that count in standard deviations.

    By position the bounds come after the dtype.
    """
    return fillers.truncated(0.0, stddev, lower * stddev, upper * stddev)


def variance_scaling(scale: float, mode: str, distribution: str) -> FillerParameter:
    """Return values of variance scale / n.

    Raises:
        InvalidArgument: there is no such mode or distribution.
    """
    return fillers.scaled(kind_of(distribution, _KINDS), scale, mode)


def orthogonal(scale: float = 1.0) -> FillerParameter:
    """Return an orthogonal matrix."""
    return fillers.with_value("orthogonal", scale)
