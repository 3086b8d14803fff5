"""Trained weights into a net: copied on this side from the files that have them, the others filled."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._arrays import Receivers, flat
from filler_client._backend import Arrays
from filler_client._requests import DataDraws, NetLike, NetOptions, ValueOptions

if TYPE_CHECKING:
    from filler_server.weights.merge import Merge, PartialShape

WeightsLike: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""The path of a file of weights, or the paths of several, of which later ones count before earlier ones."""


class FinetuneOptions(NetOptions, ValueOptions, total=False):
    """Options on which the weights of a net depend, besides the net and the files.

    Attributes:
        data_draws: what data layers draw from a Caffe stream: emulate (the default), as in `caffe train`; or none.
        before: requests for plans of nets that draw from a Caffe stream before this one.
    """

    data_draws: DataDraws
    before: Sequence[filler_pb2.PlanNetRequest]


@contextmanager
def open_merge(
    plan: filler_pb2.PlanNetResponse, weights: WeightsLike, *, ignore_shape: bool = False
) -> "Iterator[Merge]":
    """Open files of weights and give what becomes of them in a net; they are open as long as the block runs.

    Raises:
        InvalidArgument: no file is named.
        FillerError: a file cannot be read.
        OSError: likewise.
    """
    from filler_server.weights.merge import TargetBlob, TargetLayer, merge
    from filler_server.weights.opening import open_weights

    targets = [
        TargetLayer(
            layer.name,
            layer.type,
            tuple(TargetBlob(blob.name, _shape(blob.shape), blob.owner or None) for blob in layer.blobs),
        )
        for layer in plan.layers
    ]
    with ExitStack() as files:
        opened = [files.enter_context(open_weights(path)) for path in _paths(weights)]
        yield merge(targets, opened, ignore_shape=ignore_shape)


def fill_request(net: NetLike, **options: Unpack[FinetuneOptions]) -> filler_pb2.FillNetRequest:
    """Return the request for the whole net, to which the blobs that no file has are then added.

    Raises:
        InvalidArgument: an argument cannot be what it should.
        OSError: the net cannot be read.
    """
    if "blobs" in options:
        raise InvalidArgument("the blobs to fill are those that no file has. Received: blobs")
    return _requests.fill_net_request(net, **options)


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


def _loader(tensor: Any, array: NDArray[Any]) -> Callable[[], NDArray[Any]]:
    def load() -> NDArray[Any]:
        values, start = flat(array), 0
        with np.errstate(over="ignore"):
            for block in tensor.blocks():
                values[start : start + block.size] = block
                start += block.size
        return array

    return load


def _paths(weights: WeightsLike) -> list[Path]:
    named = [weights] if isinstance(weights, str | os.PathLike) else list(weights)
    if not named:
        raise InvalidArgument("no file of weights is named. Received: weights=[]")
    return [Path(path) for path in named]


def _shape(shape: filler_pb2.PartialShape) -> "PartialShape":
    return None if shape.unknown_rank else tuple(None if dim == -1 else dim for dim in shape.dim)
