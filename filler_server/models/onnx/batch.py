"""Models for any batch: what is the same in the models of a net with two batches does not depend on it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from onnx import TensorProto, numpy_helper

from filler_server.models.graph import Graph
from filler_server.models.onnx.layer import Parts
from filler_server.models.refusal import Refusal, refusal_error
from filler_server.net.plan import Shape

BATCH = "batch"
"""The name of the dimension that differs."""

Symbols: TypeAlias = tuple[int | str | None, ...] | None
"""A shape in which a dimension may have a name."""


def for_any_batch(parts: Parts, other: Parts) -> Parts:
    """Return parts of a model that hold for any batch.

    Args:
        parts: those with one batch.
        other: those of the same net with another one.

    Raises:
        NetError: naming all layers that depend on the batch.
    """
    depend: dict[str, str] = {}
    constants: dict[str, TensorProto] = {}
    for name, constant in parts.constants.items():
        merged = _merged(constant, other.constants.get(name))
        constants[name] = constant if merged is None else merged
        if merged is None:
            depend.setdefault(parts.layers[name], name)
    theirs = {node.name: node.SerializeToString() for node in other.nodes}
    for node in parts.nodes:
        if theirs.get(node.name) != node.SerializeToString():
            depend.setdefault(parts.layers[node.name], node.name)
    if depend:
        refused = [
            Refusal(node, f"it depends on the batch (by {depend[node.name]})")
            for node in parts.graph.nodes
            if node.name in depend
        ]
        raise refusal_error(parts.graph, refused, "ONNX with any batch")
    return replace(parts, constants=constants)


def batch_dims(graph: Graph, other: Graph) -> Mapping[str, Symbols]:
    """Return the shapes of a graph, with names for the dimensions that differ from those with another batch."""
    batch = next(
        (
            dim
            for name in graph.inputs
            for dim, second in zip(graph.shapes[name] or (), other.shapes[name] or (), strict=True)
            if dim != second
        ),
        None,
    )
    return {name: _named(shape, other.shapes[name], batch) for name, shape in graph.shapes.items()}


def _named(shape: Shape, other: Shape, batch: int | None) -> Symbols:
    if shape is None or other is None:
        return None
    return tuple(dim if dim == second else _name(dim, batch) for dim, second in zip(shape, other, strict=True))


def _name(dim: int | None, batch: int | None) -> str | None:
    """Return the name of a dimension that is the batch or a multiple of it."""
    if dim is None or not batch or dim % batch:
        return None
    return BATCH if dim == batch else f"{dim // batch}*{BATCH}"


def _merged(one: TensorProto, other: TensorProto | None) -> TensorProto | None:
    """Return a constant that holds for both batches, or None.

    In a shape one dimension may differ, which is then worked out from the others.
    """
    if other is None:
        return None
    first, second = numpy_helper.to_array(one), numpy_helper.to_array(other)
    if first.shape != second.shape:
        return None
    differing = np.flatnonzero(first != second)
    if not len(differing):
        return one
    if len(differing) > 1 or not one.name.rpartition("/")[2].startswith("shape") or -1 in first:
        return None
    merged = first.copy()
    merged[differing[0]] = -1
    return numpy_helper.from_array(merged, one.name)
