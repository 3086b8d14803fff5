"""Variables of a `forward`: one for each blob, which a layer that works in place writes anew."""

from collections.abc import Iterable
from math import inf

from filler_server.models.graph import Graph
from filler_server.models.torch.names import Identifiers


class Variables:
    """Variables that hold the values of a graph while it computes.

    A value goes by the name of its blob, as long as no value that is still to be read has that variable.

    Attributes:
        inputs: those of the graph's inputs.

    Args:
        graph: the graph.
        reserved: identifiers that mean something else.
    """

    def __init__(self, graph: Graph, reserved: Iterable[str]) -> None:
        self._names = Identifiers(reserved)
        self._last: dict[str, float] = {}
        for place, node in enumerate(graph.nodes):
            self._last.update(dict.fromkeys(node.bottoms, place))
        self._last.update(dict.fromkeys(graph.outputs, inf))
        self._values = {*graph.shapes}
        self._of_blob: dict[str, str] = {}
        self._held: dict[str, str] = {}
        self._variable: dict[str, str] = {}
        self.inputs = tuple(self.assign(-1, value) for value in graph.inputs)

    def of(self, value: str) -> str:
        """Return the variable that holds a value."""
        return self._variable[value]

    def assign(self, place: int, value: str) -> str:
        """Return the variable that holds a value from the node at a place on."""
        blob = self._blob(value)
        variable = self._of_blob.get(blob)
        if variable is None or self._is_needed(variable, place):
            variable = self._of_blob[blob] = self._names.unique(blob, "blob")
        self._held[variable] = value
        self._variable[value] = variable
        return variable

    def _is_needed(self, variable: str, place: int) -> bool:
        """Whether a variable holds a value that a node after a place reads."""
        return self._last.get(self._held[variable], -1) > place

    def _blob(self, value: str) -> str:
        """Return the name of the blob whose value it is: one before the last is called `<blob>@<layer>`."""
        end = value.find("@")
        while end != -1:
            if value[:end] in self._values:
                return value[:end]
            end = value.find("@", end + 1)
        return value
