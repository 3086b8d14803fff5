"""Parts of blobs that are filled in the memory of tensors, all of them in one request."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from caffe_filler.errors import InvalidArgument
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._many import BlobSpec
from filler_client._requests import FillOptions
from filler_client.torch._staging import Staging
from filler_client.torch._views import array_of, receives


class Target(NamedTuple):
    """A blob or a region of one, and the memory that it is filled in.

    Attributes:
        blob: the blob.
        tensor: where to; on any device, of the region's shape.
    """

    blob: BlobSpec
    tensor: torch.Tensor


def fill_targets(targets: Sequence[Target], seed: int, client: FillerClient | None) -> None:
    """Fill all targets, in one request for those of one data type on one device.

    Tensors on the CPU in C order are received into their own memory, others on the CPU are received and copied; those
    on other devices go through two buffers.

    Raises:
        InvalidArgument: the client is none.
        FillerError: one of the tree in `caffe_filler.errors`.
    """
    if client is None:
        client = FillerClient.embedded()
    if not isinstance(client, FillerClient):
        raise InvalidArgument(f"a client is a FillerClient. Received: {type(client).__name__}")
    for batch in list(_batches(targets)):
        first = batch[0].tensor
        if first.device.type == "cpu":
            _receive(batch, seed, client)
        else:
            request = _requests.values_request(seed=seed, dtype=first.dtype)
            for blob in (target.blob for target in batch):
                request.blobs.append(_requests.blob_spec(blob.filler, blob.shape, blob.name, blob.region, blob.axes))
            Staging(first.device).receive(client.pieces(request), [target.tensor for target in batch])
    # As every change in place, so that autograd refuses to go back over it.
    torch.autograd.graph.increment_version([each.tensor for each in targets if not each.tensor.is_inference()])


def check_apart(named: Sequence[tuple[str, torch.Tensor]]) -> None:
    """Make sure that tensors, each with its name, share no memory of the CPU, as far as they are contiguous.

    Raises:
        InvalidArgument: some do.
    """
    places = sorted((own.data_ptr(), own.nbytes, name) for name, own in named if receives(own) and own.numel())
    for (start, length, name), (following, _, other) in itertools.pairwise(places):
        if following < start + length:
            raise InvalidArgument(f"each blob needs memory of its own. Received: '{name}' and '{other}' overlap")


def _receive(batch: Sequence[Target], seed: int, client: FillerClient) -> None:
    out = [array_of(target.tensor) if receives(target.tensor) else None for target in batch]
    blobs, dtype = [target.blob for target in batch], batch[0].tensor.dtype
    if len(blobs) == 1:
        # That a name is missing has been said already.
        (one,) = blobs
        options: FillOptions = {"name": one.name, "region": one.region, "axes": one.axes, "seed": seed, "dtype": dtype}
        arrays = [client.fill(one.filler, one.shape, out=out[0], **options)]
    else:
        arrays = client.fill_many(blobs, out=out, seed=seed, dtype=dtype)
    for target, own, array in zip(batch, out, arrays, strict=True):
        if own is None:
            array_of(target.tensor)[...] = array


def _batches(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Yield targets of one data type on one device.

    Raises:
        InvalidArgument: values of a tensor share memory.
    """
    found: dict[tuple[torch.dtype, torch.device], list[Target]] = {}
    for target in targets:
        strides = target.tensor.stride()
        if 0 in strides and any(not step and size > 1 for step, size in zip(strides, target.tensor.shape, strict=True)):
            raise InvalidArgument(
                f"several values of '{target.blob.name}' share memory. "
                f"Received: shape={list(target.tensor.shape)}, strides={strides}"
            )
        if target.tensor.numel():
            found.setdefault((target.tensor.dtype, target.tensor.device), []).append(target)
    yield from found.values()
