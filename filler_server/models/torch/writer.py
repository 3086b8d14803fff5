"""A walk over a graph that writes what each layer adds to a module: in `__init__`, and in `forward`."""

from collections.abc import Iterable, Sequence

import filler_server.models.torch.functions  # noqa: F401 - registers the functions that write operations
from filler_server.models.graph import Graph, Node
from filler_server.models.refusal import NoCounterpart, Refusal, refusal_error
from filler_server.models.torch.layer import Layer, UnknownShape
from filler_server.models.torch.literals import comment
from filler_server.models.torch.names import MODULE_ATTRIBUTES, Identifiers, identifier
from filler_server.models.torch.registry import Written, write
from filler_server.models.torch.state import State, Unit
from filler_server.models.torch.variables import Variables
from filler_server.net.operations.recurrent import LSTM, RNN

FORM = "PyTorch"
OWN_ATTRIBUTES = frozenset({"loss", "loss_weights"})


class Writer:
    """Statements that the layers of a graph add to a module.

    Attributes:
        attributes: by the names of nodes, those of their modules.
        variables: those of `forward`.
        init: statements of `__init__`.
        forward: statements of `forward`.
        assigned: for each assignment of `forward`, names of the values that its targets have.
        has_size: whether inputs must have the sizes that the graph has, but for their first axes.

    Args:
        graph: the graph.
        state: its state_dict.
        reserved: identifiers that mean something else in the file.
        training: whether the graph was planned in the phase TRAIN.

    Raises:
        NetError: PyTorch has no counterpart of some layers; all of them are named.
    """

    def __init__(self, graph: Graph, state: State, reserved: Iterable[str], *, training: bool) -> None:
        self._graph = graph
        self._state = state
        self._training = training
        self.attributes = _attributes(graph)
        self.variables = Variables(graph, reserved)
        self.init: list[str] = []
        self.forward: list[str] = []
        self.assigned: list[tuple[str, ...]] = []
        self.has_size = False
        self._constructors: dict[str, str] = {}
        self._without: set[str] = set()
        self._of_value: dict[str, int] = {}
        refused = {refusal.node.name: refusal for refusal in state.refused}
        for place, node in enumerate(graph.nodes):
            try:
                self._add(place, node)
            except NoCounterpart as error:
                # That of a shape that a refused layer would give says nothing.
                if not isinstance(error, UnknownShape) or self._without.isdisjoint(node.bottoms):
                    refused[node.name] = Refusal(node, str(error))
            if not self._without.isdisjoint(node.bottoms) or node.name in refused:
                self._without.update(node.tops)
        if refused:
            raise refusal_error(graph, [refused[node.name] for node in graph.nodes if node.name in refused], FORM)

    def _add(self, place: int, node: Node) -> None:
        bottoms = [self.variables.of(bottom) for bottom in node.bottoms]
        if node.name in self._state.folded:
            self._add_folded(place, node, bottoms[0])
            return
        unit = self._state.units.get(node.name, Unit(node.name, {}))
        module = self._module_of(unit)
        layer = Layer(self._graph, node, module, bottoms, unit.entries, unit.scale, training=self._training)
        try:
            written = write(layer, node.operation)
        except NoCounterpart:
            # What reads its tops is looked at as well.
            self._assign(place, node, "None", [])
            raise
        self.has_size |= layer.has_size
        self._construct(layer, unit)
        self._assign(place, node, written, layer.notes)

    def _add_folded(self, place: int, node: Node, bottom: str) -> None:
        """Write a Scale whose blobs are those of the BatchNorm before it."""
        module = f"self.{self.attributes[self._state.folded[node.name]]}"
        note = f"its blobs are weight and bias of {module}"
        if node.bottoms[0] in self._graph.outputs:
            self._assign(place, node, f"affine({module}, {bottom})", [note])
            return
        # The assignment before has the value of this node already.
        self._assign(place, node, bottom, [f"{note}, which has used them"])
        self.assigned[self._of_value[node.bottoms[0]]] = node.tops

    def _module_of(self, unit: Unit) -> str:
        """Return the expression that reads the module of a node."""
        module = f"self.{self.attributes[unit.node]}"
        if not unit.derived:
            return module
        values = (
            f"{derived.parameter}=self.{self.attributes[derived.owner]}.{derived.owned}{derived.views}"
            for derived in unit.derived
        )
        return f"with_values({module}, {', '.join(values)})"

    def _construct(self, layer: Layer, unit: Unit) -> None:
        """Write the module of a layer, or that it is the one of another."""
        if layer.constructor is None:
            return
        module, same = f"self.{self.attributes[unit.node]}", unit.same_as
        self._constructors[unit.node] = layer.constructor
        # Each recurrent layer has a state of its own.
        alone = isinstance(layer.node.operation, LSTM | RNN)
        if same is not None and self._constructors.get(same) == layer.constructor and not alone:
            self.init.append(f"{module} = self.{self.attributes[same]}")
            return
        self.init.append(f"{module} = {layer.constructor}")
        self.init.extend(f"{module}.{setting}" for setting in layer.settings)
        if layer.node.frozen and unit.entries:
            self.init.append(f"{module}.requires_grad_(False)")
        for parameter, (owner, there) in unit.tied.items():
            self.init.append(f"{module}.{parameter} = self.{self.attributes[owner]}.{there}")
        self.init.extend(f"{module}.{derived.parameter} = None" for derived in unit.derived)

    def _assign(self, place: int, node: Node, written: Written, notes: Sequence[str]) -> None:
        """Write the statement that gives the tops of a layer their values."""
        self.forward.extend(comment(f"{self.attributes[node.name]}: {note}") for note in notes)
        target = ", ".join([self.variables.assign(place, top) for top in node.tops])
        values = written if isinstance(written, str) else ", ".join(written)
        if target and target != values:
            self.forward.append(f"{target} = {values}")
            self._of_value.update(dict.fromkeys(node.tops, len(self.assigned)))
            self.assigned.append(node.tops)


def _attributes(graph: Graph) -> dict[str, str]:
    """Return an attribute for each node; a name that can be one has it before those that are made into it."""
    names = [node.name for node in graph.nodes]
    identifiers = Identifiers({*MODULE_ATTRIBUTES, *OWN_ATTRIBUTES})
    ordered = sorted(names, key=lambda name: identifier(name, "layer") != name)
    found = {name: identifiers.unique(name, "layer") for name in ordered}
    return {name: found[name] for name in names}
