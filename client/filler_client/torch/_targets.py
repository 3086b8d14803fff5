"""Parts of blobs that are filled in the memory of tensors, all of them in one request."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_client import _requests
from filler_client._backend import ArrayList
from filler_client._client import FillerClient
from filler_client._embedded import fill_here
from filler_client._many import BlobSpec
from filler_client._requests import FillOptions
from filler_client.torch._staging import Staging
from filler_client.torch._views import array_of, receives

_MOST_MARKS = 1 << 30
"""Memory that tensors share out between them is looked through up to so many elements."""


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
    check_client(client)
    for batch in list(_batches(targets)):
        first = batch[0].tensor
        if first.device.type == "cpu":
            _receive(batch, seed, client)
        else:
            request = _requests.values_request(seed=seed, dtype=first.dtype)
            for blob in (target.blob for target in batch):
                request.blobs.append(_requests.blob_spec(blob.filler, blob.shape, blob.name, blob.region, blob.axes))
            pieces = (client or FillerClient.embedded()).pieces(request)
            Staging(first.device).receive(pieces, [target.tensor for target in batch])
    # As every change in place, so that autograd refuses to go back over it.
    torch.autograd.graph.increment_version([each.tensor for each in targets if not each.tensor.is_inference()])


def check_client(client: FillerClient | None) -> None:
    """Make sure that there is somebody who computes.

    Raises:
        InvalidArgument: the client is none.
    """
    if client is not None and not isinstance(client, FillerClient):
        raise InvalidArgument(f"a client is a FillerClient. Received: {type(client).__name__}")


def check_apart(named: Sequence[tuple[str, torch.Tensor]]) -> None:
    """Make sure that tensors, each with its name, share no memory of the CPU or of CUDA.

    Raises:
        InvalidArgument: some do; or they lie between each other in so much memory that it is not looked through.
    """
    places = sorted(
        [
            (own.data_ptr(), _extent(own), index)
            for index, (_, own) in enumerate(named)
            if (own.is_cpu or own.is_cuda) and own.numel()
        ]
    )
    if all(start + length <= following for (start, length, _), (following, _, _) in pairwise(places)):
        return
    group: list[tuple[str, torch.Tensor]] = []
    end = dense_end = 0
    dense = ""
    for start, length, index in places:
        name, own = named[index]
        if start < dense_end:
            raise _overlap(dense, name)
        if start >= end:
            _check_group(group)
            group = []
        group.append((name, own))
        end = max(end, start + length)
        if length == own.nbytes:
            dense, dense_end = name, start + length
    _check_group(group)


def _check_group(group: Sequence[tuple[str, torch.Tensor]]) -> None:
    """Make sure that tensors that begin in order and lie between each other share no element."""
    if len(group) < 2:
        return
    # A mark stands for the largest unit in which all of them can be told.
    base = group[0][1].data_ptr()
    unit = math.gcd(*(own.data_ptr() - base for _, own in group), *(own.element_size() for _, own in group))
    count = max(own.data_ptr() + _extent(own) for _, own in group) - base
    if count // unit > _MOST_MARKS:
        names = f"'{group[0][0]}' and '{group[1][0]}'"
        raise InvalidArgument(f"each blob needs memory of its own. Received: {names} lie between each other's values")
    marks = np.zeros(count // unit, bool)
    views = [(name, _view(marks, own, (own.data_ptr() - base) // unit, unit)) for name, own in group]
    for name, view in views:
        if view.any():
            marks[:] = False
            view[...] = True
            raise _overlap(next(other for other, earlier in views if earlier.any()), name)
        view[...] = True


def _view(marks: NDArray[np.bool_], own: torch.Tensor, first: int, unit: int) -> NDArray[np.bool_]:
    """Return what stands for a tensor among marks of memory, each of them for so many bytes."""
    step = own.element_size() // unit
    return as_strided(marks[first:], (*own.shape, step), (*(stride * step for stride in own.stride()), 1))


def _overlap(one: str, other: str) -> InvalidArgument:
    return InvalidArgument(f"each blob needs memory of its own. Received: '{one}' and '{other}' overlap")


def _extent(own: torch.Tensor) -> int:
    """Return the bytes from the first value of a tensor to the end of its last."""
    if own.is_contiguous():
        return int(own.nbytes)
    reach: int = sum((size - 1) * stride for size, stride in zip(own.shape, own.stride(), strict=True))
    return (reach + 1) * int(own.element_size())


def _overlaps_itself(own: torch.Tensor) -> bool:
    """Whether values of a tensor share memory, or may do so in more of it than is looked through."""
    if own.is_contiguous() or not own.numel():
        return False
    reach = 0
    for stride, size in sorted(
        (stride, size) for size, stride in zip(own.shape, own.stride(), strict=True) if size > 1
    ):
        if stride <= reach:
            break
        reach += (size - 1) * stride
    else:
        return False
    count = _extent(own) // own.element_size()
    if not own.numel() <= count <= _MOST_MARKS:
        return True
    marks = np.zeros(count, bool)
    _view(marks, own, 0, own.element_size())[...] = True
    return bool(np.count_nonzero(marks) < own.numel())


def _receive(batch: Sequence[Target], seed: int, client: FillerClient | None) -> None:
    out = [array_of(target.tensor) if receives(target.tensor) else None for target in batch]
    blobs, dtype = [target.blob for target in batch], batch[0].tensor.dtype
    arrays: Sequence[NDArray[Any]] | None = None
    if client is None and all(own is None or own.flags.carray for own in out):
        arrays = fill_here(blobs, out, seed=seed, dtype=dtype)
    if arrays is None:
        arrays = _filled(blobs, out, seed, dtype, client or FillerClient.embedded())
    for target, own, array in zip(batch, out, arrays, strict=True):
        if own is None:
            array_of(target.tensor)[...] = array


def _filled(
    blobs: Sequence[BlobSpec], out: ArrayList, seed: int, dtype: torch.dtype, client: FillerClient
) -> Sequence[NDArray[Any]]:
    if len(blobs) > 1:
        return client.fill_many(blobs, out=out, seed=seed, dtype=dtype)
    # That a name is missing has been said already.
    (one,) = blobs
    options: FillOptions = {"name": one.name, "region": one.region, "axes": one.axes, "seed": seed, "dtype": dtype}
    return [client.fill(one.filler, one.shape, out=out[0], **options)]


def _batches(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Yield targets of one data type on one device.

    Raises:
        InvalidArgument: values of a tensor share memory.
    """
    found: dict[tuple[torch.dtype, torch.device], list[Target]] = {}
    for target in targets:
        if _overlaps_itself(target.tensor):
            raise InvalidArgument(
                f"several values of '{target.blob.name}' share memory. "
                f"Received: shape={list(target.tensor.shape)}, strides={target.tensor.stride()}"
            )
        if target.tensor.numel():
            found.setdefault((target.tensor.dtype, target.tensor.device), []).append(target)
    yield from found.values()
