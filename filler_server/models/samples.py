"""Random values for the inputs of a graph, of the kind that each is read as."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Dims, Graph, Node
from filler_server.net.operations import arrangement, combination, inner_product, losses, recurrent, regions, resizing

Draw: TypeAlias = Callable[[Any, Dims], NDArray[Any]]
"""Draws values of a shape with a generator."""

_ARRANGES = (
    arrangement.Concat,
    arrangement.Flatten,
    arrangement.Identity,
    arrangement.Permute,
    arrangement.Reshape,
    arrangement.Slice,
    arrangement.Split,
    arrangement.Tile,
)
"""Operations whose tops hold the values of their bottoms."""


def sample_inputs(graph: Graph, generator: Any, mean: float = 0.0, std: float = 1.0) -> dict[str, NDArray[np.float32]]:
    """Return random values for all inputs of a graph, by their names.

    They are normal, but for inputs that a layer takes as labels, indices, regions or marks of where sequences go on:
    these are drawn among those that there are.

    Args:
        graph: the graph, with the shapes of its inputs.
        generator: a `numpy.random.Generator`, used in the order of the inputs.
        mean: mean of normal inputs.
        std: their standard deviation.
    """

    def normal(generator: Any, shape: Dims) -> NDArray[Any]:
        return np.asarray(mean + std * generator.standard_normal(shape))

    draws = {name: _draw(graph, name) or normal for name in graph.inputs}
    return {name: draw(generator, graph.shape(name)).astype(np.float32) for name, draw in draws.items()}


def _draw(graph: Graph, name: str) -> Draw | None:
    """Return what draws the values of an input, as the first layer wants them that is particular about them."""
    return next((draw for node, index in _readers(graph, name) if (draw := _wanted(graph, node, index))), None)


def _readers(graph: Graph, name: str) -> Iterator[tuple[Node, int]]:
    """Yield the nodes that read a value, arranged anew or not, each with the index of the bottom."""
    same = {name}
    for node in graph.nodes:
        for index, bottom in enumerate(node.bottoms):
            if bottom in same:
                yield node, index
                if isinstance(node.operation, _ARRANGES):
                    same.update(node.tops)


def _wanted(graph: Graph, node: Node, index: int) -> Draw | None:
    """Return what draws a bottom that a layer takes for more than plain numbers, None for any other."""
    first = graph.shapes[node.bottoms[0]]
    known = None if first is None or None in first else graph.shape(node.bottoms[0])
    match node.operation, index:
        case (losses.SoftmaxWithLoss() | losses.Accuracy() | losses.InfogainLoss()) as operation, 1 if known:
            return _below(known[operation.axis])
        case ((losses.HingeLoss() | losses.MultinomialLogisticLoss()), 1) if known:
            return _below(prod(known[1:]))
        case losses.SigmoidCrossEntropyLoss(), 1:
            return _uniform
        case losses.ContrastiveLoss(), 2:
            return _below(2)
        case inner_product.Embed(input_dim=number), 0:
            return _below(number)
        case combination.BatchReindex(), 1 if known:
            return _below(known[0])
        case combination.Filter(), _ if index == len(node.bottoms) - 1:
            return _below(2)
        case ((recurrent.LSTM() | recurrent.RNN()), 1):
            return _going_on
        case recurrent.LSTMUnit(), 2:
            return _below(2)
        case resizing.Upsample(mask=True, size=(int(height), int(width))), 1:
            return _below(height * width)
        case (regions.ROIPooling() | regions.PSROIPooling()) as operation, 1 if known:
            return _regions(known, operation.spatial_scale)
        case regions.Proposal(feat_stride=stride), 2 if known:
            return _image(known[2] * stride, known[3] * stride)
    return None


def _uniform(generator: Any, shape: Dims) -> NDArray[Any]:
    return np.asarray(generator.random(shape))


def _below(number: int) -> Draw:
    return lambda generator, shape: np.asarray(generator.integers(0, number, shape))


def _going_on(generator: Any, shape: Dims) -> NDArray[Any]:
    """Return ones, and zeros in the first timestep, where sequences begin."""
    values = np.ones(shape)
    values[:1] = 0
    return values


def _regions(features: Dims, scale: float) -> Draw:
    """Return what draws rows (image, x1, y1, x2, y2) in pixels of images with these features."""

    def draw(generator: Any, shape: Dims) -> NDArray[Any]:
        rows = np.empty((shape[0], 5))
        rows[:, 0] = generator.integers(0, features[0], shape[0])
        for first, extent in ((1, features[3] / scale), (2, features[2] / scale)):
            corners = np.sort(generator.integers(0, max(int(extent), 1), (shape[0], 2)), 1)
            rows[:, [first, first + 2]] = corners
        return rows.reshape(shape)

    return draw


def _image(height: int, width: int) -> Draw:
    """Return what gives height and width of an image, and scales of 1."""

    def draw(generator: Any, shape: Dims) -> NDArray[Any]:
        values = np.ones(prod(shape))
        values[:2] = height, width
        return values.reshape(shape)

    return draw
