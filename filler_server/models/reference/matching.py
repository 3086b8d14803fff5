"""The loss of SSD: ground truth matched with priors, and the confidences that count."""

import numpy as np
from numpy.typing import NDArray

from filler_server.models.reference import boxes
from filler_server.models.reference.registry import Array

_LEAST_OVERLAP = 1e-6
"""Overlap from which on a box and ground truth have to do with each other."""


def matches(priors: Array, truth: Array, least: float, *, bipartite: bool) -> tuple[NDArray[np.intp], Array]:
    """Return for each prior the ground truth that it is matched with, -1 for none, and how much it overlaps any.

    Each ground truth takes the prior that it overlaps most, the best pair first; then each other prior takes the
    ground truth that it overlaps most.

    Args:
        priors: boxes [N, 4].
        truth: boxes [M, 4].
        least: the overlap from which on a prior takes a ground truth in the second step.
        bipartite: whether there is no second step.
    """
    shared = boxes.overlaps(priors[:, None], truth[None])
    shared = np.where(shared > _LEAST_OVERLAP, shared, 0)
    most = shared.max(1, initial=0)
    matched = np.full(len(priors), -1, np.intp)
    left = shared.copy()
    for _ in range(len(truth)):
        prior, other = np.unravel_index(np.argmax(left), left.shape)
        if left[prior, other] == 0:
            break
        matched[prior] = other
        left[prior], left[:, other] = 0, 0
    if not bipartite:
        free = np.flatnonzero((matched == -1) & (most >= least) & (most > 0))
        if len(free):
            matched[free] = shared[free].argmax(1)
    return matched, most


def hardest(losses: Array, matched: NDArray[np.intp], overlap: Array, ratio: float, most: float) -> NDArray[np.intp]:
    """Return the priors without a match whose losses are the largest, in their order.

    Args:
        losses: the loss of each prior as background.
        matched: as `matches` has it.
        overlap: likewise.
        ratio: how many of them there are for each match.
        most: the overlap with any ground truth below which they must be.
    """
    candidates = np.flatnonzero((matched == -1) & (overlap < most))
    number = min(int((matched > -1).sum() * ratio), len(candidates))
    return np.sort(candidates[np.argsort(-losses[candidates], kind="stable")[:number]])
