"""Trained weights into a net: copied on this side from the files that have them, the others filled."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option_name
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._arrays import Receivers, flat
from filler_client._backend import Arrays
from filler_client._requests import DataDraws, NetLike, NetOptions, ValueOptions

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Tensor
    from filler_server.weights.merge import Merge

WeightsLike: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""The path of a file of weights, or the paths of several, of which later ones count before earlier ones."""


class FinetuneOptions(NetOptions, ValueOptions, total=False):
    """Options on which the weights of a net depend, besides the net and the files.

    Attributes:
        data_draws: what data layers draw from a Caffe stream: emulate (the default), as in `caffe train`; rc3, as in
            that of 1.0 rc3; none; or a number of outputs of the engine for each.
        before: requests for plans of nets that draw from a Caffe stream before this one.
    """

    data_draws: DataDraws
    before: Sequence[filler_pb2.PlanNetRequest]


def local_plan(request: filler_pb2.PlanNetRequest) -> "NetPlan":
    """Return the plan of a net, worked out in this process, which needs no Numba.

    Raises:
        FillerError: the net cannot be read or set up.
    """
    from filler_server.api import planning
    from filler_server.api.limits import UNLIMITED

    return planning.plan(request, UNLIMITED)


@contextmanager
def open_merge(
    plan: "NetPlan", weights: WeightsLike, *, ignore_shape: bool = False, reshape: bool = False
) -> "Iterator[Merge]":
    """Open files of weights and give what becomes of them in a net; they are open as long as the block runs.

    Raises:
        InvalidArgument: no file is named, or one has nothing for the net.
        FillerError: a file cannot be read.
        OSError: likewise.
    """
    from filler_server.weights.merge import merge
    from filler_server.weights.opening import open_weights

    with ExitStack() as files:
        opened = [files.enter_context(open_weights(path)) for path in weights_paths(weights)]
        yield merge(plan.layers, opened, ignore_shape=ignore_shape, reshape=reshape)


def fill_request(net: NetLike, **options: Unpack[FinetuneOptions]) -> filler_pb2.FillNetRequest:
    """Return the request for the whole net, to which the blobs that no file has are then added.

    Raises:
        InvalidArgument: an argument cannot be what it should.
        OSError: the net cannot be read.
    """
    if "blobs" in options:
        raise InvalidArgument("the blobs to fill are those that no file has. Received: blobs")
    return _requests.fill_net_request(net, **options)


def check_fillers(request: filler_pb2.FillNetRequest, merge: "Merge") -> None:
    """Make sure that no filler is named for a blob that is copied; one with a `*` stands for those that are filled.

    Raises:
        InvalidArgument: one is.
    """
    copied = next((named.name for named in request.net.fillers if named.name in merge.tensors), None)
    if copied is not None:
        raise InvalidArgument(
            f"{option_name('fillers')}: the values of this blob come from a file of weights. Received: name='{copied}'",
            field="fillers",
        )


def merged_arrays(
    merge: "Merge", dtype: np.dtype[Any], out: Arrays
) -> Iterator[tuple[str, Callable[[], NDArray[Any]] | None]]:
    """Yield each blob of the net with what loads it into its array, or None where it is filled.

    Raises:
        InvalidArgument: an array of the caller does not fit.
    """
    merge.plan.check()
    receivers = Receivers(out)
    for blob in merge.plan.blobs:
        tensor = merge.tensors.get(blob.name)
        if tensor is None:
            yield blob.name, None
            continue
        yield blob.name, _loader(tensor, receivers.array_for(blob.name, tuple(tensor.shape), dtype))


def _loader(tensor: "Tensor", array: NDArray[Any]) -> Callable[[], NDArray[Any]]:
    from filler_server.tensors import cast

    def load() -> NDArray[Any]:
        cast(tensor, array.dtype).read(0, flat(array))
        return array

    return load


def weights_paths(weights: WeightsLike) -> list[Path]:
    """Return the paths of files of weights.

    Raises:
        InvalidArgument: there are none, or arrays in place of paths.
    """
    if isinstance(weights, Mapping):
        raise InvalidArgument(f"weights are paths of files here. Received: a {type(weights).__name__} of arrays")
    named = [weights] if isinstance(weights, str | os.PathLike) else list(weights)
    if not named:
        raise InvalidArgument("no file of weights is named. Received: weights=[]")
    return [Path(path) for path in named]
