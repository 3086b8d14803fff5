"""Stored statistics of normalizations, which Caffe keeps as sums beside a factor."""

from dataclasses import replace

import numpy as np

from filler_server.models.graph import Graph, Node
from filler_server.net.operations.normalization import BatchNorm
from filler_server.tensors import ArrayTensor, Tensor, cast

_SINGLE = np.dtype(np.float32)
_STATISTICS = 3


def with_means(graph: Graph) -> Graph:
    """Return a graph whose BatchNorms have means and variances in place of sums, with a factor of 1.

    Of 16 bits sums may be too large, and the quotient of two rounded numbers is not the rounded quotient. BatchNorms
    that share some of these blobs but not all keep their sums.
    """
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        blobs = node.blobs[:_STATISTICS]
        if not isinstance(node.operation, BatchNorm) or not _together(graph, blobs):
            continue
        factor = _values(graph.tensors[blobs[2]]).reshape(-1)[0]
        if factor != 0:
            rate = np.float32(1) / factor
            for blob in blobs:
                array = _values(graph.tensors[blob])
                tensors[blob] = ArrayTensor(blob, np.ones_like(array) if blob == blobs[2] else array * rate)
    return replace(graph, tensors=tensors)


def _together(graph: Graph, blobs: tuple[str, ...]) -> bool:
    """Whether all nodes that have one of these statistics have all of them, as statistics."""
    return all(_has(node, blobs) for node in graph.nodes if set(node.blobs).intersection(blobs))


def _has(node: Node, blobs: tuple[str, ...]) -> bool:
    return (
        isinstance(node.operation, BatchNorm)
        and node.blobs[:_STATISTICS] == blobs
        and not set(node.blobs[_STATISTICS:]).intersection(blobs)
    )


def _values(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return cast(tensor, _SINGLE).array()
