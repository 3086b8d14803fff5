"""A net on its way to the current format."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt.report import Change, Place, ProblemList
from filler_server.prototxt.unknown import PassedOver


@dataclass(frozen=True, slots=True)
class LayerSource:
    """Origin of a layer.

    Attributes:
        place: its position in a text.
        unknown: the fields that were passed over in it.
        type: its type, where V0 does not have it.
        v1_number: the number of its type in a V1 file that is binary, where forks have other types under it.
    """

    place: Place | None = None
    unknown: Mapping[str, PassedOver] = field(default_factory=dict)
    type: str | None = None
    v1_number: int | None = None


@dataclass(slots=True)
class NetDraft:
    """A net and what is known of it; each step of the upgrade changes all of it together.

    Attributes:
        net: the net, which the steps replace or edit.
        problems: what was passed over so far.
        places: for each field of the net, where its values stand in the text.
        layer: source of each `net.layer`.
        layers: source of each `net.layers`.
        changes: what was brought to the current format so far.
        open_inputs: names of inputs without any shape, which are not blobs of the net.
    """

    net: caffe_pb2.NetParameter
    problems: ProblemList
    places: Mapping[str, list[Place]] = field(default_factory=dict)
    layer: list[LayerSource] = field(default_factory=list)
    layers: list[LayerSource] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    open_inputs: PassedOver = field(default_factory=lambda: PassedOver([], []))

    def place(self, name: str, index: int = 0) -> Place | None:
        """Place of a value of one of the net's fields, if it is known."""
        places = self.places.get(name, [])
        return places[index] if index < len(places) else None

    def changed(self, message: str, place: Place | None, layer: str | None = None) -> None:
        """Take note of a change."""
        line, column = place or (None, None)
        self.changes.append(Change(message, line=line, column=column, layer=layer or None))


def refusal(message: str, place: Place | None) -> PrototxtError:
    """An error for what no upgrade can make sense of."""
    line, column = place or (None, None)
    return PrototxtError(message, line=line, column=column)
