"""Dimensions that the values of a net decide: as many as boxes are found, or items chosen.

A plan has for them what Caffe has before the first pass. A model that is written for any data leaves them open.
"""

from dataclasses import replace

from filler_server.models.graph import Graph, Node
from filler_server.net.operations import arrangement, combination, detection, regions
from filler_server.net.plan import Shape

_FOUND = {combination.Filter: 0, detection.DetectionOutput: 2, regions.Proposal: 0}
"""The axis along which the tops of an operation have as many values as were found."""


def open_shapes(graph: Graph) -> Graph:
    """Return a graph in whose shapes such dimensions are None, those of what is made of them included."""
    shapes = dict(graph.shapes)
    opened: set[str] = set()
    for node in graph.nodes:
        if type(node.operation) in _FOUND or opened.intersection(node.bottoms):
            for top in node.tops:
                shapes[top] = _opened(node, shapes, shapes[top], opened)
            opened.update(top for top in node.tops if shapes[top] is None or None in (shapes[top] or ()))
    return replace(graph, shapes=shapes) if opened else graph


def _opened(node: Node, shapes: dict[str, Shape], top: Shape, opened: set[str]) -> Shape:
    """Return the shape of a top, open where that of its bottoms is."""
    operation = node.operation
    if top is None or not top:
        return top
    if type(operation) in _FOUND:
        return _with_open(top, _FOUND[type(operation)])
    bottom = shapes[next(bottom for bottom in node.bottoms if bottom in opened)]
    if bottom is None:
        return None
    axes = [axis for axis, dim in enumerate(bottom) if dim is None]
    match operation:
        case arrangement.Permute(order=order):
            axes = [order.index(axis) for axis in axes]
        case arrangement.Flatten(axis=start, end_axis=end):
            length = end - start
            axes = [axis if axis <= start else start if axis <= end else axis - length for axis in axes]
        case arrangement.Reshape():
            return _reshaped(operation, top, axes)
        case _ if len(bottom) != len(top) and axes != [0]:
            return None
    for axis in axes:
        top = _with_open(top, axis)
    return top


def _reshaped(operation: arrangement.Reshape, top: tuple[int | None, ...], axes: list[int]) -> Shape:
    for axis in axes:
        place = axis - operation.axis
        if place < 0 or (place < len(operation.dims) and operation.dims[place] == 0):
            top = _with_open(top, axis)
        elif -1 in operation.dims:
            top = _with_open(top, operation.axis + operation.dims.index(-1))
        else:
            return None
    return top


def _with_open(shape: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return (*shape[:axis], None, *shape[axis + 1 :]) if axis < len(shape) else shape
