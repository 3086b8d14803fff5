"""Initializers that keep the variance of signals, which Keras and JAX have under the same names."""

from collections.abc import Mapping

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind


def kind_of(distribution: str, kinds: Mapping[str, Kind]) -> Kind:
    """Return the kind of values that a framework calls by this name.

    Raises:
        InvalidArgument: it has no such distribution.
    """
    kind = kinds.get(distribution)
    if kind is None:
        raise InvalidArgument(f"distribution is one of {', '.join(kinds)}. Received: distribution={distribution!r}")
    return kind


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
