"""Who reads which top: the wiring of a net, as Caffe's `InsertSplits` sees it.

Caffe gives every further reader of a top a copy through a Split layer. The copies are not shown in a plan, but they
decide two things: a layer may work in place only on a top that nobody else reads, and a top that is both a loss and
read by another layer loses its own loss weights to the Split layer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from caffe_filler.caffe import caffe_pb2
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.net.refusals import refusal

Place = tuple[int, int]
"""A top by the index of its layer and its index there."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The wiring of a net.

    Attributes:
        sources: for each layer, where each of its bottoms comes from.
        readers: for each top that is read, the layers that read it; a layer whose loss it is counts as one.
    """

    sources: Sequence[Sequence[Place]]
    readers: dict[Place, list[int]]

    def other_readers(self, layer: int, bottom: int) -> list[int]:
        """Return the readers of a bottom besides this reading of it."""
        readers = list(self.readers[self.sources[layer][bottom]])
        readers.remove(layer)
        return readers

    def is_read(self, layer: int, top: int) -> bool:
        """Whether a later layer reads a top, or it is a loss."""
        return (layer, top) in self.readers

    def num_loss_weights(self, index: int, layer: caffe_pb2.LayerParameter) -> int:
        """Return how many of a layer's loss weights are left to it."""
        for top, weight in zip(range(len(layer.top)), layer.loss_weight, strict=False):
            if weight and len(self.readers[index, top]) > 1:
                return 0
        return len(layer.loss_weight)


def connect(
    layers: Sequence[caffe_pb2.LayerParameter],
    lines: Sequence[int | None],
    *,
    open_inputs: Collection[str] = (),
) -> Connections:
    """Return the wiring of the layers of a net, which may read only what layers before them produce.

    Args:
        layers: the layers.
        lines: the line on which each starts.
        open_inputs: names of the net's inputs that have no shape, and so are not made by a layer.

    Raises:
        NetError: a bottom that no layer before produces; names the nearest name.
    """
    last: dict[str, Place] = {}
    sources: list[list[Place]] = []
    readers: dict[Place, list[int]] = {}
    for index, layer in enumerate(layers):
        places = []
        for bottom, name in enumerate(layer.bottom):
            place = last.get(name)
            if place is None:
                hint = (
                    f" (it is an input of the net without a shape: give --input {name}=D,D,..)"
                    if name in open_inputs
                    else did_you_mean(nearest(name, last))
                )
                raise refusal(
                    f"Unknown bottom blob '{name}' (layer '{layer.name}', bottom index {bottom}){hint}",
                    layer=layer.name,
                    line=lines[index],
                    bottom=name,
                )
            places.append(place)
            readers.setdefault(place, []).append(index)
        sources.append(places)
        for top, name in enumerate(layer.top):
            last[name] = (index, top)
        for top, weight in zip(range(len(layer.top)), layer.loss_weight, strict=False):
            if weight:
                readers.setdefault(last[layer.top[top]], []).append(index)
    return Connections(sources, readers)
