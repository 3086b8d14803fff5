"""Subjects of rules: a net file with its document, its net in one state, pairs of such nets, a solver."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.diagnostics.lint.flow import Flow
from filler_server.diagnostics.lint.source import Source
from filler_server.diagnostics.lint.weights import Weight, weights_of
from filler_server.net.plan import Layer, NetPlan, Shape
from filler_server.prototxt.document import NetDocument, SolverDocument
from filler_server.prototxt.rewrite.syntax import Block, Entry

Inputs: TypeAlias = Mapping[str, Shape]
"""Shapes of inputs by name; None, or None for a dimension, leaves it open."""


@dataclass(frozen=True)
class NetFile:
    """A net as it stands in a file.

    Attributes:
        name: what to call it in findings.
        document: the net in the current format, read leniently.
        source: its text; None of a binary file.
        trained: whether its solver starts it from trained weights.
    """

    name: str
    document: NetDocument
    source: Source | None
    trained: bool = False

    @cached_property
    def blocks(self) -> "list[tuple[Entry, Block] | None]":
        """The field and the block of each layer of the document in the text."""
        return [] if self.source is None else self.source.layers(self.document.layer_lines)

    @property
    def layers(self) -> Sequence[caffe_pb2.LayerParameter]:
        """The layers of the document."""
        return self.document.net.layer


@dataclass(frozen=True, slots=True)
class Refused:
    """A layer that Caffe refuses, by its index in the document, and why; None where it is the net as a whole."""

    layer: int | None
    error: FillerError


@dataclass(frozen=True)
class Net:
    """The net of a file in one state, as far as it can be planned.

    Attributes:
        file: the file.
        state: phase, level and stages.
        plan: its plan; layers that Caffe refuses are of an unknown type in it, or not there.
        places: for each layer of the plan, its index in the document; None for inputs that the caller declares.
        refused: the layers that Caffe refuses.
        missing: names of bottoms that no layer makes in this state, and the index of the layer that reads each first.
    """

    file: NetFile
    state: caffe_pb2.NetState
    plan: NetPlan
    places: Sequence[int | None]
    refused: Sequence[Refused] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def training(self) -> bool:
        """Whether it is trained in this state: its phase is TRAIN, and it has a loss."""
        return self.plan.phase == "TRAIN" and self.has_loss

    @cached_property
    def has_loss(self) -> bool:
        """Whether any top is a loss."""
        return any(any(layer.loss_weights) for layer in self.plan.layers)

    @cached_property
    def flow(self) -> Flow:
        """The ways before and after each value."""
        return Flow(self.plan)

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """The layers with weights."""
        return weights_of(self.plan)

    @cached_property
    def lacks_fillers(self) -> bool:
        """Whether no layer with weights has a filler, so that it can only start from trained ones."""
        own = [weight for weight in self.weights if weight.blob.owner is None and not weight.blob.given]
        return len(own) > 1 and not any(weight.explicit for weight in own)

    def producer(self, layer: Layer, bottom: int = 0) -> Layer | None:
        """Return the layer that makes a bottom of another one."""
        return self.plan.layers[layer.producers[bottom].layer] if bottom < len(layer.producers) else None


@dataclass(frozen=True, slots=True)
class NetPair:
    """A train net and a test net that takes its weights."""

    train: Net
    test: Net


@dataclass(frozen=True, slots=True)
class SolverFile:
    """A solver as it stands in a file.

    Attributes:
        document: the solver.
        source: its text; None of a binary file.
    """

    document: SolverDocument
    source: Source | None
