"""Inputs whose values are known, as part of a graph."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Graph, Node, with_nodes
from filler_server.net.operations.data import Parameter
from filler_server.tensors import ArrayTensor


def with_constants(graph: Graph, values: Mapping[str, NDArray[Any]]) -> Graph:
    """Return a graph that has the values of some of its inputs itself.

    Args:
        graph: the graph.
        values: by the names of values; those that are not inputs of the graph do not count.
    """
    nodes, tensors = list(graph.nodes), dict(graph.tensors)
    taken = {node.name for node in nodes}
    for name in reversed(graph.inputs):
        if name in values:
            unique = _free(name, taken)
            blob = _free(f"{unique}/0", {*tensors, *graph.shapes})
            tensors[blob] = ArrayTensor(blob, np.asarray(values[name], np.float32))
            nodes.insert(0, Node(unique, "Parameter", Parameter(), (), (name,), (blob,), frozen=True))
    if len(nodes) == len(graph.nodes):
        return graph
    inputs = tuple(name for name in graph.inputs if name not in values)
    return with_nodes(replace(graph, inputs=inputs), nodes, tensors)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    return name
