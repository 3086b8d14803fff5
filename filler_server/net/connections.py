"""Readers of each top: the wiring of a net, as Caffe's `InsertSplits` sees it.

Caffe gives every further reader of a top a copy through a Split layer. The copies are not shown in a plan, but they
decide two things: a layer may work in place only on a top that nobody else reads, and a top that is both a loss and
read by another layer loses its own loss weights to the Split layer.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import refusal
from filler_server.net.plan import Value


@dataclass(frozen=True, slots=True)
class Connections:
    """The wiring of a net.

    Attributes:
        producers: for each layer, the value that each of its bottoms is.
        readers: for each value that is read, the layers that read it; a layer whose loss it is counts as one.
    """

    producers: Sequence[Sequence[Value]]
    readers: dict[Value, list[int]]

    def other_readers(self, layer: int, bottom: int) -> list[int]:
        """Return the readers of a bottom besides this reading of it."""
        readers = list(self.readers[self.producers[layer][bottom]])
        readers.remove(layer)
        return readers

    def is_read(self, layer: int, top: int) -> bool:
        """Whether a later layer reads a top, or it is a loss."""
        return Value(layer, top) in self.readers

    def num_loss_weights(self, index: int, layer: caffe_pb2.LayerParameter) -> int:
        """Return how many of a layer's loss weights are left to it."""
        return 0 if self._split_losses(index, layer) else len(layer.loss_weight)

    def loss_weights(
        self, index: int, layer: caffe_pb2.LayerParameter, num_tops: int, *, loss: bool
    ) -> tuple[float, ...]:
        """Return what each top weighs in the loss of the net.

        A layer of a loss weighs 1 on its first top where no weights of its own are left to it. If a Split layer has
        taken one, that one counts all the same, and the others do not.
        """
        if not layer.loss_weight:
            return (1.0, *[0.0] * (num_tops - 1)) if loss else (0.0,) * num_tops
        split = self._split_losses(index, layer)
        weights = [*layer.loss_weight, *[0.0] * num_tops][:num_tops]
        if split:
            weights = [weight if top in split else 0.0 for top, weight in enumerate(weights)]
        if loss and split:
            weights[0] += 1
        return tuple(weights)

    def _split_losses(self, index: int, layer: caffe_pb2.LayerParameter) -> set[int]:
        """Return the tops that are losses and read by other layers, too."""
        weighted = zip(range(len(layer.top)), layer.loss_weight, strict=False)
        # Of two tops of one name the last alone is read; such a layer is refused later on, as in Caffe.
        return {top for top, weight in weighted if weight and len(self.readers.get(Value(index, top), ())) > 1}


def connect(
    layers: Sequence[caffe_pb2.LayerParameter],
    lines: Sequence[int | None],
    *,
    advice: Callable[[str, Collection[str]], str],
) -> Connections:
    """Return the wiring of the layers of a net, which may read only what layers before them produce.

    Args:
        layers: the layers.
        lines: the line on which each starts.
        advice: returns what would make a bottom that no layer before makes, from its name and theirs.

    Raises:
        NetError: a bottom that no layer before produces.
    """
    last: dict[str, Value] = {}
    producers: list[list[Value]] = []
    readers: dict[Value, list[int]] = {}
    for index, layer in enumerate(layers):
        values = []
        for bottom, name in enumerate(layer.bottom):
            value = last.get(name)
            if value is None:
                raise refusal(
                    f"Unknown bottom blob '{name}' (layer '{layer.name}', bottom index {bottom}){advice(name, last)}",
                    layer=layer.name,
                    line=lines[index],
                    bottom=name,
                )
            values.append(value)
            readers.setdefault(value, []).append(index)
        producers.append(values)
        for top, name in enumerate(layer.top):
            last[name] = Value(index, top)
        for top, weight in zip(range(len(layer.top)), layer.loss_weight, strict=False):
            if weight:
                readers.setdefault(last[layer.top[top]], []).append(index)
    return Connections(producers, readers)
