"""Boxes (xmin, ymin, xmax, ymax): how much two overlap, how they are encoded, and which of them are kept."""

import numpy as np
from numpy.typing import NDArray

from filler_server.models.reference.registry import Array


def areas(boxes: Array, unit: float = 0) -> Array:
    """Return the areas of boxes [..., 4]; `unit` is added to both sides, 1 where corners are whole pixels."""
    width, height = (boxes[..., 2 + side] - boxes[..., side] + unit for side in (0, 1))
    return np.where((width < unit) | (height < unit), 0, width * height)


def overlaps(box: Array, others: Array, unit: float = 0) -> Array:
    """Return the area that a box shares with each of others [..., 4], by the area that the two have together."""
    common = np.concatenate([np.maximum(box[..., :2], others[..., :2]), np.minimum(box[..., 2:], others[..., 2:])], -1)
    shared = areas(common, unit)
    return np.divide(
        shared, areas(box, unit) + areas(others, unit) - shared, out=np.zeros_like(shared), where=shared > 0
    )


def decoded(priors: Array, variances: Array, offsets: Array, code: str) -> Array:
    """Return the boxes that offsets [..., 4] from priors make.

    Args:
        priors: boxes.
        variances: what offsets are multiplied with.
        offsets: as they are predicted.
        code: corner, center_size or corner_size.
    """
    offsets = offsets * variances
    size = priors[..., 2:] - priors[..., :2]
    match code:
        case "corner":
            return priors + offsets
        case "corner_size":
            return priors + offsets * np.concatenate([size, size], -1)
    center = (priors[..., :2] + priors[..., 2:]) / 2 + offsets[..., :2] * size
    half = np.exp(offsets[..., 2:]) * size / 2
    return np.concatenate([center - half, center + half], -1)


def encoded(priors: Array, found: Array, code: str) -> Array:
    """Return the offsets from priors [..., 4] that make boxes, before variances divide them; as in `decoded`."""
    size = priors[..., 2:] - priors[..., :2]
    match code:
        case "corner":
            return found - priors
        case "corner_size":
            return (found - priors) / np.concatenate([size, size], -1)
    moved = (found[..., :2] + found[..., 2:] - priors[..., :2] - priors[..., 2:]) / 2 / size
    return np.concatenate([moved, np.log((found[..., 2:] - found[..., :2]) / size)], -1)


def kept(
    boxes: Array, threshold: float, *, unit: float = 0, eta: float = 1, most: int | None = None
) -> NDArray[np.intp]:
    """Return the indices of boxes, the best first, that overlap none kept before by more than a threshold.

    Args:
        boxes: [N, 4], the best first.
        threshold: the overlap up to which two boxes are kept.
        unit: as in `areas`.
        eta: what the threshold is multiplied with after each box that is kept, while it is above 0.5.
        most: how many are kept at most.
    """
    chosen: list[int] = []
    for index, box in enumerate(boxes):
        if most is not None and len(chosen) >= most:
            break
        if chosen and overlaps(box, boxes[chosen], unit).max() > threshold:
            continue
        chosen.append(index)
        if eta < 1 and threshold > 0.5:
            threshold *= eta
    return np.array(chosen, np.intp)
