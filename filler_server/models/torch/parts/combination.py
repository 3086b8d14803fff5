"""Choices among values of which some may be equal."""

import torch
from torch import Tensor


def eltwise_max(a: Tensor, b: Tensor, *others: Tensor) -> Tensor:
    """Return the largest values; of equal ones the second of the first two has the gradient, as in Caffe."""
    largest = torch.where(a > b, a, b)
    for other in others:
        largest = torch.where(other > largest, other, largest)
    return largest


def arg_max(x: Tensor, axis: int, top_k: int = 1, values: bool = False) -> Tensor:
    """Caffe's ArgMax along an axis: of equal values the one of the largest index comes first."""
    found, places = x.flip(axis).sort(dim=axis, descending=True, stable=True)
    chosen = found if values else (x.shape[axis] - 1 - places).to(x.dtype)
    return chosen.narrow(axis, 0, top_k)


def arg_max_of_item(x: Tensor, top_k: int = 1, values: bool = False) -> Tensor:
    """Caffe's ArgMax over all values of each item; with `values` they follow the indices."""
    # Items may be single values, without axes of their own.
    flat = x[:, None].flatten(1)
    rows = [arg_max(flat, 1, top_k)]
    if values:
        rows.append(arg_max(flat, 1, top_k, values=True))
    return torch.stack(rows, dim=1).reshape(x.shape[0], len(rows), top_k, *(1,) * (x.dim() - 3))
