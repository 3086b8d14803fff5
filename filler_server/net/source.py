"""The layers of a document, each with what its reader passed over, and what of that a layer's type understands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from caffe_filler.interface import option
from caffe_filler.nearest import did_you_mean, nearest
from caffe_filler.printable import counted
from filler_server.net.dimensions import shortened
from filler_server.net.layer import LayerContext
from filler_server.net.registry import LayerType, resolve_layer_type
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.forks import BLOCKS
from filler_server.prototxt.near_miss import KnownNames
from filler_server.prototxt.unknown import PassedOver

_MOST_INNER = 10
_MOST_COMPARED = 1000


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer of a file.

    Attributes:
        parameter: the layer.
        line: the line on which it starts, where it has one.
        unknown: what its reader passed over, by path.
        v1_number: the number of its type in a V1 file, where forks have others under it.
        adopted: names of tops that the file does not name, see `adopt_bottoms`.
    """

    parameter: caffe_pb2.LayerParameter
    line: int | None
    unknown: Mapping[str, PassedOver]
    v1_number: int | None = None
    adopted: tuple[str, ...] = ()

    @property
    def written_type(self) -> str:
        """The layer's type as the file has it: a fork's V1 type by its name there."""
        former = self.unknown.get("type")
        return str(former.values[-1]) if former is not None and former.values else self.parameter.type

    def report_inner_fields(self, kind: LayerType, layer: LayerContext) -> None:
        """Report fields that no fork has inside a block that the layer's type understands."""
        for path in sorted(kind.fork_fields & self.unknown.keys() & BLOCKS.keys()):
            known = BLOCKS[path].names
            strange = [name for name in _inside(self.unknown[path]) if name not in known]
            for name in strange[:_MOST_INNER]:
                layer.report(f"{path} has no field {name}{did_you_mean(nearest(name, known))}, passed over")
            if len(strange) > _MOST_INNER:
                layer.report(f"{path} has {counted(len(strange) - _MOST_INNER, 'more such field')}")


def source_layers(
    document: NetDocument, inputs: Collection[str], *, lenient: bool = False
) -> tuple[list[SourceLayer], set[int]]:
    """Return the layers of a document, and the indices of its problems that a layer's type makes sense of after all.

    Inputs of the net that have no shape, which Caffe refuses when a layer reads them, become an Input layer in front
    as far as they are among `inputs`, the names whose shape the caller declares.

    Raises:
        PrototxtError: a misspelled field inside of a block that the layer's type understands, unless `lenient`.
    """
    unknown = document.unknown or ({},) * len(document.net.layer)
    numbers = document.v1_numbers or (None,) * len(document.net.layer)
    every_layer = zip(document.net.layer, document.layer_lines, unknown, numbers, strict=True)
    layers = [SourceLayer(*layer) for layer in every_layer]
    understood: set[int] = set()
    for layer in layers:
        kind = resolve_layer_type(layer.parameter.type, layer.unknown)
        if kind is not None:
            for path in (kind.fork_fields | {"type"}) & layer.unknown.keys():
                understood.update(layer.unknown[path].problems)
            if not lenient:
                _refuse_misspelled(layer, kind, document)
    made = {name for layer in layers for name in layer.parameter.top}
    declared = [str(name) for name in document.open_inputs.values if name in inputs and name not in made]
    if declared:
        if len(declared) == len(document.open_inputs.values):
            understood.update(document.open_inputs.problems)
        parameter = caffe_pb2.LayerParameter(name="input", type="Input", top=declared)
        layers.insert(0, SourceLayer(parameter, None, {}))
    return layers, understood


def _refuse_misspelled(layer: SourceLayer, kind: LayerType, document: NetDocument) -> None:
    for path in sorted(kind.fork_fields & layer.unknown.keys() & BLOCKS.keys()):
        passed_over, names = layer.unknown[path], KnownNames(BLOCKS[path].names)
        for name in _inside(passed_over):
            meant = names.meant_by(name)
            if meant is not None:
                problem = document.problems[passed_over.problems[0]] if passed_over.problems else None
                what = f"{path} has no field {name}{did_you_mean(meant, quote='')}; {option('lenient')} passes over it"
                place = (None, None) if problem is None else (problem.line, problem.column)
                raise PrototxtError(f"{what}. Received: {name}", line=place[0], column=place[1])


def _inside(passed_over: PassedOver) -> list[str]:
    """Names of the fields inside of blocks that were passed over, each once, the first of them."""
    blocks = [value for value in passed_over.values if isinstance(value, dict)]
    return list(dict.fromkeys(islice((name for block in blocks for name in block), _MOST_COMPARED)))


def passed_over_in(document: NetDocument, *, layer: str | None, line: int | None) -> str:
    """Return a sentence of what was passed over in a layer that cannot be set up; it may explain why.

    Args:
        document: the net.
        layer: name of the layer.
        line: the line on which it starts.
    """
    unknown = document.unknown or ({},) * len(document.net.layer)
    for parameter, layer_line, fields in zip(document.net.layer, document.layer_lines, unknown, strict=True):
        if (shortened(parameter.name), layer_line) != (layer, line):
            continue
        kind = resolve_layer_type(parameter.type, fields)
        foreign = [
            _with_place(path, kept, document)
            for path, kept in fields.items()
            if kind is None or path not in {*kind.fork_fields, "type"}
        ]
        more = f" and {len(foreign) - _MOST_INNER} more" if len(foreign) > _MOST_INNER else ""
        return f". Passed over in this layer: {', '.join(foreign[:_MOST_INNER])}{more}" if foreign else ""
    return ""


def _with_place(path: str, kept: PassedOver, document: NetDocument) -> str:
    """Name a field, and say where it stands in a text."""
    problem = document.problems[kept.problems[0]] if kept.problems else None
    shown = shortened(path)
    return shown if problem is None or problem.line is None else f"{shown} (line {problem.line})"


def adopt_bottoms(layers: Sequence[SourceLayer]) -> list[SourceLayer]:
    """Return the layers, with bottoms that no layer makes as tops of the last layer before that may make anything.

    That is a layer of unknown type which names neither bottoms nor tops, such as one that imports another file.
    """
    made: set[str] = set()
    adopted: dict[int, list[str]] = {}
    last: int | None = None
    for index, layer in enumerate(layers):
        parameter = layer.parameter
        if last is not None:
            for name in parameter.bottom:
                if name not in made:
                    made.add(name)
                    adopted.setdefault(last, []).append(name)
        made.update(parameter.top)
        nameless = parameter.type and not parameter.bottom and not parameter.top
        if nameless and resolve_layer_type(parameter.type, layer.unknown) is None:
            last = index
    result = list(layers)
    for index, names in adopted.items():
        parameter = caffe_pb2.LayerParameter()
        parameter.CopyFrom(layers[index].parameter)
        parameter.top.extend(names)
        result[index] = replace(layers[index], parameter=parameter, adopted=tuple(names))
    return result
