"""Bottoms that no layer of a net makes: what would make them, and those that the caller declares as inputs."""

from collections.abc import Collection, Mapping, Sequence

from caffe_filler.caffe import caffe_pb2
from caffe_filler.interface import shape_option
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.net.dimensions import shortened
from filler_server.net.plan import Shape
from filler_server.net.source import SourceLayer
from filler_server.net.state import StateRules

_MOST_NAMED = 5


def with_declared_inputs(layers: Sequence[SourceLayer], inputs: Mapping[str, Shape]) -> list[SourceLayer]:
    """Return the layers, after one that makes the bottoms which are declared as inputs and which no layer makes.

    Nets that are deployed by a program often lack their input: the program adds it.
    """
    made = {name for layer in layers for name in layer.parameter.top}
    read = dict.fromkeys(name for layer in layers for name in layer.parameter.bottom)
    declared = [name for name in read if name in inputs and name not in made]
    if not declared:
        return list(layers)
    # The name of a layer names its weights: a layer of the net keeps its own.
    names = {layer.parameter.name for layer in layers}
    name = "input"
    while name in names:
        name += "_"
    parameter = caffe_pb2.LayerParameter(name=name, type="Input", top=declared)
    return [SourceLayer(parameter, None, {}), *layers]


class MissingBottoms:
    """Advice about a bottom that no layer makes.

    Args:
        rules: the state in which the net is planned.
        excluded: layers that do not stand in the net in this state.
        open_inputs: names of the net's inputs that have no shape, and so are not made by a layer.
        strict: whether the net is to be one that BVLC's Caffe takes.
    """

    def __init__(
        self, rules: StateRules, excluded: Sequence[SourceLayer], open_inputs: Collection[str], *, strict: bool
    ) -> None:
        self._rules = rules
        self._excluded = excluded
        self._open_inputs = open_inputs
        self._strict = strict

    def advice(self, name: str, made: Collection[str]) -> str:
        """Return what would settle it, to go on a message with.

        Args:
            name: the bottom.
            made: what the layers before make.
        """
        option = shape_option("inputs", name, "D,D,..")
        if name in self._open_inputs:
            return f" (it is an input of the net without a shape: give {option})"
        remedies = self._makers(name)
        if not self._strict:
            remedies.append(f"{option} makes it an input of the net")
        meant = did_you_mean(nearest(name, made))
        return f"{meant}{': ' if remedies else ''}{', or '.join(remedies)}"

    def _makers(self, name: str) -> list[str]:
        makers = []
        for layer in self._excluded:
            if name in layer.parameter.top and (state := self._rules.remedy(layer.parameter, layer.unknown)):
                line = "" if layer.line is None else f" (line {layer.line})"
                makers.append(f"layer '{shortened(layer.parameter.name)}'{line} makes it {state}")
            if len(makers) == _MOST_NAMED:
                break
        return makers
