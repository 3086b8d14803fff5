"""Boxes (xmin, ymin, xmax, ymax) that overlap, of which the best ones are kept."""

import numpy as np

from filler_server.models.onnx.layer import LayerNodes

_TINY = float(np.finfo(np.float32).tiny)
LOWEST = float(np.finfo(np.float32).min)
"""The score of what is no candidate."""


def chosen(layer: LayerNodes, boxes: str, scores: str, threshold: float, least: float, most: int) -> str:
    """Return which boxes NonMaxSuppression keeps: rows (group, class, box), in falling order of scores.

    Args:
        layer: the layer.
        boxes: [groups, boxes, 4], of which the empty ones overlap with none.
        scores: [groups, classes, boxes].
        threshold: overlap up to which two boxes of a class are kept.
        least: what a score must exceed.
        most: how many are kept of a class.
    """
    return layer.add(
        "NonMaxSuppression",
        boxes,
        scores,
        layer.integers(most, "most"),
        # No overlap is above 1.
        layer.constant(min(threshold, 1), "threshold"),
        layer.constant(least, "least"),
    )


def chosen_by_falling_threshold(
    layer: LayerNodes, boxes: str, scores: str, threshold: float, least: float, eta: float
) -> str:
    """Return the same where each box that is kept lowers the threshold by a factor while it is above 0.5.

    Args:
        layer: the layer.
        boxes: [groups, classes, boxes, 4], in falling order of their scores.
        scores: [groups, classes, boxes].
        threshold: overlap up to which the second box is kept.
        least: what a score must exceed.
        eta: the factor.
    """
    number = layer.add("Shape", scores, start=2, end=3)
    fits = layer.add("Greater", scores, layer.constant(least, "least"))
    places = layer.add("Range", layer.integers(0, "start"), layer.reshaped(number, []), layer.integers(1, "delta"))
    nothing = layer.floats(layer.add("And", fits, layer.add("Not", fits)))
    bounds = layer.add("Add", layer.reduced("ReduceMax", nothing, [2]), layer.constant(threshold, "threshold"))

    def step(place: str, kept: str, bound: str) -> list[str]:
        here = layer.reshaped(place, [1])
        overlap = _overlap(layer, boxes, layer.add("Gather", boxes, here, axis=2))
        largest = layer.reduced("ReduceMax", layer.add("Mul", overlap, kept), [2])
        good = layer.add("And", layer.add("LessOrEqual", largest, bound), layer.add("Gather", fits, here, axis=2))
        added = layer.floats(layer.add("And", good, layer.add("Equal", places, here)))
        falls = layer.add("And", good, layer.add("Greater", bound, layer.constant(0.5, "half")))
        lower = layer.add("Mul", bound, layer.constant(eta, "eta"))
        return [layer.add("Add", kept, added), layer.add("Where", falls, lower, bound)]

    kept, _ = layer.loop(layer.reshaped(number, []), [nothing, bounds], step)
    return layer.add("Transpose", layer.add("NonZero", kept), perm=[1, 0])


def without_empty(layer: LayerNodes, boxes: str) -> str:
    """Return boxes of which those without width or height are at 0: as in Caffe, they overlap with none."""
    low, high = layer.add_all("Split", 2, boxes, layer.integers([2, 2], "corners"), axis=-1)
    sides = layer.floats(layer.add("Greater", high, low))
    return layer.add("Mul", boxes, layer.add("ReduceMin", sides, layer.integers([-1], "axes"), keepdims=1))


def _overlap(layer: LayerNodes, boxes: str, one: str) -> str:
    """Return the area that boxes have in common with one of them, divided by that of both."""
    corners = layer.integers([2, 2], "corners")
    low, high = layer.add_all("Split", 2, boxes, corners, axis=-1)
    other_low, other_high = layer.add_all("Split", 2, one, corners, axis=-1)
    shared = layer.add("Sub", layer.add("Min", high, other_high), layer.add("Max", low, other_low))
    common, own, other = (
        layer.add("ReduceProd", sides, layer.integers([-1], "axes"), keepdims=0)
        for sides in (
            layer.add("Relu", shared),
            layer.add("Sub", high, low),
            layer.add("Sub", other_high, other_low),
        )
    )
    union = layer.add("Sub", layer.add("Add", own, other), common)
    # Empty boxes have nothing in common, and no area.
    return layer.add("Div", common, layer.add("Max", union, layer.constant(_TINY, "tiny")))
