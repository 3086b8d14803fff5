"""The way from an image to what a net was trained on, as the first layers of the net."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import shape_text
from filler_server.models.graph import Dims, Graph, Node, with_nodes
from filler_server.net.operations.activations import Power
from filler_server.net.operations.arrangement import Reverse
from filler_server.net.operations.base import Operation, single
from filler_server.net.operations.normalization import Bias
from filler_server.tensors import ArrayTensor


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Steps from an image of red, green and blue, 0 to 255, to an input of a net, in this order.

    Attributes:
        bgr: whether the net wants blue first.
        mean: what is subtracted: one number, one for each channel, or an image [C, H, W] at least as large as the
            input, of which the middle counts; in the net's order of channels.
        scale: what the difference is multiplied by.
    """

    bgr: bool = False
    mean: NDArray[Any] | None = None
    scale: float = 1.0


def preprocessed(graph: Graph, preprocessing: Preprocessing, name: str | None = None) -> Graph:
    """Return a graph whose input is an image as it comes from a file.

    The input keeps its name; what the net was trained on is called `<input>@preprocessing`.

    Args:
        graph: the graph.
        preprocessing: the steps.
        name: the input; None: the only one of four axes.

    Raises:
        InvalidArgument: there is no such input, or the steps do not fit it.
    """
    source = _image(graph) if name is None else name
    shape = graph.shape(source)
    steps: list[tuple[str, Operation, NDArray[Any] | None]] = []
    if preprocessing.bgr:
        if shape[1] != 3:
            raise InvalidArgument(
                f"{option('bgr')} is for images of three channels. Received: '{source}' {shape_text(shape)}"
            )
        steps.append(("bgr", Reverse(axis=1), None))
    if preprocessing.mean is not None:
        mean = _fitting(preprocessing.mean, shape, source)
        steps.append(("mean", Bias(axis=1, num_axes=mean.ndim), -mean))
    if preprocessing.scale != 1:
        steps.append(("scale", Power(scale=single(preprocessing.scale)), None))
    if not steps:
        raise InvalidArgument(
            f"there is nothing to do to an image: neither the net nor {option('mean', 'B,G,R')}, "
            f"{option('scale', 0.017)} or {option('bgr')} says how",
            field="preprocess",
        )
    return _with_steps(graph, source, steps)


def _with_steps(graph: Graph, source: str, steps: Sequence[tuple[str, Operation, NDArray[Any] | None]]) -> Graph:
    shapes, tensors = dict(graph.shapes), dict(graph.tensors)
    taken = {*shapes, *(node.name for node in graph.nodes)}
    nodes: list[Node] = []
    value = source
    for what, operation, values in steps:
        name = _free(f"{source}/{what}", taken)
        top = name if what != steps[-1][0] else _free(f"{source}@preprocessing", taken)
        blobs: tuple[str, ...] = ()
        if values is not None:
            blob = _free(f"{name}/0", taken)
            blobs = (blob,)
            tensors[blob] = ArrayTensor(blob, np.ascontiguousarray(values, np.float32))
        nodes.append(Node(name, type(operation).__name__, operation, (value,), (top,), blobs, frozen=True))
        shapes[top] = shapes[source]
        value = top
    nodes += [
        replace(node, bottoms=tuple(value if bottom == source else bottom for bottom in node.bottoms))
        for node in graph.nodes
    ]
    return with_nodes(replace(graph, shapes=shapes), nodes, tensors)


def _image(graph: Graph) -> str:
    """Return the name of the input that is an image."""
    images = [name for name in graph.inputs if len(graph.shapes[name] or ()) == 4]
    if len(images) != 1:
        raise InvalidArgument(
            f"one input of four axes is an image. Received: {len(images)} of them", field="preprocess"
        )
    return images[0]


def _fitting(mean: NDArray[Any], shape: Dims, name: str) -> NDArray[Any]:
    """Return a mean as one number for each channel, or as an image of the size of the input."""
    values = mean.reshape(mean.shape[1:]) if mean.ndim == 4 and len(mean) == 1 else mean
    channels, *extents = shape[1:]
    if values.ndim <= 1 and values.size in (1, channels):
        return np.broadcast_to(values.reshape(-1), (channels,))
    if values.ndim == 3 and len(values) == channels and all(np.greater_equal(values.shape[1:], extents)):
        starts = [(whole - part) // 2 for whole, part in zip(values.shape[1:], extents, strict=True)]
        return values[:, starts[0] : starts[0] + extents[0], starts[1] : starts[1] + extents[1]]
    raise InvalidArgument(
        f"a mean is one number, one for each of the {channels} channels, or an image at least as large as '{name}', "
        f"{shape_text(shape)}. Received: {shape_text(mean.shape)}",
        field="mean",
    )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name
