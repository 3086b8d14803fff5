"""Parts of a net once its shapes are known.

A plan has no numbers of its own but shapes, counts and what theory expects of fillers. An unknown dimension is None,
and a shape of which not even the number of axes is known is None as a whole.

Values flow along edges. Each top that a layer makes is a `Value`, named by the index of the layer in the plan and the
index of the top there. A layer that works in place makes a new value under an old name, so that every value has
exactly one producer; names are for people.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeAlias, TypeVar

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument
from caffe_filler.printable import printable
from filler_server.net.operations import Operation, Unknown
from filler_server.prototxt.report import Problem
from filler_server.prototxt.unknown import PassedOver

Shape: TypeAlias = tuple[int | None, ...] | None

_Kept = TypeVar("_Kept")
_UNSAID = Unknown(reason="nobody said")


def unique_names(names: Iterable[str]) -> list[str]:
    """Return a name for each layer that no other has.

    The first layer of a name keeps it. Each further one gets `#2`, `#3`, ... after it, the first of these that is
    neither the name of any layer nor taken already; so a layer that is alone with its name always keeps it.

    >>> unique_names(["conv", "conv", "conv#2", "conv"])
    ['conv', 'conv#3', 'conv#2', 'conv#4']
    """
    originals = list(names)
    taken = set(originals)
    numbers: dict[str, int] = {}
    result = []
    for name in originals:
        number = numbers.get(name, 0) + 1
        unique = name
        if number > 1:
            while (unique := f"{name}#{number}") in taken:
                number += 1
            taken.add(unique)
        numbers[name] = number
        result.append(unique)
    return result


def is_source(type_name: str, bottoms: Sequence[str]) -> bool:
    """Whether a layer brings data in: it has no bottoms, and is not a blob that is its own top."""
    return not bottoms and type_name != "Parameter"


class Value(NamedTuple):
    """A value that flows through the net: a top, by the index of its layer in the plan and its index there."""

    layer: int
    top: int


class Edge(NamedTuple):
    """A value on its way into a layer: the value, the index of the layer that reads it, and as which bottom."""

    value: Value
    reader: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Top:
    """An output of a layer."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Blob:
    """One learnable blob of a layer.

    Attributes:
        name: `<layer name>/<index>`, the name of its random stream and of its tensor in files. The second layer of a
            name is called `<layer name>#2` here, and so on.
        shape: its shape, with None where it depends on something unknown.
        filler: what fills it; the default that Caffe gives it where the prototxt names none.
        owner: name of the blob whose values it shares, or None when it owns its values.
        given: whether the prototxt itself holds values for it; nothing is filled then.
        unknown: what of its shape is not known and what would settle it, or None when all is known.
        fan_in: number of inputs that Caffe counts for its shape: all values of one index of the first axis. None
            where the shape is not known, or has no axes; so with the others.
        fan_out: number of outputs: all values of one index of the second axis.
        mean: what theory expects of its values at the start. None as well for values that the prototxt holds. Of
            shared values it is that of the owner's filler over the owner's shape.
        std: their standard deviation, likewise.
        values: those that the prototxt holds. Of a plan that came from a server they are None.
    """

    name: str
    shape: Shape
    filler: caffe_pb2.FillerParameter
    owner: str | None = None
    given: bool = False
    unknown: str | None = None
    fan_in: int | None = None
    fan_out: int | None = None
    mean: float | None = None
    std: float | None = None
    values: caffe_pb2.BlobProto | None = field(default=None, repr=False, compare=False)

    @property
    def known_shape(self) -> tuple[int, ...] | None:
        """The shape, or None while anything of it is unknown."""
        known = tuple(dim for dim in self.shape or () if dim is not None)
        return known if self.shape is not None and len(known) == len(self.shape) else None

    @property
    def count(self) -> int | None:
        """Number of values, or None while a dimension is unknown."""
        shape = self.known_shape
        return None if shape is None else prod(shape)

    def __repr__(self) -> str:
        filled = "given" if self.given else self.filler.type
        owner = "" if self.owner is None else f", owner={self.owner!r}"
        return printable(f"Blob({self.name!r}, {self.shape}, {filled}{owner})")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that stands in the net after the state rules.

    Attributes:
        name: its name in the prototxt; not unique.
        type: Caffe's type name; for a V1 type of a fork, such as ROI_POOLING, its name in the current format.
        bottoms: names of its inputs.
        tops: its outputs with their shapes.
        blobs: its learnable blobs in Caffe's order.
        producers: for each bottom, the value that it reads.
        loss_weights: for each top, what it weighs in the loss of the net; 0 for those that are not a loss.
        operation: what it computes.
        line: line of the prototxt on which it starts, from 1; None for binary input.
        draws: number of 32-bit outputs of Caffe's engine that its set-up draws, where that was asked for
            (`NetPlan.sequential`) and is known.
        definition: the layer as the prototxt has it; None in a plan that came from a server.
        unknown: what its reader passed over, such as fields of forks, by its path in the layer; nothing in a plan that
            came from a server.
        has_filler: whether the prototxt names a filler for it; False in a plan that came from a server.
        missing: fields by which it must have blobs, although none of it is known: its type is not. Empty in a plan that
            came from a server.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[Top, ...]
    blobs: tuple[Blob, ...]
    producers: tuple[Value, ...] = ()
    loss_weights: tuple[float, ...] = ()
    operation: Operation = _UNSAID
    line: int | None = None
    draws: int | None = None
    definition: caffe_pb2.LayerParameter | None = field(default=None, repr=False, compare=False)
    unknown: Mapping[str, PassedOver] = field(default_factory=dict, repr=False, compare=False)
    has_filler: bool = field(default=False, repr=False, compare=False)
    missing: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def parameter(self) -> caffe_pb2.LayerParameter:
        """The layer as the prototxt has it.

        Raises:
            InvalidArgument: the plan came from a server, which does not send it.
        """
        if self.definition is None:
            raise InvalidArgument(f"a plan from a server has no definitions of its layers. Received: '{self.name}'")
        return self.definition

    @property
    def is_source(self) -> bool:
        """Whether it brings data in."""
        return is_source(self.type, self.bottoms)

    def __repr__(self) -> str:
        tops = ", ".join(f"{top.name} {top.shape}" for top in self.tops)
        return printable(f"Layer({self.name!r}, {self.operation!r}, {', '.join(self.bottoms)} -> {tops})")


@dataclass(frozen=True, slots=True)
class PlannedNet:
    """A net in one state, with every shape that can be known; `NetPlan` says what its attributes are."""

    name: str
    state: caffe_pb2.NetState
    layers: tuple[Layer, ...]
    warnings: tuple[Problem, ...]
    sequential: bool = False
    _kept: dict[str, tuple[Hashable, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, name: str, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """Return what `make` works out from the plan and `key`; the last of each name is kept as long as the plan."""
        known = self._kept.get(name)
        if known is None or known[0] != key:
            known = self._kept[name] = (key, make())
        kept: _Kept = known[1]
        return kept

    @property
    def phase(self) -> str:
        """TRAIN or TEST."""
        return caffe_pb2.Phase.Name(self.state.phase)

    @property
    def blobs(self) -> Iterator[Blob]:
        """All learnable blobs in file order, shared ones included."""
        return (blob for layer in self.layers for blob in layer.blobs)

    @property
    def parameters(self) -> int:
        """Number of learnable values: each shared blob once, blobs of unknown shape not at all."""
        return sum(blob.count or 0 for blob in self.blobs if blob.owner is None)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Values that feed the bottoms of layers, in the order of the layers and of their bottoms."""
        return tuple(
            Edge(value, reader, bottom)
            for reader, layer in enumerate(self.layers)
            for bottom, value in enumerate(layer.producers)
        )

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that come from outside: those of layers that read data or are fed by a program."""
        return tuple(
            Value(index, top)
            for index, layer in enumerate(self.layers)
            if layer.is_source
            for top in range(len(layer.tops))
        )

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values that no layer reads."""
        read = {value for layer in self.layers for value in layer.producers}
        return tuple(
            value
            for index, layer in enumerate(self.layers)
            for value in (Value(index, top) for top in range(len(layer.tops)))
            if value not in read
        )

    def readers(self, value: Value) -> tuple[Edge, ...]:
        """Return the edges that lead from a value, in the order of the layers."""
        readers = self.keep("readers", None, self._readers)
        return readers.get(value, ())

    def top(self, value: Value) -> Top:
        """Return name and shape of a value."""
        return self.layers[value.layer].tops[value.top]

    def _readers(self) -> dict[Value, tuple[Edge, ...]]:
        found: dict[Value, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.value, []).append(edge)
        return {value: tuple(edges) for value, edges in found.items()}
