"""Losses that compare two values which come through the same weights."""

from collections.abc import Sequence, Set

from filler_server.net.operations import losses
from filler_server.net.plan import Layer, NetPlan

_COMPARE = (losses.ContrastiveLoss, losses.EuclideanLoss, losses.SmoothL1Loss)
_FIRST, _SECOND = 1, 2


def comparisons(plan: NetPlan, twins: Sequence[Layer] = ()) -> tuple[Sequence[Layer], Set[str]]:
    """Return the losses that compare two values through weights of the net, and the blobs that both come through.

    The gradients of the two values are opposite: in that of such a blob they cancel as far as what its layers are given
    is alike.

    Args:
        plan: the net.
        twins: other layers whose bottoms come through the same weights.
    """
    compare = [layer for layer in plan.layers if any(layer.loss_weights) and isinstance(layer.operation, _COMPARE)]
    compare += twins
    if not compare:
        return [], set()
    learned: list[bool] = []
    for layer in plan.layers:
        learned.append(bool(layer.blobs) or any(learned[value.layer] for value in layer.producers))
    found = [layer for layer in compare if all(learned[value.layer] for value in layer.producers[:2])]
    sides = [0] * len(plan.layers)
    for layer in found:
        for value, side in zip(layer.producers, (_FIRST, _SECOND), strict=False):
            sides[value.layer] |= side
    reached: dict[str, int] = {}
    for index in reversed(range(len(plan.layers))):
        layer = plan.layers[index]
        for value in layer.producers:
            sides[value.layer] |= sides[index]
        for blob in layer.blobs:
            name = blob.owner or blob.name
            reached[name] = reached.get(name, 0) | sides[index]
    return found, {name for name, side in reached.items() if side == _FIRST | _SECOND}
