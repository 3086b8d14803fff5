"""The nodes that a layer becomes, while they are written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from filler_server.models.graph import Dims, Graph, Node
from filler_server.models.refusal import NoCounterpart
from filler_server.tensors import Tensor, cast

_HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that becomes an initializer.

    Attributes:
        name: of the initializer.
        tensor: its values.
        shape: the shape that it has in the model.
    """

    name: str
    tensor: Tensor
    shape: Dims


@dataclass(slots=True)
class Parts:
    """Nodes and constants of a model, as far as it is written.

    Attributes:
        graph: what becomes of it.
        nodes: in the order in which they compute.
        constants: small tensors that belong to the way in which a layer is said.
        layers: names of the nodes of the graph, by those of nodes and constants of the model.
        weights: learned tensors, by the names of their blobs.
        stored: for each learned tensor, the name under which nodes read it.
        taken: names of values and nodes that are given away.
    """

    graph: Graph
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.taken.update(self.graph.shapes)
        self.taken.update(node.name for node in self.graph.nodes)

    def unique(self, wanted: str) -> str:
        """Return a name that no value, tensor or node has, and give it away."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}#{number}"
        self.taken.add(name)
        return name


class LayerNodes:
    """The nodes of one layer.

    A value is known by its name. Those inside of the layer are called `<layer>/<operator>`; the nodes that make its
    tops have the name of the layer, and their values those of its tops.

    Args:
        parts: the model to which they belong.
        node: the layer.
    """

    def __init__(self, parts: Parts, node: Node) -> None:
        self.node = node
        self._parts = parts
        self._graph = parts.graph
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[str, str, bytes, tuple[int, ...]], str] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and return its name; an input that is left out is empty."""
        return self.add_all(operator, 1, *inputs, **attributes)[0]

    def add_all(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node of several outputs and return their names."""
        name = self._parts.unique(f"{self.node.name}/{operator}")
        names = [name, *(self._parts.unique(f"{name}/{number}") for number in range(1, outputs))]
        self._nodes.append(helper.make_node(operator, inputs, names, name=name, **attributes))
        return names

    def constant(self, value: ArrayLike, what: str) -> str:
        """Return the name of a constant of 32-bit floats; what is too large for them is infinite."""
        with np.errstate(over="ignore"):
            return self._constant(np.asarray(value, _SINGLE), what)

    def integers(self, value: ArrayLike, what: str) -> str:
        """Return the name of a constant of 64-bit integers."""
        return self._constant(np.asarray(value, np.int64), what)

    def double(self, value: ArrayLike, what: str) -> str:
        """Return the name of a constant of 64-bit floats."""
        return self._constant(np.asarray(value, np.float64), what)

    def weight(self, index: int, shape: Sequence[int] | None = None) -> str:
        """Return the name of a learned blob as 32-bit floats, in its own shape or in another of equal count.

        It is one initializer, whoever shares it. Half floats stay so in the file, and become 32-bit floats when a model
        is loaded.
        """
        blob = self.node.blobs[index]
        wanted = tuple(self.blob_shape(index) if shape is None else shape)
        parts = self._parts
        if blob not in parts.weights:
            tensor = self._graph.tensors[blob]
            half = tensor.dtype in _HALF
            name = parts.unique(blob)
            parts.weights[blob] = Weight(name, tensor if half else cast(tensor, _SINGLE), wanted)
            parts.stored[blob] = name
            if half:
                parts.stored[blob] = parts.unique(f"{blob}/float32")
                made = helper.make_node(
                    "Cast", [name], [parts.stored[blob]], name=parts.stored[blob], to=TensorProto.FLOAT
                )
                self._nodes.append(made)
        name = parts.stored[blob]
        # Shared in another shape: the values stay one initializer.
        return name if parts.weights[blob].shape == wanted else self.reshaped(name, wanted)

    def values(self, index: int) -> NDArray[np.float32]:
        """Return the values of a learned blob, one of few."""
        array = cast(self._graph.tensors[self.node.blobs[index]], _SINGLE).array()
        return np.asarray(array, _SINGLE).reshape(self.blob_shape(index))

    def blob_shape(self, index: int) -> Dims:
        """Return the shape of a learned blob."""
        return self._graph.blob_shape(self.node, index)

    def shape(self, value: str) -> tuple[int | None, ...]:
        """Return the shape of a bottom or a top, None for what is not known or differs from run to run.

        Raises:
            NoCounterpart: not even the number of axes is known.
        """
        shape = self._graph.shapes[value]
        if shape is None:
            raise NoCounterpart(f"it needs the number of axes of '{value}', which is not known")
        return shape

    def known(self, dims: Iterable[int | None], value: str) -> Dims:
        """Return dimensions of a value that must not differ from run to run.

        Raises:
            NoCounterpart: one of them does.
        """
        wanted = tuple(dims)
        found = tuple(dim for dim in wanted if dim is not None)
        if len(found) < len(wanted):
            raise NoCounterpart(f"it needs dimensions of '{value}' that differ from run to run")
        return found

    def reshaped(self, value: str, dims: Sequence[int]) -> str:
        """Return a value in another shape, in which 0 keeps an extent and -1 is worked out."""
        return self.add("Reshape", value, self.integers(dims, "shape"))

    def as_top(self, value: str, number: int = 0, *, kept: int = 0) -> str:
        """Return a value in the shape of a top, which has its first axes already, so many as are kept.

        Raises:
            NoCounterpart: too much of it is unknown.
        """
        top = self.node.tops[number]
        rest = [-1 if dim is None else dim for dim in self.shape(top)[kept:]]
        if rest.count(-1) > 1:
            raise NoCounterpart(f"it needs dimensions of '{top}' that differ from run to run")
        return self.reshaped(value, [0] * kept + rest)

    def reduced(self, operator: str, value: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Return a value reduced over some axes."""
        if not axes:
            return value
        return self.add(operator, value, self.integers(list(axes), "axes"), keepdims=int(keep))

    def cut(self, value: str, axes: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> str:
        """Return the part of a value from start to stop on each of some axes."""
        return self.add(
            "Slice",
            value,
            self.integers(list(starts), "starts"),
            self.integers(list(stops), "ends"),
            self.integers(list(axes), "axes"),
        )

    def chosen(self, flags: str) -> str:
        """Return the indices of flags that are set."""
        return self.reshaped(self.add("NonZero", self.reshaped(flags, [-1])), [-1])

    def whole(self, value: str) -> str:
        """Return a value of floats, whole numbers all of them, as 64-bit integers."""
        return self.add("Cast", value, to=TensorProto.INT64)

    def floats(self, value: str) -> str:
        """Return a value of any type as 32-bit floats."""
        return self.add("Cast", value, to=TensorProto.FLOAT)

    def loop(self, count: str, states: Sequence[str], step: Callable[..., Sequence[str]]) -> list[str]:
        """Return states, 32-bit floats, after so many steps; a step takes its number and states, and returns these."""
        name = self._parts.unique(f"{self.node.name}/Loop")
        number, going = (self._parts.unique(f"{name}/{what}") for what in ("step", "going"))
        before = [self._parts.unique(f"{name}/state{index}") for index in range(len(states))]
        outside, self._nodes = self._nodes, []
        after = step(number, *before)
        goes_on = self.add("Identity", going)
        info = helper.make_tensor_value_info
        body = helper.make_graph(
            self._nodes,
            f"{name}/body",
            [
                info(number, TensorProto.INT64, []),
                info(going, TensorProto.BOOL, []),
                *(info(value, TensorProto.FLOAT, None) for value in before),
            ],
            [info(goes_on, TensorProto.BOOL, []), *(info(value, TensorProto.FLOAT, None) for value in after)],
        )
        self._nodes = outside
        return self.add_all("Loop", len(states), count, "", *states, body=body)

    def finish(self, made: str | Sequence[str]) -> None:
        """Give the values that the layer returned the names of its tops, and its nodes to the model."""
        values = [made] if isinstance(made, str) else list(made)
        own = {name for node in self._nodes for name in node.output} - set(self._parts.stored.values())
        renamed: dict[str, str] = {}
        copied: list[tuple[str, str]] = []
        for value, top in zip(values, self.node.tops, strict=True):
            if value in own and value not in renamed:
                renamed[value] = top
            else:
                # What is handed on as it is, or twice.
                copied.append((value, top))
        for node in self._nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        for value, top in copied:
            name = self._parts.unique(f"{self.node.name}/Identity")
            self._nodes.append(helper.make_node("Identity", [renamed.get(value, value)], [top], name=name))
        for node in self._nodes:
            if self.node.tops[0] in node.output:
                node.name = self.node.name
        self._parts.layers.update((node.name, self.node.name) for node in self._nodes)
        self._parts.nodes.extend(self._nodes)

    def _constant(self, array: NDArray[Any], what: str) -> str:
        key = (what, array.dtype.name, array.tobytes(), array.shape)
        if key not in self._constants:
            name = self._constants[key] = self._parts.unique(f"{self.node.name}/{what}")
            self._parts.layers[name] = self.node.name
            self._parts.constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return self._constants[key]
