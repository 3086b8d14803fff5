"""The layers of a document, each with what its reader passed over, and what of that a layer's type understands."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from caffe_filler.caffe import caffe_pb2
from filler_server.net.hints import did_you_mean, nearest
from filler_server.net.layer import LayerContext
from filler_server.net.registry import LayerType, resolve_layer_type
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.forks import BLOCKS
from filler_server.prototxt.unknown import PassedOver


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer of a file.

    Attributes:
        parameter: the layer.
        line: the line on which it starts, where it has one.
        unknown: what its reader passed over, by path.
    """

    parameter: caffe_pb2.LayerParameter
    line: int | None
    unknown: Mapping[str, PassedOver]

    def report_inner_fields(self, kind: LayerType, layer: LayerContext) -> None:
        """Report fields that no fork has inside a block that the layer's type understands."""
        for path in sorted(kind.fork_fields & self.unknown.keys()):
            block = BLOCKS.get(path)
            for value in self.unknown[path].values if block is not None else ():
                for name in value if isinstance(value, dict) else ():
                    if block is not None and name not in block.names:
                        layer.report(
                            f"{path} has no field {name}{did_you_mean(nearest(name, block.names))}, passed over"
                        )


def source_layers(document: NetDocument, inputs: Collection[str]) -> tuple[list[SourceLayer], set[int]]:
    """Return the layers of a document, and the indices of its problems that a layer's type makes sense of after all.

    Inputs of the net that have no shape, which Caffe refuses when a layer reads them, become an Input layer in front
    as far as they are among `inputs`, the names whose shape the caller declares.
    """
    layers = [
        SourceLayer(*layer) for layer in zip(document.net.layer, document.layer_lines, document.unknown, strict=True)
    ]
    understood: set[int] = set()
    for layer in layers:
        kind = resolve_layer_type(layer.parameter.type, layer.unknown)
        if kind is not None:
            for path in (kind.fork_fields | {"type"}) & layer.unknown.keys():
                understood.update(layer.unknown[path].problems)
    declared = [str(name) for name in document.open_inputs.values if name in inputs]
    if declared:
        if len(declared) == len(document.open_inputs.values):
            understood.update(document.open_inputs.problems)
        parameter = caffe_pb2.LayerParameter(name="input", type="Input", top=declared)
        layers.insert(0, SourceLayer(parameter, None, {}))
    return layers, understood
