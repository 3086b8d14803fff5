"""Parts of blobs that are filled in the memory of tensors, all of them in one request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._requests import RegionLike
from filler_client.torch._staging import Staging
from filler_client.torch._views import array_of, receives


@dataclass(frozen=True, slots=True)
class Target:
    """A part of a blob, and the memory that it is filled in.

    Attributes:
        stream: name that selects the random numbers.
        filler: the filler of the whole blob.
        shape: shape of the whole blob.
        region: the part; None for the whole blob.
        tensor: where to; on any device, of the region's count of values, in its order.
    """

    stream: str
    filler: FillerParameter
    shape: tuple[int, ...]
    region: RegionLike | None
    tensor: torch.Tensor


def fill_targets(targets: Sequence[Target], seed: int, client: FillerClient | None) -> None:
    """Fill all targets, in one request for those of one data type on one kind of device.

    Tensors on the CPU in C order are received into their own memory. Others on the CPU are received one at a time and
    copied; those on other devices go through two buffers.

    Raises:
        InvalidArgument: the client is none.
        FillerError: one of the tree in `caffe_filler.errors`.
    """
    if client is None:
        client = FillerClient.embedded()
    if not isinstance(client, FillerClient):
        raise InvalidArgument(f"a client is a FillerClient. Received: {type(client).__name__}")
    for batch in _batches(targets):
        request = filler_pb2.FillRequest(
            blobs=[_spec(target) for target in batch],
            seed=seed,
            dtype=dtypes.to_wire(batch[0].tensor.dtype),
        )
        if batch[0].tensor.device.type == "cpu":
            _receive(request, batch, client)
        else:
            Staging(batch[0].tensor.device).receive(client.pieces(request), [target.tensor for target in batch])
    for target in targets:
        if not target.tensor.is_inference():
            # As every change in place, so that autograd refuses to go back over it.
            torch.autograd.graph.increment_version(target.tensor)


def _receive(request: filler_pb2.FillRequest, batch: Sequence[Target], client: FillerClient) -> None:
    own = {target.stream: array_of(target.tensor) for target in batch if receives(target.tensor)}
    for target, (name, array) in zip(batch, client._backend.arrays(request, own, client._timeout), strict=True):
        if name not in own:
            array_of(target.tensor)[...] = array


def _spec(target: Target) -> filler_pb2.BlobSpec:
    spec = filler_pb2.BlobSpec(filler=target.filler, shape=BlobShape(dim=target.shape), name=target.stream)
    if target.region is not None:
        spec.region.CopyFrom(_requests.region_message(target.region))
    return spec


def _batches(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Yield targets of one data type and device that have streams of their own."""

    def kind(numbered: tuple[int, Target]) -> tuple[str, str, int]:
        number, target = numbered
        return str(target.tensor.dtype), str(target.tensor.device), number

    seen: dict[tuple[torch.dtype, torch.device, str], int] = {}
    numbered = []
    for target in targets:
        if not target.tensor.numel():
            continue
        key = target.tensor.dtype, target.tensor.device, target.stream
        seen[key] = seen.get(key, 0) + 1
        numbered.append((seen[key], target))
    for _, batch in groupby(sorted(numbered, key=kind), key=kind):
        yield [target for _, target in batch]
