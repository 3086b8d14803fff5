"""Maps made larger."""

import torch
from torch import Tensor


def unpooled(x: Tensor, mask: Tensor, size: tuple[int, int]) -> Tensor:
    """SegNet's Upsample: values back where a pooling took them from; of several for one place the last one counts."""
    values, places = x.flatten(2), mask.flatten(2).long()
    last = torch.full((*values.shape[:2], size[0] * size[1]), -1, dtype=torch.long, device=x.device)
    order = torch.arange(places.shape[2], device=x.device).expand_as(places)
    last = last.scatter_reduce(2, places, order, "amax")
    return torch.where(last >= 0, values.gather(2, last.clamp(min=0)), 0).unflatten(2, size)
