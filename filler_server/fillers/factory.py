"""From a FillerParameter to its filler."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument, UnknownFiller
from caffe_filler.interface import option
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.fillers.base import Filler
from filler_server.fillers.bilinear import BilinearFiller
from filler_server.fillers.constant import ConstantFiller
from filler_server.fillers.gaussian import GaussianFiller
from filler_server.fillers.identity import DiracFiller, IdentityFiller
from filler_server.fillers.msra import MSRAFiller
from filler_server.fillers.orthogonal import OrthogonalFiller
from filler_server.fillers.positive_unitball import PositiveUnitballFiller
from filler_server.fillers.scaled import (
    VarianceScalingGaussianFiller,
    VarianceScalingTruncatedFiller,
    VarianceScalingUniformFiller,
)
from filler_server.fillers.truncated_gaussian import TruncatedGaussianFiller
from filler_server.fillers.uniform import UniformFiller
from filler_server.fillers.xavier import XavierFiller
from filler_server.frameworks.names import ALIASES, NAMES, resolved

FillerClass = TypeVar("FillerClass", bound=type[Filler])

_fillers: dict[str, type[Filler]] = {
    filler.type: filler
    for filler in (
        ConstantFiller,
        GaussianFiller,
        UniformFiller,
        PositiveUnitballFiller,
        XavierFiller,
        MSRAFiller,
        BilinearFiller,
        TruncatedGaussianFiller,
        VarianceScalingUniformFiller,
        VarianceScalingGaussianFiller,
        VarianceScalingTruncatedFiller,
        OrthogonalFiller,
        IdentityFiller,
        DiracFiller,
    )
}


def get_filler(param: FillerParameter) -> Filler:
    """Return the filler that `param` describes; its type is matched exactly, as in Caffe.

    A type may also be the name of an initializer of PyTorch, Keras or JAX, such as "torch.kaiming_uniform_".

    Raises:
        UnknownFiller: no filler of this type is registered.
        FillerParameterError: the filler cannot work with the parameters.
    """
    filler = _fillers.get(param.type)
    if filler is None:
        named = resolved(param)
        if named is None:
            raise _unknown(param.type)
        return _fillers[named.type](named)
    return filler(param)


def check_in_caffe(filler: Filler) -> None:
    """Make sure that Caffe's random stream can fill a blob with a filler.

    Raises:
        UnknownFiller: no Caffe has this type.
    """
    if not filler.in_caffe:
        raise UnknownFiller(
            f"Caffe has no filler of this type, and no numbers for it; {option('stream', 'philox')} fills it. "
            f"Received: type='{filler.type}'",
            field="type",
        )


def register(filler: FillerClass) -> FillerClass:
    """Add a filler type of your own, under `filler.type`; usable as a class decorator.

    Its distributions are those of `filler_server.fillers.distributions`, or your own: what `Distribution` describes,
    with a method `fill(out, runs, random)` as `filler_server.fillers.backend.Fill` describes it.

    Raises:
        InvalidArgument: it is not a complete Filler, has no name, or its name is taken.
    """
    if not (inspect.isclass(filler) and issubclass(filler, Filler)) or inspect.isabstract(filler):
        raise InvalidArgument(f"a filler is a class that implements Filler. Received: {filler!r}")
    name = getattr(filler, "type", None)
    if not isinstance(name, str) or not name or not isinstance(getattr(filler, "fields", None), tuple):
        raise InvalidArgument(f"a filler has a name in 'type' and a tuple in 'fields'. Received: {filler!r}")
    if _fillers.setdefault(name, filler) is not filler:
        raise InvalidArgument(f"filler type '{name}' is registered already. Received: {filler!r}")
    return filler


def registered() -> Mapping[str, type[Filler]]:
    """Return all fillers by their type, Caffe's own first."""
    return MappingProxyType(_fillers)


def _unknown(name: str | bytes) -> UnknownFiller:
    if isinstance(name, bytes):
        # What protobuf makes of a text that is not UTF-8.
        name = name.decode(errors="replace")
    hint = did_you_mean(nearest(name, [*_fillers, *NAMES, *ALIASES] if "." in name else list(_fillers)))
    further = "" if "." not in name else f", and {len(NAMES)} names of PyTorch, Keras and JAX"
    message = f"unknown filler type{hint}; there are {', '.join(_fillers)}{further}. Received: type='{name}'"
    return UnknownFiller(message, field="type")
