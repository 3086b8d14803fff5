"""Parts of a tensor that this process holds, and where in the whole tensor they lie."""

import sys
from collections.abc import Sequence
from itertools import pairwise, product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument

Box: TypeAlias = tuple[tuple[int, int], ...]
"""Start and stop on each axis of the whole tensor."""

_Step: TypeAlias = tuple[int, int, int]
"""A mesh dimension that shards an axis: its size, the place of this process on it, and the split factor."""

_Run: TypeAlias = tuple[int, int, int]
"""Consecutive indices of an axis: start and stop in the whole tensor, and start in the local one."""


class Part(NamedTuple):
    """A box of a tensor, and the memory that holds it.

    Attributes:
        box: the box; None for the whole tensor.
        tensor: a view of the memory, of the shape of the box.
    """

    box: Box | None
    tensor: torch.Tensor


def is_dtensor(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor; there is none while its module, which takes long to import, is not imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor or DTensor, detached."""
    held: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return held.detach()


def with_memory(local: torch.Tensor) -> torch.Tensor:
    """Return a detached tensor that has its values in memory of its own, as far as that can be told of its device.

    Raises:
        InvalidArgument: it has none, as one that wraps others, or stands for one while a program is traced.
    """
    # To ask a tensor that a class of its own computes with for its memory is an error, or warned of.
    kind = type(local)
    is_own = kind is torch.Tensor or kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    if is_own and (local.is_cpu or local.is_cuda) and local.numel():
        try:
            is_own = local.data_ptr() != 0
        except RuntimeError:
            is_own = False
    if not is_own:
        raise InvalidArgument(
            "a tensor that wraps others, or stands for one, has no memory of its own that could be filled or read. "
            f"Received: {kind.__name__} of shape {list(local.shape)}"
        )
    return local


def parts_of(tensor: torch.Tensor) -> list[Part]:
    """Return the parts of a tensor or DTensor that this process holds.

    A process that is not on the mesh, or whose shard is empty, holds none. There are several where `_StridedShard`
    stands for anything but the order in which FSDP2 and tensor parallelism shard an axis.

    Raises:
        InvalidArgument: a placement is Partial or of an unknown kind, or the local tensor is not what they say, or has
            no memory of its own.
    """
    if type(tensor) is torch.nn.Parameter or not is_dtensor(tensor):
        return [Part(None, with_memory(tensor.detach()))] if tensor.numel() else []
    held: Any = tensor
    coordinate = held.device_mesh.get_coordinate()
    if coordinate is None:
        return []
    steps: list[list[_Step]] = [[] for _ in tensor.shape]
    for size, place, placement in zip(held.device_mesh.shape, coordinate, held.placements, strict=True):
        if placement.is_replicate():
            continue
        if not (type(placement).__name__ == "_StridedShard" or placement.is_shard()):
            raise InvalidArgument(
                "a tensor is sharded or replicated; one whose parts will be summed has no values of its own. "
                f"Received: placements={held.placements}"
            )
        steps[placement.dim].append((size, place, int(getattr(placement, "split_factor", 1))))
    with torch.no_grad():
        local: torch.Tensor = held.to_local().detach()
    # An empty shard may have lost its axes.
    lengths = local.shape if local.dim() == tensor.dim() else [0] * tensor.dim()
    axes = [_indices(*axis) for axis in zip(tensor.shape, steps, lengths, strict=True)]
    if prod(map(len, axes)) == local.numel() == 0:
        return []
    if any(len(indices) != length for indices, length in zip(axes, lengths, strict=True)):
        raise InvalidArgument(
            f"the local tensor is not what the placements say. Received: shape={list(tensor.shape)}, "
            f"local shape={list(local.shape)}, mesh={tuple(held.device_mesh.shape)}, placements={held.placements}"
        )
    with_memory(local)
    return [_part(runs, local) for runs in product(*map(_runs, axes))]


def _part(runs: tuple[_Run, ...], local: torch.Tensor) -> Part:
    view = local
    for axis, (start, stop, at) in enumerate(runs):
        view = view.narrow(axis, at, stop - start)
    return Part(tuple((start, stop) for start, stop, _ in runs), view)


def _runs(indices: NDArray[np.int64]) -> list[_Run]:
    """Return ascending indices as runs of consecutive ones."""
    if not indices.size:
        return []
    begins = [0, *(np.flatnonzero(np.diff(indices) != 1) + 1).tolist(), indices.size]
    return [(int(indices[at]), int(indices[at]) + end - at, at) for at, end in pairwise(begins)]


def _indices(length: int, steps: Sequence[_Step], held: int) -> NDArray[np.int64]:
    """Return the indices of an axis that this process holds, in their order."""
    every = np.arange(length)
    found = _sharded(every, steps, reverse=True)
    # A strided placement may also have been applied as it is written.
    return found if len(found) == held else _sharded(every, steps, reverse=False)


def _sharded(indices: NDArray[np.int64], steps: Sequence[_Step], *, reverse: bool) -> NDArray[np.int64]:
    """Return what of an axis is left after mesh dimensions have sharded it, from left to right.

    FSDP2 says by a split factor that the dimensions to the right come first: tensor parallelism shards what FSDP2 then
    shards again. With uneven shards that is not the same as to split, shard each part and put them together.
    """
    if not steps:
        return indices
    (size, place, split), *rest = steps
    if split == 1:
        return _sharded(_chunk(indices, size, place), rest, reverse=reverse)
    if reverse and split == prod(step[0] for step in rest):
        return _chunk(_sharded(indices, rest, reverse=reverse), size, place)
    parts = [_chunk(_chunk(indices, split, part), size, place) for part in range(split)]
    return _sharded(np.concatenate(parts), rest, reverse=reverse)


def _chunk(indices: NDArray[np.int64], count: int, number: int) -> NDArray[np.int64]:
    """Return a chunk as `torch.chunk` cuts them: all of one length but the last ones."""
    length = -(-len(indices) // count)
    return indices[number * length : (number + 1) * length]
