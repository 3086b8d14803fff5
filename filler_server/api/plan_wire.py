"""Plans to messages of the wire and back."""

import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from caffe_filler.errors import DataLoss
from caffe_filler.notes import Note
from caffe_filler.v1 import filler_pb2
from filler_server.net.operations import Operation, Unknown
from filler_server.net.plan import Blob, Layer, NetPlan, Shape, Top, Value
from filler_server.prototxt.report import Problem

_STATISTICS = ("fan_in", "fan_out", "mean", "std")


def to_wire(plan: NetPlan) -> filler_pb2.PlanNetResponse:
    """Return the message of a plan."""
    operations: dict[Operation, filler_pb2.Operation] = {}
    for layer in plan.layers:
        if layer.operation not in operations:
            operations[layer.operation] = _operation(layer.operation)
    return filler_pb2.PlanNetResponse(
        name=plan.name,
        state=plan.state,
        layers=[_layer(layer, operations[layer.operation]) for layer in plan.layers],
        warnings=[note_to_wire(warning) for warning in plan.warnings],
        parameters=plan.parameters,
        sequential=plan.sequential,
    )


def from_wire(response: filler_pb2.PlanNetResponse) -> NetPlan:
    """Return the plan that a message holds. It equals the plan that the server made.

    An operation of which this version does not know the type, or all attributes, is `Unknown`. Where a server of an
    older version does not tell which value a bottom is, it is the last one of its name.

    Raises:
        DataLoss: the message is not a plan: an edge starts at a value that does not exist.
    """
    layers: list[Layer] = []
    last: dict[str, Value] = {}
    operations: dict[bytes, Operation] = {}
    for number, entry in enumerate(response.layers):
        encoded = entry.operation.SerializeToString()
        if encoded not in operations:
            operations[encoded] = _from_operation(entry.operation)
        layers.append(_from_layer(entry, operations[encoded], layers, last))
        last.update((top.name, Value(number, index)) for index, top in enumerate(entry.tops))
    warnings = tuple(
        Problem(entry.message, entry.line or None, entry.column or None, entry.layer or None)
        for entry in response.warnings
    )
    return NetPlan(response.name, response.state, tuple(layers), warnings, response.sequential)


def note_to_wire(note: Note) -> filler_pb2.Problem:
    """Return the message of something that is to be told of a file."""
    return filler_pb2.Problem(
        message=note.message, line=note.line or 0, column=note.column or 0, layer=note.layer or ""
    )


def _layer(layer: Layer, operation: filler_pb2.Operation) -> filler_pb2.LayerPlan:
    return filler_pb2.LayerPlan(
        name=layer.name,
        type=layer.type,
        bottoms=layer.bottoms,
        tops=[filler_pb2.NamedShape(name=top.name, shape=_shape(top.shape)) for top in layer.tops],
        blobs=[_blob(blob) for blob in layer.blobs],
        line=layer.line or 0,
        draws=layer.draws,
        producers=[filler_pb2.Value(layer=value.layer, top=value.top) for value in layer.producers],
        loss_weights=layer.loss_weights,
        operation=operation,
    )


def _from_layer(
    entry: filler_pb2.LayerPlan, operation: Operation, before: Sequence[Layer], last: Mapping[str, Value]
) -> Layer:
    """Return a layer; `last` has the last value of each name before it."""
    producers = tuple(Value(value.layer, value.top) for value in entry.producers)
    if not producers:
        producers = tuple(last[name] for name in entry.bottoms if name in last)
    if len(producers) != len(entry.bottoms):
        raise DataLoss(
            "the plan of a net has one producer for each bottom. "
            f"Received: bottoms={len(entry.bottoms)}, producers={len(producers)}"
        )
    for layer, top in producers:
        if layer >= len(before) or top >= len(before[layer].tops):
            raise DataLoss(f"the plan of a net reads a value that no layer makes. Received: layer={layer}, top={top}")
    return Layer(
        name=entry.name,
        type=entry.type,
        bottoms=tuple(entry.bottoms),
        tops=tuple(Top(top.name, _from_shape(top.shape)) for top in entry.tops),
        blobs=tuple(_from_blob(blob) for blob in entry.blobs),
        producers=producers,
        loss_weights=tuple(entry.loss_weights),
        operation=operation,
        line=entry.line or None,
        draws=entry.draws if entry.HasField("draws") else None,
    )


def _blob(blob: Blob) -> filler_pb2.BlobPlan:
    return filler_pb2.BlobPlan(
        name=blob.name,
        shape=_shape(blob.shape),
        filler=blob.filler,
        owner=blob.owner or "",
        given=blob.given,
        count=blob.count,
        unknown=blob.unknown or "",
        **{name: getattr(blob, name) for name in _STATISTICS},
    )


def _from_blob(entry: filler_pb2.BlobPlan) -> Blob:
    return Blob(
        entry.name,
        _from_shape(entry.shape),
        entry.filler,
        owner=entry.owner or None,
        given=entry.given,
        unknown=entry.unknown or None,
        **{name: getattr(entry, name) if entry.HasField(name) else None for name in _STATISTICS},
    )


def _shape(shape: Shape) -> filler_pb2.PartialShape:
    if shape is None:
        return filler_pb2.PartialShape(unknown_rank=True)
    return filler_pb2.PartialShape(dim=[-1 if dim is None else dim for dim in shape])


def _from_shape(shape: filler_pb2.PartialShape) -> Shape:
    return None if shape.unknown_rank else tuple(None if dim == -1 else dim for dim in shape.dim)


def _operation(operation: Operation) -> filler_pb2.Operation:
    return filler_pb2.Operation(
        type=type(operation).__name__,
        attributes=[
            filler_pb2.Attribute(name=name, value=_value(value)) for name, value in operation.attributes().items()
        ],
    )


def _value(value: Any) -> filler_pb2.AttributeValue:
    if value is None:
        return filler_pb2.AttributeValue()
    if isinstance(value, bool):
        return filler_pb2.AttributeValue(flag=value)
    if isinstance(value, int):
        return filler_pb2.AttributeValue(integer=value)
    if isinstance(value, float):
        return filler_pb2.AttributeValue(number=value)
    if isinstance(value, str):
        return filler_pb2.AttributeValue(text=value)
    if isinstance(value, Operation):
        return filler_pb2.AttributeValue(operation=_operation(value))
    return filler_pb2.AttributeValue(list=filler_pb2.AttributeList(values=map(_value, value)))


def _from_operation(entry: filler_pb2.Operation) -> Operation:
    kind = Operation.kinds.get(entry.type)
    if kind is None:
        return Unknown(reason=f"this version does not know the operation '{entry.type}'")
    attributes = {attribute.name: _from_value(attribute.value) for attribute in entry.attributes}
    hints = _hints(entry.type)
    if different := sorted(hints.keys() ^ attributes.keys()):
        names = ", ".join(different)
        return Unknown(reason=f"this version knows the operation {entry.type} with other attributes: {names}")
    for name, value in attributes.items():
        if not _fits(value, hints[name]):
            return Unknown(reason=f"the attribute {name} of the operation {entry.type} is of another kind")
    return kind(**attributes)


def _from_value(entry: filler_pb2.AttributeValue) -> Any:
    kind = entry.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "list":
        return tuple(map(_from_value, entry.list.values))
    return _from_operation(entry.operation) if kind == "operation" else getattr(entry, kind)


@cache
def _hints(name: str) -> dict[str, Any]:
    """Return the types of an operation's attributes by their names."""
    kind = Operation.kinds[name]
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.names()}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type of an attribute."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if arguments[-1] is Ellipsis:
            return all(_fits(one, arguments[0]) for one in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return type(value) is hint
