"""Entries of the state_dict of a written net, and the values that modules share.

A module holds the blobs of its layer, or a BatchNorm those of the Scale after it as well; which, and under which names,
is for `layouts.torch` to say. Values that several layers share are one parameter: the first module has them as its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caffe_filler.caffe.caffe_pb2 import FillerParameter, LayerParameter
from filler_server.layouts.torch import modules
from filler_server.layouts.torch.module import Module, Plain, as_matrix
from filler_server.models.graph import Dims, Graph, Node
from filler_server.models.refusal import Refusal
from filler_server.net.operations.inner_product import InnerProduct
from filler_server.net.operations.normalization import BatchNorm, Scale
from filler_server.net.plan import Blob, Layer, Top
from filler_server.tensors import Tensor, renamed, reshaped

_UNKNOWN = FillerParameter()


@dataclass(frozen=True, slots=True)
class Derived:
    """A parameter whose values another module holds in another layout.

    Attributes:
        parameter: its name in its own module.
        owner: the node whose module holds the values.
        owned: the name of the parameter there.
        views: methods that make the one of the other, such as `.t()`, in their order.
    """

    parameter: str
    owner: str
    owned: str
    views: str


@dataclass(slots=True)
class Unit:
    """Values that the module of a node holds.

    Attributes:
        node: name of the node.
        entries: shapes of all its parameters and buffers, by their names.
        scale: the node of the Scale whose blobs are among them.
        same_as: name of an earlier node all of whose values it shares; its module may be the same one.
        tied: parameters that are the same as those of earlier nodes: by their names, the node and the name there.
        derived: parameters whose values lie elsewhere in another layout.
    """

    node: str
    entries: dict[str, Dims]
    scale: Node | None = None
    same_as: str | None = None
    tied: dict[str, tuple[str, str]] = field(default_factory=dict)
    derived: list[Derived] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class State:
    """The state_dict of a net.

    Attributes:
        units: what modules hold, by the names of their nodes.
        folded: by the names of the nodes of Scale whose blobs a BatchNorm holds, those of the BatchNorms.
        tensors: the entries, named `<layer>.<parameter>`, in the order of the net; shared values once.
        refused: layers whose values cannot be shared as they should be.
    """

    units: Mapping[str, Unit]
    folded: Mapping[str, str]
    tensors: tuple[Tensor, ...]
    refused: tuple[Refusal, ...]


def state_of(graph: Graph, *, training: bool) -> State:
    """Return the state_dict of a graph.

    Args:
        graph: the net, with its tensors.
        training: whether it will be trained, so that values may not be shared by copies.
    """
    nodes = {node.name: node for node in graph.nodes}
    given = [_given(graph, node, index) for node in graph.nodes for index in range(len(node.blobs))]
    values = {tensor.name: tensor for tensor in given}
    owners = {f"{node.name}/{index}": owner for node in graph.nodes for index, owner in enumerate(node.blobs)}
    units: dict[str, Unit] = {}
    tensors: list[Tensor] = []
    refused: list[Refusal] = []
    sharing = _Sharing(owners)
    for module in modules([_layer(graph, node) for node in graph.nodes], given, computing=True):
        entries = module.to_torch([values[blob.name] for blob in module.blobs])
        unit = Unit(module.name, {entry.name.rpartition(".")[2]: entry.shape for entry in entries})
        unit.scale = next((nodes[name] for name in _layers(module) if name != module.name), None)
        if sharing.settle(unit, module, values) and training:
            reason = "it shares some of its blobs, and these cannot be trained together here"
            refused.append(Refusal(nodes[module.name], reason))
        without = {*unit.tied, *(derived.parameter for derived in unit.derived)}
        tensors.extend(entry for entry in entries if entry.name.rpartition(".")[2] not in without)
        units[module.name] = unit
    folded = {unit.scale.name: unit.node for unit in units.values() if unit.scale is not None}
    return State(units, folded, tuple(tensors), tuple(refused))


def _given(graph: Graph, node: Node, index: int) -> Tensor:
    """Return a blob of a node under the name that it has there, the weight of an InnerProduct as a matrix."""
    name = f"{node.name}/{index}"
    tensor = reshaped(renamed(graph.tensors[node.blobs[index]], name), graph.blob_shape(node, index))
    return as_matrix(tensor) if isinstance(node.operation, InnerProduct) and index == 0 else tensor


class _Sharing:
    """Modules seen so far, by the values that they hold."""

    def __init__(self, owners: Mapping[str, str]) -> None:
        self._owners = owners
        self._whole: dict[tuple[object, ...], Unit] = {}
        self._blobs: dict[str, tuple[Plain, int, Unit]] = {}
        self._seen: set[str] = set()

    def settle(self, unit: Unit, module: Module, values: Mapping[str, Tensor]) -> bool:
        """Note which values of a module earlier ones hold; return whether it has copies of some of these."""
        owners = tuple(self._owners[blob.name] for blob in module.blobs)
        layout = type(module).__name__, isinstance(module, Plain) and module.turns
        earlier = self._whole.setdefault((*owners, *layout), unit)
        if earlier is not unit and earlier.entries == unit.entries:
            unit.same_as = earlier.node
            unit.derived = list(earlier.derived)
            views = {derived.parameter for derived in earlier.derived}
            unit.tied = {parameter: (earlier.node, parameter) for parameter in unit.entries if parameter not in views}
            return False
        if not isinstance(module, Plain):
            copies = not self._seen.isdisjoint(owners)
            self._seen.update(owners)
            return copies
        copies = False
        for index, owner in enumerate(owners):
            if owner in self._blobs:
                self._share(unit, module, index, owner, values)
            elif owner in self._seen:
                copies = True
            else:
                self._blobs[owner] = module, index, unit
        self._seen.update(owners)
        return copies

    def _share(self, unit: Unit, module: Plain, index: int, owner: str, values: Mapping[str, Tensor]) -> None:
        """Note how a parameter of a module is made of one that an earlier module has."""
        first, place, holder = self._blobs[owner]
        parameter, there = _parameter(module, index), _parameter(first, place)
        mine, others = values[module.blobs[index].name].shape, values[first.blobs[place].name].shape
        turns, turned = (
            plain.turns and number == 0 and len(shape) == 2
            for plain, number, shape in ((module, index, mine), (first, place, others))
        )
        if turns == turned and unit.entries[parameter] == holder.entries[there]:
            unit.tied[parameter] = holder.node, there
            return
        wanted = mine if turns else unit.entries[parameter]
        had = others if turned else holder.entries[there]
        steps = [".t()" * turned, f".reshape({wanted})" * (wanted != had), ".t()" * turns]
        unit.derived.append(Derived(parameter, holder.node, there, "".join(steps)))


def _parameter(module: Plain, index: int) -> str:
    """Return the name that a blob has in its module."""
    return module.parameters[index].rpartition(".")[2]


def _layers(module: Module) -> list[str]:
    """Return the names of the layers whose blobs a module holds."""
    return list(dict.fromkeys(blob.name.rpartition("/")[0] for blob in module.blobs))


def _layer(graph: Graph, node: Node) -> Layer:
    """Return a node as `layouts` know layers."""
    definition = LayerParameter(name=node.name, type=node.type, bottom=node.bottoms, top=node.tops)
    match node.operation:
        case InnerProduct():
            definition.inner_product_param.transpose = node.operation.transpose
        case Scale() if not node.operation.from_bottom:
            axis, num_axes = node.operation.axis, node.operation.num_axes
            definition.scale_param.axis = 1 if axis is None else axis
            definition.scale_param.num_axes = 1 if num_axes is None else num_axes
        case BatchNorm():
            definition.batch_norm_param.eps = node.operation.eps
    blobs = tuple(
        Blob(f"{node.name}/{index}", graph.blob_shape(node, index), _UNKNOWN) for index in range(len(node.blobs))
    )
    tops = tuple(Top(name, graph.shapes[name]) for name in node.tops)
    return Layer(node.name, node.type, node.bottoms, tops, blobs, definition=definition)
