"""What a net consists of once its shapes are known: the answer of the planner.

Shapes are tuples of int; an unknown dimension is None, and a blob whose very number of axes is unknown has None for
its shape.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias, TypeVar

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Problem

Shape: TypeAlias = tuple[int | None, ...] | None

_Kept = TypeVar("_Kept")


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
        given: values that the prototxt itself holds for it; nothing is filled then.
        unknown: what of its shape is not known and what would settle it, or None when all is known.
    """

    name: str
    shape: Shape
    filler: caffe_pb2.FillerParameter
    owner: str | None = None
    given: caffe_pb2.BlobProto | None = None
    unknown: str | None = None

    @property
    def count(self) -> int | None:
        """Number of values, or None while a dimension is unknown."""
        if self.shape is None:
            return None
        known = [dim for dim in self.shape if dim is not None]
        return prod(known) if len(known) == len(self.shape) else None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that stands in the net after the state rules.

    Attributes:
        name: its name in the prototxt; not unique.
        type: Caffe's type name; for a V1 type of a fork, such as ROI_POOLING, its name in the current format.
        bottoms: names of its inputs.
        tops: its outputs with their shapes.
        blobs: its learnable blobs in Caffe's order.
        line: line of the prototxt on which it starts, from 1; None for binary input.
        parameter: the layer as the prototxt has it.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[Top, ...]
    blobs: tuple[Blob, ...]
    line: int | None = None
    parameter: caffe_pb2.LayerParameter = field(default_factory=caffe_pb2.LayerParameter, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NetPlan:
    """A net in one state (phase, level, stages), with every shape that can be known."""

    name: str
    state: caffe_pb2.NetState
    layers: tuple[Layer, ...]
    warnings: tuple[Problem, ...]
    _kept: dict[str, tuple[Hashable, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, name: str, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """Return what `make` works out from the plan and `key`; the last of each name is kept as long as the plan."""
        known = self._kept.get(name)
        if known is None or known[0] != key:
            known = self._kept[name] = (key, make())
        kept: _Kept = known[1]
        return kept

    @property
    def blobs(self) -> Iterator[Blob]:
        """All learnable blobs in file order, shared ones included."""
        return (blob for layer in self.layers for blob in layer.blobs)

    @property
    def parameters(self) -> int:
        """Number of learnable values: each shared blob once, blobs of unknown shape not at all."""
        return sum(blob.count or 0 for blob in self.blobs if blob.owner is None)
