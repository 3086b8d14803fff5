"""The part of a net that computes: nodes, the values between them, and the tensors of their blobs.

In a net a layer that works in place makes a new value under an old name. Here each value has a name of its own: the
last one of a name keeps it, as the blob has that value after a forward pass; one before it is called
`<blob>@<layer>`, after the layer that made it. An input keeps the name of its blob in any case, as programs feed it by
that name: where layers change it in place it is the last value that is called `<blob>@<layer>`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import either, shape_option
from caffe_filler.nearest import did_you_mean, nearest
from caffe_filler.printable import shape_text
from filler_server.net.operations import Operation
from filler_server.net.plan import NetPlan, Shape, Value, unique_names
from filler_server.tensors import Tensor

_MOST_NAMED = 8

Dims: TypeAlias = tuple[int, ...]
"""A shape of which every dimension is known."""


@dataclass(frozen=True, slots=True)
class Node:
    """A layer as part of a graph.

    Attributes:
        name: its name, unique in the graph: a second layer of a name is `<name>#2`.
        type: Caffe's name of its type, for messages.
        operation: what it computes.
        bottoms: names of the values that it reads.
        tops: names of the values that it makes.
        blobs: names of the tensors of its learnable blobs, in Caffe's order; of shared values the owner's name.
        loss_weights: for each top, what it weighs in the loss.
        line: line of the prototxt on which the layer starts, if known.
        frozen: whether its blobs are constants, which no training changes.
    """

    name: str
    type: str
    operation: Operation
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[str, ...] = ()
    loss_weights: tuple[float, ...] = ()
    line: int | None = None
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """A net that computes.

    Attributes:
        name: that of the net.
        inputs: names of the values that come from outside, in the order of the net.
        nodes: in the order in which they compute.
        outputs: names of the values that are wanted.
        shapes: the shape of every value, by its name; what depends on data (detections, regions) is None in it.
        tensors: the values of learnable blobs, by the name of the blob that owns them, in the shape of that blob. Two
            nodes may share one. Until `check` has passed, some may be missing.
        blob_shapes: for a node and the index of a blob of it, the shape that it has there, where this differs from that
            of the tensor (shared values in another shape).
        finals: for a blob that is an input and that layers change in place, the name of its last value.
    """

    name: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    tensors: Mapping[str, Tensor]
    blob_shapes: Mapping[tuple[str, int], Dims]
    finals: Mapping[str, str] = field(default_factory=dict)

    def blob_shape(self, node: Node, index: int) -> Dims:
        """Return the shape of a blob of a node."""
        shape = self.blob_shapes.get((node.name, index))
        return self.tensors[node.blobs[index]].shape if shape is None else shape

    def shape(self, value: str) -> Dims:
        """Return the shape of a value.

        Raises:
            NetError: it is not known, as it depends on data or on an input of unknown shape.
        """
        shape = self.shapes[value]
        known = tuple(dim for dim in shape or () if dim is not None)
        if shape is None or len(known) != len(shape):
            maker = next((node for node in self.nodes if value in node.tops), None)
            raise NetError(
                f"the shape of '{value}' is not known. Received: {shape_text(shape)}",
                layer=None if maker is None else maker.name,
                line=None if maker is None else maker.line,
            )
        return known


def graph(plan: NetPlan, tensors: Mapping[str, Tensor]) -> Graph:
    """Return a net as a graph whose outputs are the tops that no layer reads.

    Tops of layers that bring data in become inputs. What is missing for the net to run is found by `check`, once it is
    known which part of the net is wanted.

    Args:
        plan: the net.
        tensors: the values of its blobs, by their names; each in the shape that the plan has for it.
    """
    names = value_names(plan)
    shapes = {name: plan.top(value).shape for value, name in names.items()}
    unique = unique_names(layer.name for layer in plan.layers)
    nodes: list[Node] = []
    taken: dict[str, Tensor] = {}
    blob_shapes: dict[tuple[str, int], Dims] = {}
    for name, (index, layer) in zip(unique, enumerate(plan.layers), strict=True):
        if layer.is_source:
            continue
        owners = tuple(blob.owner or blob.name for blob in layer.blobs)
        for number, (owner, blob) in enumerate(zip(owners, layer.blobs, strict=True)):
            if owner not in tensors:
                continue
            tensor = taken.setdefault(owner, tensors[owner])
            if blob.known_shape is not None and blob.known_shape != tensor.shape:
                blob_shapes[name, number] = blob.known_shape
        nodes.append(
            Node(
                name,
                layer.type,
                layer.operation,
                tuple(names[value] for value in layer.producers),
                tuple(names[Value(index, top)] for top in range(len(layer.tops))),
                owners,
                layer.loss_weights,
                layer.line,
            )
        )
    inputs = tuple(names[value] for value in plan.inputs)
    fed = set(inputs)
    outputs = tuple(names[value] for value in plan.outputs if names[value] not in fed)
    last = {plan.top(value).name: name for value, name in names.items()}
    finals = {blob: name for blob, name in last.items() if blob != name}
    return Graph(plan.name, inputs, tuple(nodes), outputs, shapes, taken, blob_shapes, finals)


def check(graph: Graph) -> Graph:
    """Return a graph in which nothing is missing that it needs to run.

    Raises:
        NetError: the shape of an input is not known, with what would settle it.
        InvalidArgument: blobs have no values, or the graph has no outputs.
    """
    if not graph.outputs:
        names = either(python="tops=['NAME']", cli="--top NAME")
        raise InvalidArgument(f"a layer reads every top of the net, so that it has no output; {names} names one")
    for name in graph.inputs:
        shape = graph.shapes[name]
        if shape is None or None in shape:
            dims = "D,D,.." if shape is None else ",".join("D" if dim is None else str(dim) for dim in shape)
            raise NetError(
                f"the shape of input '{name}' is not known; {shape_option('inputs', name, dims)} gives it. "
                f"Received: {shape_text(shape)}"
            )
    missing = list(dict.fromkeys(blob for node in graph.nodes for blob in node.blobs if blob not in graph.tensors))
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise InvalidArgument(
            f"the weights have no values for {len(missing)} of the blobs that the net needs: {listed}{more}",
            field="weights",
        )
    return graph


def value_names(plan: NetPlan) -> dict[Value, str]:
    """Return the name of each value of a net, in the order in which they are made."""
    values = [Value(index, top) for index, layer in enumerate(plan.layers) for top in range(len(layer.tops))]
    own = {plan.top(value).name: value for value in values}
    own.update({plan.top(value).name: value for value in plan.inputs})
    layers = unique_names(layer.name for layer in plan.layers)
    taken = set(own)
    names: dict[Value, str] = {}
    for value in values:
        name = plan.top(value).name
        if own[name] != value:
            name = base = f"{name}@{layers[value.layer]}"
            number = 1
            while name in taken:
                number += 1
                name = f"{base}#{number}"
            taken.add(name)
        names[value] = name
    return names


def wanted(graph: Graph, tops: Iterable[str]) -> Graph:
    """Return the part of a graph that some values need, with these as its outputs.

    Args:
        graph: the whole.
        tops: names of values, also in the middle of the net, in the order in which they are wanted; that of an input
            which layers change in place stands for its last value.

    Raises:
        InvalidArgument: no value has such a name, or a name is given twice.
    """
    outputs = tuple(graph.finals.get(name, name) for name in tops)
    needed: set[str] = set()
    for name in outputs:
        if name not in graph.shapes:
            hint = did_you_mean(nearest(name, graph.shapes))
            raise InvalidArgument(f"the net has no top '{name}'{hint}", field="top")
        if name in needed:
            raise InvalidArgument(f"a top is wanted once. Received: top='{name}'", field="top")
        needed.add(name)
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.tops):
            nodes.append(node)
            needed.update(node.bottoms)
    nodes.reverse()
    return _part(graph, nodes, outputs, lambda name: name in needed)


def with_nodes(graph: Graph, nodes: Sequence[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
    """Return a graph with other nodes, without the inputs and tensors that none of them needs.

    Args:
        graph: the graph before.
        nodes: in the order in which they compute; they make all outputs.
        tensors: values of blobs in place of those before.
    """
    read = {bottom for node in nodes for bottom in node.bottoms} | set(graph.outputs)
    changed = graph if tensors is None else replace(graph, tensors=tensors)
    return _part(changed, nodes, graph.outputs, lambda name: name in read)


def _part(graph: Graph, nodes: Sequence[Node], outputs: tuple[str, ...], needed: Callable[[str], bool]) -> Graph:
    inputs = tuple(name for name in graph.inputs if needed(name))
    values = {*inputs, *(top for node in nodes for top in node.tops)}
    used = {blob for node in nodes for blob in node.blobs}
    known = {node.name for node in nodes}
    return replace(
        graph,
        inputs=inputs,
        nodes=tuple(nodes),
        outputs=outputs,
        shapes={name: shape for name, shape in graph.shapes.items() if name in values},
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in used},
        blob_shapes={key: shape for key, shape in graph.blob_shapes.items() if key[0] in known},
    )
