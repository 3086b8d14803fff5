"""The forward pass of a graph."""

import os
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

import filler_server.models.reference.functions  # noqa: F401 - registers the functions
from caffe_filler.errors import InvalidArgument, LimitExceeded, NetError
from caffe_filler.printable import shape_text
from filler_server.models.graph import Graph, Node, check, wanted
from filler_server.models.reference.registry import Array, Layer, function_for, reason
from filler_server.models.refusal import Refusal, refusal_error
from filler_server.net.plan import Shape


def evaluate(graph: Graph, inputs: Mapping[str, Array], dtype: Any = np.float64) -> dict[str, Array]:
    """Return the outputs of a graph, by their names and in its order.

    Recurrent layers start from a state of 0. Values are let go when no layer needs them any more.

    Args:
        graph: what to compute; only what its outputs need is.
        inputs: values of its inputs, in their shapes and of any dtype of numbers; others do not count.
        dtype: float64 or float32, in which everything is computed.

    Returns:
        Arrays of that dtype; labels and indices, too.

    Raises:
        InvalidArgument: an input is missing or has another shape, or holds a label or an index that there is not.
        NetError: layers cannot be computed; all of them are named. Or a shape is not known.
        LimitExceeded: it would take more memory than the machine has.
    """
    part = check(wanted(graph, graph.outputs))
    found: dict[str, Array] = {}
    for name, array in forward(part, inputs, dtype):
        if name in part.outputs:
            # Some are views of others, or of the inputs.
            found[name] = np.array(array)
    return {name: found[name] for name in part.outputs}


def forward(graph: Graph, inputs: Mapping[str, Array], dtype: Any = np.float64) -> Iterator[tuple[str, Array]]:
    """Yield each value of a graph with its name: those of the inputs, then those of each layer in order.

    Values are let go when no layer needs them any more. Arguments and errors are those of `evaluate`; all layers of the
    graph are computed.
    """
    kind = np.dtype(dtype)
    if kind not in (np.float64, np.float32):
        raise InvalidArgument(f"a net computes in float64 or float32. Received: dtype={kind}", field="dtype")
    check_computable(graph)
    check_memory(graph, kind)
    values = {name: _input(graph, name, inputs, kind) for name in graph.inputs}
    yield from list(values.items())
    uses = _uses(graph)
    for node in graph.nodes:
        with np.errstate(all="ignore"):
            made = compute(graph, node, values, kind)
        for bottom in node.bottoms:
            uses[bottom] -= 1
            if not uses[bottom]:
                del values[bottom]
        yield from zip(node.tops, made, strict=False)
        values.update((top, array) for top, array in zip(node.tops, made, strict=False) if uses[top])
        del made


def check_computable(graph: Graph) -> None:
    """Refuse a graph with layers that cannot be computed.

    Raises:
        NetError: naming all of them, and the tops before them.
    """
    refused = [Refusal(node, why) for node in graph.nodes if (why := reason(node)) is not None]
    if refused:
        raise refusal_error(graph, refused, "the reference evaluator")


def check_memory(graph: Graph, dtype: np.dtype[Any], most: int | None = None) -> None:
    """Refuse a graph whose values take more memory at once than there is.

    Args:
        graph: the part that is computed.
        dtype: of the values.
        most: number of bytes; None: the memory of the machine.

    Raises:
        LimitExceeded: naming the layer.
    """
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if most is None else most
    sizes = {name: prod(dim or 0 for dim in shape or (0,)) * dtype.itemsize for name, shape in graph.shapes.items()}
    uses = _uses(graph)
    held = sum(sizes[name] for name in graph.inputs)
    for node in graph.nodes:
        held += sum(sizes[top] for top in node.tops)
        blobs = sum(graph.tensors[blob].count * dtype.itemsize for blob in node.blobs)
        if held + blobs > most:
            raise LimitExceeded(
                f"layer '{node.name}' needs {held + blobs:,} bytes at once for its values and those that later layers "
                f"need; this machine has {most:,}. Its tops are "
                f"{', '.join(shape_text(graph.shapes[top]) for top in node.tops)}",
                line=node.line,
            )
        for name in (*node.bottoms, *node.tops):
            uses[name] -= name in node.bottoms
            held -= sizes[name] if not uses[name] else 0


def _uses(graph: Graph) -> dict[str, int]:
    """Return how many times each value is read, as an output of the graph, too."""
    uses = dict.fromkeys(graph.shapes, 0)
    for name in (*graph.outputs, *(bottom for node in graph.nodes for bottom in node.bottoms)):
        uses[name] += 1
    return uses


def compute(graph: Graph, node: Node, values: Mapping[str, Array], dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return the tops of one layer from the values of its bottoms, which are of the dtype.

    Raises:
        InvalidArgument: a bottom holds a label or an index that there is not.
    """
    blobs = tuple(
        graph.tensors[blob].array().astype(dtype, copy=False).reshape(graph.blob_shape(node, index))
        for index, blob in enumerate(node.blobs)
    )
    layer = Layer(tuple(values[bottom] for bottom in node.bottoms), blobs, len(node.tops))
    try:
        made = function_for(node.operation)(node.operation, layer)
    except InvalidArgument as error:
        raise NetError(error.reason, layer=node.name, line=node.line) from None
    except ValueError as error:
        # Of a shape that data decide, such as that of a Filter, nobody knew before.
        shapes = ", ".join(shape_text(bottom.shape) for bottom in layer.bottoms)
        raise NetError(
            f"it cannot be computed from what its bottoms have turned out to be: {error}. Received: {shapes}",
            layer=node.name,
            line=node.line,
        ) from None
    except MemoryError:
        raise LimitExceeded(f"there is not enough memory for layer '{node.name}'", line=node.line) from None
    return made if isinstance(made, tuple) else (made,)


def _input(graph: Graph, name: str, inputs: Mapping[str, Array], dtype: np.dtype[Any]) -> Array:
    if name not in inputs:
        missing = ", ".join(f"'{other}'" for other in graph.inputs if other not in inputs)
        raise InvalidArgument(f"the net needs values of {missing}", field="inputs")
    array = np.asarray(inputs[name])
    shape: Shape = graph.shapes[name]
    if array.shape != shape:
        raise InvalidArgument(
            f"input '{name}' has the shape {shape_text(shape)}. Received: {shape_text(array.shape)}", field="inputs"
        )
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise InvalidArgument(f"input '{name}' holds numbers. Received: {array.dtype}", field="inputs")
    return array.astype(dtype)
