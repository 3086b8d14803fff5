"""Boxes (xmin, ymin, xmax, ymax): how much they overlap, and which of them are kept."""

import torch
from torch import Tensor


def areas(boxes: Tensor, unit: float = 0.0) -> Tensor:
    """Return the areas of boxes [..., 4]; `unit` is added to both sides, 1 where corners are whole pixels."""
    width, height = (boxes[..., 2:] - boxes[..., :2] + unit).unbind(-1)
    return torch.where((width < unit) | (height < unit), 0, width * height)


def overlaps(boxes: Tensor, others: Tensor, unit: float = 0.0) -> Tensor:
    """Return the area that boxes share with others, by the area that the two have together."""
    corners = torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = areas(torch.cat(corners, dim=-1), unit)
    together = areas(boxes, unit) + areas(others, unit) - shared
    return torch.where(shared > 0, shared / together, 0)


def kept(
    boxes: Tensor, candidates: Tensor, threshold: float, most: int, unit: float = 0.0, eta: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the boxes of each list that overlap none kept before by more than a threshold.

    Args:
        boxes: lists of boxes [lists, boxes, 4], the best first.
        candidates: which of them count [lists, boxes].
        threshold: the overlap up to which two boxes are kept.
        most: how many are kept at most.
        unit: as in `areas`.
        eta: what the threshold is multiplied with after each box that is kept, while it is above 0.5.

    Returns:
        Their places in the lists [lists, most], and which of these mean something.
    """
    number = torch.arange(boxes.shape[1], device=boxes.device)
    last = torch.full((len(boxes), 1), -1, device=boxes.device)
    covered = torch.zeros_like(boxes[..., 0])
    limit = torch.full_like(boxes[:, :1, 0], threshold)
    places: list[Tensor] = []
    found: list[Tensor] = []
    for _ in range(most):
        left = candidates & (number > last) & (covered <= limit)
        is_one = left.any(1, keepdim=True)
        if not torch.compiler.is_compiling() and not is_one.any():
            break
        last = torch.where(is_one, left.int().argmax(1, keepdim=True), boxes.shape[1])
        place = last.clamp(max=boxes.shape[1] - 1)
        box = boxes.gather(1, place[..., None].expand(-1, -1, 4))
        covered = torch.maximum(covered, overlaps(box, boxes, unit))
        limit = torch.where((limit > 0.5) & is_one, limit * eta, limit)
        places.append(place)
        found.append(is_one)
    if not places:
        return torch.zeros_like(candidates[:, :0], dtype=torch.long), candidates[:, :0]
    return torch.cat(places, dim=1), torch.cat(found, dim=1)
