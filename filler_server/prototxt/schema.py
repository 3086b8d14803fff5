"""Facts of a message type that the text parser needs, taken from its descriptor once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from caffe_filler.nearest import nearest
from filler_server.prototxt import fork_names
from filler_server.prototxt.near_miss import KnownNames

Kind: TypeAlias = Literal["integer", "real", "bool", "string", "enum", "message"]

_LAYERS = (caffe_pb2.LayerParameter.DESCRIPTOR, caffe_pb2.V1LayerParameter.DESCRIPTOR)
_LAYER_TYPES = "V1LayerParameter.LayerType"
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_KINDS: dict[int, Kind] = {
    FieldDescriptor.CPPTYPE_FLOAT: "real",
    FieldDescriptor.CPPTYPE_DOUBLE: "real",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
    FieldDescriptor.CPPTYPE_MESSAGE: "message",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        name: its name.
        path: message type and name, as in `FillerParameter.std`.
        kind: what its values look like.
        repeated: whether it may stand more than once.
        repeated_in_forks: whether it may in forks.
        low, high: range of an integer.
        is_bytes: a string that need not be UTF-8.
        names, numbers: values of an enum, by name and the set of their numbers.
        enum: name of the enum type.
        values: the names of an enum's values, to compare a strange one with.
        message: descriptor of a message field.
    """

    name: str
    path: str
    kind: Kind
    repeated: bool
    repeated_in_forks: bool
    low: int
    high: int
    is_bytes: bool
    names: dict[str, int]
    numbers: frozenset[int]
    enum: str
    values: KnownNames
    message: Descriptor | None


@dataclass(frozen=True, slots=True)
class Schema:
    """A message type.

    Attributes:
        name: its name without the package.
        fields: its fields by name.
        names: the names of its fields, to compare a strange one with.
        is_layer: whether it is a layer of a net, in the current or the V1 format.
        has_required: whether a field of it must be present.
    """

    name: str
    fields: dict[str, Field]
    names: KnownNames
    is_layer: bool
    has_required: bool


@cache
def schema_of(descriptor: Descriptor) -> Schema:
    """Return the schema of a message type."""
    name = type_name(descriptor)
    return Schema(
        name=name,
        fields={field.name: _field(field, name) for field in descriptor.fields},
        names=_known_names(name, (field.name for field in descriptor.fields)),
        is_layer=descriptor in _LAYERS,
        has_required=any(field.is_required for field in descriptor.fields),
    )


def type_name(descriptor: Any) -> str:
    """Name of a message or enum type as Caffe's users know it, without the package."""
    name: str = descriptor.full_name
    return name.removeprefix(f"{descriptor.file.package}.")


def layer_name(layer: Message) -> str | None:
    """Name of a LayerParameter or V1LayerParameter; for a V0 layer inside a V1 layer that of the inner one."""
    if isinstance(layer, caffe_pb2.V1LayerParameter) and not layer.name:
        return layer.layer.name or None
    assert isinstance(layer, caffe_pb2.LayerParameter | caffe_pb2.V1LayerParameter)  # noqa: S101
    return layer.name or None


def layer_type(layer: Message) -> str:
    """Type of a LayerParameter or V1LayerParameter as it is written; empty where there is none."""
    if isinstance(layer, caffe_pb2.V1LayerParameter):
        return caffe_pb2.V1LayerParameter.LayerType.Name(layer.type) if layer.HasField("type") else layer.layer.type
    assert isinstance(layer, caffe_pb2.LayerParameter)  # noqa: S101
    return layer.type


def alike(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that is clearly more like a strange one than all others, if any.

    Case, underscores and the ending `_param` do not tell names apart.
    """
    of_its_length = (candidate for candidate in known if abs(len(candidate) - len(name)) <= 2)
    return nearest(name, of_its_length, cutoff=0.75, key=_plain, unique=True)


def _plain(name: str) -> str:
    return name.lower().removesuffix("_param").replace("_", "")


def _known_names(owner: str, names: Iterable[str]) -> KnownNames:
    """Return the names of a message or an enum, those of forks included."""
    return KnownNames(
        (*names, *fork_names.KNOWN.get(owner, ())),
        near=fork_names.NEAR.get(owner, ()),
        acronyms=owner == _LAYER_TYPES,
    )


def _field(field: FieldDescriptor, message: str) -> Field:
    low, high = _INTEGERS.get(field.cpp_type, (0, 0))
    values = field.enum_type.values if field.enum_type is not None else ()
    enum = "" if field.enum_type is None else type_name(field.enum_type)
    return Field(
        name=field.name,
        path=f"{message}.{field.name}",
        kind=_KINDS.get(field.cpp_type, "integer"),
        repeated=field.is_repeated,
        repeated_in_forks=field.name in fork_names.REPEATED.get(message, ()),
        low=low,
        high=high,
        is_bytes=field.type == FieldDescriptor.TYPE_BYTES,
        names={value.name: value.number for value in values},
        numbers=frozenset(value.number for value in values),
        enum=enum,
        values=_known_names(enum, (value.name for value in values)),
        message=field.message_type,
    )
