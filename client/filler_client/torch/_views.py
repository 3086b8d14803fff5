"""Views of tensors in NumPy, and figures of their values."""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from math import inf, sqrt
from operator import not_
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

_RUNS, _RUN = 8, 1024
"""A sample of a large tensor: so many runs of so many values, evenly spaced."""

_FLAT, _ROWS = 12 << 10, 8
"""So many values of small tensors, and samples of large ones, are looked at together: NumPy is called seldom, and the
memory that it takes is not had from the system, and given back, each time."""

_LEAST_SQUARE = 1e-20
"""A sum of squares in float32, below which digits of its terms may be lost."""

_OF_BLOBS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})

_Sums: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Of each of several samples: its first value, and the sums of what its values differ from that and of the squares. So
equal values have a variance of 0."""

Moments: TypeAlias = tuple[int, float, float]
"""Number of values of a sample, their mean, and their variance."""


def can_hold_a_blob(dtype: torch.dtype) -> bool:
    """Whether it is one of the four data types of blobs."""
    return dtype in _OF_BLOBS


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a detached tensor on the CPU as an array of the same shape, strides and data type."""
    if tensor.dtype == torch.bfloat16:
        array: NDArray[Any] = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    else:
        array = tensor.numpy()
    return array


def receives(tensor: torch.Tensor) -> bool:
    """Whether a blob can be received into the tensor's own memory: on the CPU, in C order."""
    return bool(tensor.is_cpu and tensor.is_contiguous())


@np.errstate(invalid="ignore", over="ignore")
def measured(tensors: Sequence[torch.Tensor]) -> list[Moments]:
    """Return the moments of the values of tensors that are not empty, large ones sampled."""
    samples = [_sample(tensor) for tensor in tensors]
    is_flat = [sample.dim() == 1 for sample in samples]
    # Many at once: to call NumPy takes longer than to look at a small tensor.
    flat = _moments(_sums_of_flat, list(compress(samples, is_flat)))
    rows = _moments(_sums_of_rows, list(compress(samples, map(not_, is_flat))))
    return [next(flat if is_one else rows) for is_one in is_flat]


def pooled(parts: Sequence[Moments]) -> tuple[float, float] | None:
    """Return mean and standard deviation of all values of several samples; None without any."""
    if not parts:
        return None
    _, first, variance = parts[0]
    if len(parts) == 1:
        return first, sqrt(variance)
    count = sum(size for size, _, _ in parts)
    mean = first + sum(size * (own - first) for size, own, _ in parts) / count
    return mean, sqrt(sum(size * (variance + (own - mean) ** 2) for size, own, variance in parts) / count)


def _moments(
    sums_of: Callable[[Sequence[torch.Tensor]], Iterator[_Sums]], samples: Sequence[torch.Tensor]
) -> Iterator[Moments]:
    """Return the moments of samples, from the sums of some at a time."""
    if not samples:
        return iter(())
    first, totals, squares = map(np.concatenate, zip(*sums_of(samples), strict=True))
    counts = [sample.numel() for sample in samples]
    offsets = totals / counts
    variances = np.maximum(squares / counts - offsets * offsets, 0.0)
    return zip(counts, (first + offsets).tolist(), variances.tolist(), strict=True)


def _sums_of_flat(samples: Sequence[torch.Tensor]) -> Iterator[_Sums]:
    for batch in _batches(samples):
        values = torch.cat([_read(sample) for sample in batch]).numpy().astype(np.float64)
        counts = np.array([sample.numel() for sample in batch])
        starts = counts.cumsum() - counts
        first = values[starts]
        values -= first.repeat(counts)
        totals = np.add.reduceat(values, starts)
        values *= values
        yield first, totals, np.add.reduceat(values, starts)


def _batches(samples: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield flat samples, as many at a time as hold `_FLAT` values, or one."""
    batch: list[torch.Tensor] = []
    held = 0
    for sample in samples:
        count = sample.numel()
        if batch and held + count > _FLAT:
            yield batch
            batch, held = [], 0
        batch.append(sample)
        held += count
    yield batch


def _sums_of_rows(samples: Sequence[torch.Tensor]) -> Iterator[_Sums]:
    """Yield the sums of samples of one length, in float32 as far as its range allows."""
    dtype = torch.float32 if all(sample.dtype == torch.float32 for sample in samples) else torch.float64
    memory = torch.empty(min(len(samples), _ROWS), _RUNS, _RUN, dtype=dtype, device="cpu")
    for start in range(0, len(samples), _ROWS):
        batch = [_read(sample) for sample in samples[start : start + _ROWS]]
        rows = torch.stack(batch, out=memory[: len(batch)]).flatten(1)
        values: NDArray[Any] = rows.numpy()
        first = values[:, 0].astype(np.float64)
        values -= values[:, :1].copy()
        squares, totals = np.vecdot(values, values).astype(np.float64), rows.sum(1).numpy().astype(np.float64)
        if dtype == torch.float32:
            for row in np.flatnonzero(~((squares > _LEAST_SQUARE) & (squares < inf))).tolist():
                wide = batch[row].numpy().astype(np.float64).reshape(-1)
                wide -= wide[0]
                squares[row], totals[row] = wide.dot(wide), wide.sum()
        yield first, totals, squares


def _sample(tensor: torch.Tensor) -> torch.Tensor:
    """Return values of a detached tensor: all of a small one, flat, and some from all over a large one as runs.

    As far as it can be it is a view, and nothing is kept but what is looked at.
    """
    count = tensor.numel()
    if count <= _RUNS * _RUN:
        return tensor if tensor.dim() == 1 else tensor.flatten()
    if tensor.is_contiguous():
        return tensor.as_strided((_RUNS, _RUN), (count // _RUNS, 1))
    return tensor.flatten()[:: count // (_RUNS * _RUN)][: _RUNS * _RUN].reshape(_RUNS, _RUN).clone()


def _read(sample: torch.Tensor) -> torch.Tensor:
    """Return a sample as NumPy can have it; it does not have all data types, and is slow with some."""
    held = sample if sample.dtype == torch.float32 else sample.to(torch.float64)
    return held if held.is_cpu else held.cpu()
