"""Random values for the inputs of a graph, of the kind that each is read as."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Dims, Graph, Node
from filler_server.net.operations.meanings import (
    REARRANGES,
    ImageSize,
    Labels,
    Marks,
    Probabilities,
    Regions,
    meaning,
)

Draw: TypeAlias = Callable[[Any, Dims], NDArray[Any]]
"""Draws values of a shape with a generator."""


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
                if isinstance(node.operation, REARRANGES):
                    same.update(node.tops)


def _wanted(graph: Graph, node: Node, index: int) -> Draw | None:
    """Return what draws a bottom that a layer takes for more than plain numbers, None for any other."""
    match meaning(node.operation, index, len(node.bottoms), graph.shapes[node.bottoms[0]]):
        case Labels(below=int(number)):
            return _below(number)
        case Probabilities():
            return _uniform
        case Marks():
            return _going_on
        case Regions(features=(int(images), _, int(height), int(width)), scale=scale):
            return _regions(images, (height / scale, width / scale))
        case ImageSize(height=int(height), width=int(width)):
            return _image(height, width)
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


def _regions(images: int, size: tuple[float, float]) -> Draw:
    """Return what draws rows (image, x1, y1, x2, y2) in pixels of so many images of a height and width."""

    def draw(generator: Any, shape: Dims) -> NDArray[Any]:
        rows = np.empty((shape[0], 5))
        rows[:, 0] = generator.integers(0, images, shape[0])
        for first, extent in ((1, size[1]), (2, size[0])):
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
