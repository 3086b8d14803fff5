"""Views of tensors in NumPy, and figures of their values."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import ml_dtypes
import torch
from numpy.typing import NDArray

_RUNS, _RUN = 16, 512
"""A sample of a large tensor: so many runs of so many values, evenly spaced."""


def can_hold_a_blob(dtype: torch.dtype) -> bool:
    """Whether it is one of the four data types of blobs."""
    return dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a tensor on the CPU as an array of the same shape, strides and data type."""
    if tensor.dtype == torch.bfloat16:
        array: NDArray[Any] = tensor.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    else:
        array = tensor.detach().numpy()
    return array


def receives(tensor: torch.Tensor) -> bool:
    """Whether a blob can be received into the tensor's own memory: on the CPU, in C order."""
    return bool(tensor.device.type == "cpu" and tensor.is_contiguous())


def measured(tensors: Sequence[torch.Tensor]) -> tuple[float, float] | None:
    """Return mean and standard deviation of the values of tensors, large ones sampled; None where there are none."""
    samples = [_sample(tensor) for tensor in tensors]
    if not samples:
        return None
    values = torch.cat(samples) if len(samples) > 1 else samples[0]
    # From the first value on, so that equal values have a deviation of 0.
    first = values[0].item()
    values = values - first
    mean = values.sum().item() / values.numel()
    return first + mean, sqrt(max(torch.dot(values, values).item() / values.numel() - mean * mean, 0.0))


def _sample(tensor: torch.Tensor) -> torch.Tensor:
    """Return values of a tensor as float64, all of a small one and 8192 of a large one, from all over it."""
    flat = tensor.detach()
    if flat.numel() > _RUNS * _RUN:
        # Whole rows, so that nothing is copied but what is looked at.
        if flat.is_contiguous():
            flat = flat.view(-1)
            flat = flat[: flat.numel() // _RUNS * _RUNS].view(_RUNS, -1)[:, :_RUN]
        else:
            flat = flat.flatten()[:: flat.numel() // (_RUNS * _RUN)][: _RUNS * _RUN]
    return flat.to(torch.float64).reshape(-1)
