"""Views of tensors in NumPy, and figures of their values."""

from collections.abc import Iterable, Sequence
from math import inf, sqrt
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

_RUNS, _RUN = 16, 512
"""A sample of a large tensor: so many runs of so many values, evenly spaced."""

_LEAST_SQUARE = 1e-20
"""A sum of squares in float32, below which digits of its terms may be lost."""


def can_hold_a_blob(dtype: torch.dtype) -> bool:
    """Whether it is one of the four data types of blobs."""
    return dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)


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
def measured(groups: Iterable[Sequence[torch.Tensor]]) -> list[tuple[float, float] | None]:
    """Return mean and standard deviation of the values of each group of tensors, large ones sampled.

    Where a group has no values, there is None.
    """
    return [_figures(map(_sample, group)) for group in groups]


def _figures(samples: Iterable[NDArray[Any]]) -> tuple[float, float] | None:
    count, first, total, squares = 0, 0.0, 0.0, 0.0
    for sample in samples:
        # From the first value on, so that equal values have a deviation of 0.
        first = first if count else sample.item(0)
        values = (sample - sample.dtype.type(first)).reshape(-1)
        square = values.dot(values).item()
        if not _LEAST_SQUARE < square < inf:
            values = sample.astype(np.float64).reshape(-1) - first
            square = values.dot(values).item()
        count += values.size
        if square:
            total += values.sum().item()
            squares += square
    if not count:
        return None
    mean = total / count
    return first + mean, sqrt(max(squares / count - mean * mean, 0.0))


def _sample(tensor: torch.Tensor) -> NDArray[Any]:
    """Return values of a detached tensor, all of a small one and 8192 of a large one, from all over it."""
    held = tensor
    if held.numel() > _RUNS * _RUN:
        # Whole rows, so that nothing is copied but what is looked at.
        if held.is_contiguous():
            held = held.as_strided((_RUNS, _RUN), (held.numel() // _RUNS, 1))
        else:
            held = held.flatten()[:: held.numel() // (_RUNS * _RUN)][: _RUNS * _RUN]
    if held.dtype != torch.float32:
        # NumPy does not have all data types, and is slow with some.
        held = held.to(torch.float64)
    sample: NDArray[Any] = (held if held.is_cpu else held.cpu()).numpy()
    return sample
