"""A layer on its way to source."""

from collections.abc import Mapping, Sequence

from caffe_filler.printable import shape_text
from filler_server.models.graph import Dims, Graph, Node
from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.literals import call


class UnknownShape(NoCounterpart):
    """A layer that cannot be written as a shape is not known."""


class Layer:
    """A layer on its way to source: what the functions that write operations know of it, and what they leave in it.

    Attributes:
        graph: the net that it is part of.
        node: the layer.
        bottoms: variables that hold the values that it reads.
        training: whether the net is written in the phase TRAIN.
        state: shapes of its entries of the state_dict, by the names of its parameters and buffers.
        scale: the Scale whose blobs are among these.
        constructor: expression that makes its module; None where it needs none.
        settings: further statements about its module, each to be read after its name and a dot.
        notes: what a reader of the source should know of it.
        has_size: whether it computes the same as Caffe for inputs of these sizes only.

    Args:
        module: expression that reads its module, if it gets one.
    """

    def __init__(
        self,
        graph: Graph,
        node: Node,
        module: str,
        bottoms: Sequence[str],
        state: Mapping[str, Dims],
        scale: Node | None = None,
        *,
        training: bool,
    ) -> None:
        self.graph = graph
        self.node = node
        self.bottoms = tuple(bottoms)
        self.training = training
        self.state = state
        self.scale = scale
        self.constructor: str | None = None
        self.settings: list[str] = []
        self.notes: list[str] = []
        self.has_size = False
        self._module = module

    def module(self, kind: str, *positional: object, **named: object) -> str:
        """Give the layer a module and return the expression that reads it; arguments that are None are left out."""
        given = {name: value for name, value in named.items() if value is not None}
        self.constructor = call(kind, [value for value in positional if value is not None], given)
        return self._module

    def set(self, setting: str) -> None:
        """Add a statement about the module after its constructor, such as `bias.requires_grad_(False)`."""
        self.settings.append(setting)

    def note(self, text: str) -> None:
        """Tell a reader of the source something about the layer."""
        self.notes.append(text)

    def needs_size(self) -> None:
        """Say that it computes the same as Caffe for inputs of these sizes only; their first axis is free."""
        self.has_size = True

    def apply(self, kind: str, *positional: object, **named: object) -> str:
        """Give the layer a module and return its output for the first bottom."""
        return f"{self.module(kind, *positional, **named)}({self.bottoms[0]})"

    def extents(self, start: int = 0, bottom: int = 0) -> Dims:
        """Return the extents of a value that it reads, from an axis on.

        Raises:
            UnknownShape: they are not known.
        """
        return _known(self.graph, self.node.bottoms[bottom], start)

    def top_extents(self, start: int = 0) -> Dims:
        """Return the extents of its first top from an axis on.

        Raises:
            UnknownShape: they are not known.
        """
        return _known(self.graph, self.node.tops[0], start)

    def axes(self, bottom: int = 0) -> int:
        """Return the number of axes of a value that it reads.

        Raises:
            UnknownShape: it is not known.
        """
        shape = self.graph.shapes[self.node.bottoms[bottom]]
        return len(self.extents(0, bottom)) if shape is None else len(shape)

    def blob_shape(self, index: int) -> Dims:
        """Return the shape of a blob in Caffe."""
        return self.graph.blob_shape(self.node, index)


def _known(graph: Graph, value: str, start: int) -> Dims:
    shape = graph.shapes[value]
    known = tuple(dim for dim in (shape or ())[start:] if dim is not None)
    if shape is None or len(known) != len(shape[start:]):
        raise UnknownShape(f"the shape of '{value}' is not known. Received: {shape_text(shape)}")
    return known
