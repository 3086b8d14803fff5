"""A graph as the source of a file with one module of PyTorch in it."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from caffe_filler.printable import shape_text
from filler_server.models.graph import Graph
from filler_server.models.torch import library
from filler_server.models.torch.literals import Source as Piece
from filler_server.models.torch.literals import call, literal
from filler_server.models.torch.names import GLOBALS, Identifiers
from filler_server.models.torch.state import State, state_of
from filler_server.models.torch.text import dictionary, docstring, indented, statements
from filler_server.models.torch.writer import Writer
from filler_server.tensors import Tensor

_LOSS = '''
def loss(self, outputs: dict[str, Tensor]) -> Tensor:
    """Return what Caffe minimizes: the sum of the losses, each times its weight."""
    return sum(weight * outputs[name].sum() for name, weight in self.loss_weights.items())
'''

_LOAD = '''
def load(weights: Path | str | None = None) -> {net}:
    """Return the net with the weights of a .safetensors file, by default the one that lies beside this file."""
    from safetensors.torch import load_file

    net = {net}()
    net.load_state_dict(load_file(weights or Path(__file__).with_suffix(".safetensors")))
    return net
'''


@dataclass(frozen=True, slots=True)
class TorchModule:
    """A net as a module of PyTorch.

    Attributes:
        name: name of the class.
        title: first line of the file.
        body: the file but for its docstring.
        inputs: parameters of its `forward`, in their order: that of the graph's inputs.
        tensors: entries of its state_dict, of which shared values are there once.
        shared: by the names of the other entries, those of the ones that have their values.
        assigned: for each assignment in its `forward`, names of the values that its targets have.
    """

    name: str
    title: str
    body: str
    inputs: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    shared: dict[str, str]
    assigned: tuple[tuple[str, ...], ...]

    def source(self, origin: Sequence[str] = ()) -> str:
        """Return the source of a Python file with the class in it.

        Args:
            origin: lines that say where the net comes from.
        """
        return "\n".join([*docstring([self.title, *([""] if origin else []), *origin]), "", self.body])


def torch_module(graph: Graph, *, training: bool = False) -> TorchModule:
    """Write a graph as a module of PyTorch.

    Its `forward` takes the inputs of the graph, in their order, and returns a dict with its outputs by the names of the
    blobs.

    Args:
        graph: the net, which has passed `graph.check`.
        training: whether it was planned in the phase TRAIN: the module is in train mode then, otherwise in eval mode.

    Raises:
        NetError: PyTorch has no counterpart of some layers; all of them are named.
    """
    state = state_of(graph, training=training)
    reserved = {*GLOBALS, *library.parts()}
    name = Identifiers(reserved).unique(graph.name[:1].upper() + graph.name[1:], "Net")
    writer = Writer(graph, state, {*reserved, name}, training=training)
    shared = {
        f"{unit.node}.{parameter}": f"{owner}.{there}"
        for unit in state.units.values()
        for parameter, (owner, there) in unit.tied.items()
    }
    body = "\n".join(_class(name, graph, writer, state, shared, training)) + "\n"
    if state.tensors:
        body += "\n" + _LOAD.format(net=name)
    imports, parts = library.needed(library.mentioned(ast.parse(body)))
    title = f"{graph.name or 'A net'} of Caffe as a module of PyTorch."
    whole = "\n\n\n".join(["\n".join(imports), *(part.source for part in parts), body])
    return TorchModule(name, title, whole, writer.variables.inputs, state.tensors, shared, tuple(writer.assigned))


def _class(name: str, graph: Graph, writer: Writer, state: State, shared: dict[str, str], training: bool) -> list[str]:
    weights = _loss_weights(graph)
    setting_up = ["super().__init__()", *writer.init]
    setting_up += _names(writer, state, shared)
    if not training:
        setting_up.append("self.eval()  # Caffe's phase TEST")
    arguments = "".join(f", {variable}: Tensor" for variable in writer.variables.inputs)
    outputs = ", ".join(f"{literal(value)}: {writer.variables.of(value)}" for value in graph.outputs)
    lines = [f"class {name}(nn.Module):", *indented(docstring(_about(graph, writer)))]
    if weights:
        lines += ["", *statements([f"loss_weights = {dictionary(weights)}"], 1)]
    lines += ["", "    def __init__(self) -> None:", *statements(setting_up, 2)]
    lines += ["", *statements([f"def forward(self{arguments}) -> dict[str, Tensor]:"], 1)]
    lines += ['        """Return the outputs by the names of their blobs."""']
    lines += statements([*_checks(graph, writer), *writer.forward, f"return {{{outputs}}}"], 2)
    return lines + (indented(_LOSS.rstrip().splitlines()) if weights else [])


def _checks(graph: Graph, writer: Writer) -> list[str]:
    """Return the statements that refuse inputs of other sizes, where sizes are a part of what is written."""
    if not writer.has_size:
        return []
    return [
        call("check_size", (value, Piece(variable), graph.shape(value)))
        for value, variable in zip(graph.inputs, writer.variables.inputs, strict=True)
        if len(graph.shape(value)) > 1
    ]


def _about(graph: Graph, writer: Writer) -> list[str]:
    """Return what a net takes and gives."""
    lines = [f"{graph.name or 'A net'}.", ""]
    for title, values, variables in (
        ("Inputs", graph.inputs, writer.variables.inputs),
        ("Outputs", graph.outputs, graph.outputs),
    ):
        if values:
            lines.append(f"{title}:")
        for value, variable in zip(values, variables, strict=True):
            meant = "" if variable == value else f"'{value}', "
            lines.append(f"    {variable}: {meant}{shape_text(graph.shapes[value])}")
    return lines


def _names(writer: Writer, state: State, shared: dict[str, str]) -> list[str]:
    """Return the statement that keeps the names of Caffe's layers in the state_dict, where it needs one."""
    renamed = {writer.attributes[node]: node for node in state.units if writer.attributes[node] != node}
    views = {
        f"{unit.node}.{derived.parameter}": Piece(
            f"({literal(f'{derived.owner}.{derived.owned}')}, lambda weight: weight{derived.views})"
        )
        for unit in state.units.values()
        for derived in unit.derived
    }
    if not renamed and not shared and not views:
        return []
    return [
        call("keep_caffe_names", [Piece("self"), *(Piece(dictionary(table)) for table in (renamed, shared, views))])
    ]


def _loss_weights(graph: Graph) -> dict[str, float]:
    return {
        top: weight
        for node in graph.nodes
        for top, weight in zip(node.tops, node.loss_weights, strict=False)
        if weight and top in graph.outputs
    }
