"""A graph as a model of ONNX: nodes and small constants as a message, learned tensors beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

import filler_server.models.onnx.functions
import filler_server.models.reference.functions  # noqa: F401 - both register the functions
from filler_server.models.graph import Graph, Node
from filler_server.models.onnx.batch import Symbols, batch_dims, for_any_batch
from filler_server.models.onnx.layer import LayerNodes, Parts, Weight
from filler_server.models.onnx.registry import emitter
from filler_server.models.open_shapes import open_shapes
from filler_server.models.reference.registry import reason
from filler_server.models.refusal import NoCounterpart, refusal_error, refusals

OPSET = 21
"""Version of the operators: that of ONNX 1.16, the newest of which ONNX Runtime has every operator."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model.

    Attributes:
        message: all but the learned tensors.
        weights: the learned tensors, in the order in which they are first read.
    """

    message: ModelProto
    weights: tuple[Weight, ...]


def onnx_model(
    graph: Graph, metadata: Mapping[str, str] = MappingProxyType({}), *, other: Graph | None = None
) -> Model:
    """Return a graph as a model that computes the same, with standard operators alone.

    Inputs, outputs and the values between are called as in the graph, nodes as its layers.

    Args:
        graph: what it computes.
        metadata: what the model says of itself.
        other: the same net with another batch; the model is then for any batch.

    Raises:
        NetError: layers that ONNX cannot say, all of them, or not for any batch.
    """
    graph = open_shapes(graph)
    parts = _emitted(graph)
    dims: Mapping[str, Symbols] = graph.shapes
    if other is not None:
        other = open_shapes(other)
        parts = for_any_batch(parts, _emitted(other))
        dims = batch_dims(graph, other)
    between = [top for node in graph.nodes for top in node.tops if top not in graph.outputs]
    made = helper.make_graph(
        parts.nodes,
        graph.name or "net",
        [_value(name, dims) for name in graph.inputs],
        [_value(name, dims) for name in graph.outputs],
        initializer=list(parts.constants.values()),
        value_info=[_value(name, dims) for name in between],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    message = helper.make_model(
        made, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name="caffe-filler"
    )
    helper.set_model_props(message, dict(metadata))
    return Model(message, tuple(parts.weights.values()))


def _emitted(graph: Graph) -> Parts:
    """Return the nodes and constants of a graph."""
    parts = Parts(graph)
    refused = refusals((node for node in graph.nodes if node.tops), lambda node: _emit(parts, node))
    if refused:
        raise refusal_error(graph, refused, "ONNX")
    return parts


def _emit(parts: Parts, node: Node) -> None:
    why = reason(node)
    say = emitter(node.operation)
    if why is not None or say is None:
        raise NoCounterpart(why or "the standard operators do not say it in a sane number of nodes")
    if "" in (*node.bottoms, *node.tops):
        raise NoCounterpart("it has a blob without a name, which in ONNX means that there is none")
    layer = LayerNodes(parts, node)
    layer.finish(say(layer, node.operation, *node.bottoms))


def _value(name: str, dims: Mapping[str, Symbols]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims[name])
