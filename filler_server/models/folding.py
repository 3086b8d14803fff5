"""Normalizations that become part of the weights before them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Graph, Node, with_nodes
from filler_server.net.operations.convolution import Convolution, Deconvolution
from filler_server.net.operations.inner_product import InnerProduct
from filler_server.net.operations.normalization import BN, BatchNorm, Bias, Scale
from filler_server.tensors import ArrayTensor, Tensor, cast

_Vector = NDArray[np.float64]
_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Folded:
    """A graph after folding.

    Attributes:
        graph: the graph.
        layers: names of the nodes that are gone, each with that of the node that does their work.
    """

    graph: Graph
    layers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Affine:
    """Multiplication and addition, one number of each for every channel."""

    factor: _Vector
    offset: _Vector


def fold_batch_norm(graph: Graph) -> Folded:
    """Return a graph without the normalizations that can be part of the weights before them.

    These are BatchNorm and BN by stored statistics, and Scale and Bias by one learned value for each channel, directly
    after a convolution or an inner product whose weights nobody shares and whose own top nobody else reads. The layer
    before keeps its name, its top is that of the last layer that was folded, and it has a bias from then on.
    """
    nodes = list(graph.nodes)
    tensors = dict(graph.tensors)
    gone: dict[str, str] = {}
    place = 0
    while place < len(nodes):
        node = nodes[place]
        follower = _only_reader(graph, nodes, node)
        affine = None if follower is None else _affine(replace(graph, tensors=tensors), node, follower)
        if follower is None or affine is None or not _is_alone(nodes, node):
            place += 1
            continue
        nodes[place] = _folded(graph, node, follower, affine, tensors)
        nodes.remove(follower)
        gone[follower.name] = node.name
    shapes = {key: shape for key, shape in graph.blob_shapes.items() if key[0] not in gone.values()}
    return Folded(with_nodes(replace(graph, blob_shapes=shapes), nodes, tensors), gone) if gone else Folded(graph, gone)


def _only_reader(graph: Graph, nodes: list[Node], node: Node) -> Node | None:
    """Return the node that alone reads the only top of a node, or None."""
    if len(node.tops) != 1 or node.tops[0] in graph.outputs:
        return None
    readers = [other for other in nodes for bottom in other.bottoms if bottom == node.tops[0]]
    return readers[0] if len(readers) == 1 and readers[0].bottoms == node.tops else None


def _is_alone(nodes: list[Node], node: Node) -> bool:
    """Whether no other node has blobs of a node."""
    return not any(set(other.blobs).intersection(node.blobs) for other in nodes if other is not node)


def _affine(graph: Graph, node: Node, follower: Node) -> _Affine | None:
    """Return what a node does to the channels of the one before it, or None where it does anything else."""
    channels, axis = _channels(node)
    if channels is None:
        return None

    def values(index: int) -> _Vector:
        return np.asarray(cast(graph.tensors[follower.blobs[index]], _SINGLE).array(), np.float64).reshape(-1)

    ones, zeros = np.ones(channels), np.zeros(channels)
    match follower.operation:
        case BatchNorm(use_global_stats=True) as operation if axis == 1:
            mean, variance, factor = (values(index) for index in range(3))
            rate = 0 if factor[0] == 0 else 1 / factor[0]
            scale, offset = (values(3), values(4)) if operation.scale_bias else (ones, zeros)
            return _normalizing(scale, offset, mean * rate, variance * rate, operation.eps)
        case BN(statistics="stored") as operation if axis == 1 and len(follower.tops) == 1:
            return _normalizing(values(0), values(1), values(2), values(3), operation.eps)
        case Scale(from_bottom=False) as operation if _by_channel(graph, follower, operation.axis, axis, channels):
            return _Affine(values(0), values(1) if operation.bias else zeros)
        case Bias(from_bottom=False) as operation if _by_channel(graph, follower, operation.axis, axis, channels):
            return _Affine(ones, values(0))
    return None


def _normalizing(scale: _Vector, offset: _Vector, mean: _Vector, variance: _Vector, eps: float) -> _Affine:
    factor = scale / np.sqrt(variance + eps)
    return _Affine(factor, offset - mean * factor)


def _by_channel(graph: Graph, follower: Node, own: int | None, axis: int, channels: int) -> bool:
    return own == axis and graph.blob_shape(follower, 0) == (channels,)


def _channels(node: Node) -> tuple[int | None, int]:
    """Return how many channels the top of a node has, and their axis; None where it has no weights of its own."""
    match node.operation:
        case Convolution(squeeze=False) | Deconvolution(squeeze=False) as operation:
            return operation.num_output, operation.axis
        case InnerProduct(weight_bottom=False, bias_bottom=False) as operation:
            return operation.num_output, operation.axis
    return None, 0


def _folded(graph: Graph, node: Node, follower: Node, affine: _Affine, tensors: dict[str, Tensor]) -> Node:
    """Return a node that does the work of the one after it, too; its tensors change."""
    operation: Any = node.operation
    weight = node.blobs[0]
    tensors[weight] = _ByChannel(tensors[weight], affine.factor, _channel_of(graph, node))
    name = node.blobs[1] if operation.bias else _free(f"{node.name}/1", tensors)
    before = np.asarray(cast(tensors[name], _SINGLE).array(), np.float64).reshape(-1) if operation.bias else 0
    bias = (before * affine.factor + affine.offset).astype(np.float32)
    tensors[name] = ArrayTensor(name, bias)
    return replace(node, operation=operation.replace(bias=True), tops=follower.tops, blobs=(weight, name))


def _free(name: str, tensors: Mapping[str, Tensor]) -> str:
    while name in tensors:
        name += "'"
    return name


def _channel_of(graph: Graph, node: Node) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Return a function that tells to which channel of the top each value of a weight belongs, by its flat index."""
    shape = graph.blob_shape(node, 0)
    match node.operation:
        case Deconvolution(group=group):
            inputs, outputs = shape[0] // (group or 1), shape[1]
            kernel = int(np.prod(shape[2:]))
            return lambda index: index // (inputs * outputs * kernel) * outputs + index // kernel % outputs
        case InnerProduct(transpose=True):
            return lambda index: index % shape[-1]
    inner = int(np.prod(shape[1:])) if not isinstance(node.operation, InnerProduct) else shape[-1]
    return lambda index: index // inner


class _ByChannel(Tensor):
    """A tensor whose values are multiplied by a factor for each channel."""

    def __init__(
        self, base: Tensor, factor: _Vector, channel_of: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    ) -> None:
        super().__init__(base.name, base.shape, _SINGLE)
        self._base = cast(base, _SINGLE)
        self._factor = factor
        self._channel_of = channel_of

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Read the other tensor and multiply."""
        self._base.read(start, out)
        out *= self._factor[self._channel_of(np.arange(start, start + out.size))]
