"""Binary messages, with a report of what the schema does not have."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.report import Problem, ProblemList
from filler_server.prototxt.schema import layer_name, schema_of


def parse_binary(data: bytes, message: Message) -> list[Problem]:
    """Read a binary message into an empty one; report its unknown fields and mend strings that are not UTF-8.

    Raises:
        PrototxtError: the data is no message of this type.
    """
    name = schema_of(message.DESCRIPTOR).name
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PrototxtError(f"not a binary {name} ({error}). Received: {len(data)} bytes") from error
    missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
    if missing:
        raise PrototxtError(f"a binary {name} without {', '.join(missing)}. Received: {len(data)} bytes")
    if data and not message.ListFields():
        raise PrototxtError(
            f"a binary message, but no {name}: none of its fields is known. Received: {len(data)} bytes"
        )
    problems = ProblemList()
    _inspect(message, None, problems)
    return problems.close()


def _inspect(message: Message, layer: str | None, problems: ProblemList) -> None:
    """Report a message and all that are inside it; the schema limits how deep that is."""
    schema = schema_of(message.DESCRIPTOR)
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
            _mend(message, field, value, layer, problems)
    if schema.is_layer:
        layer = layer_name(message)
    numbers = {field.number: schema.fields[field.name] for field in message.DESCRIPTOR.fields}
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]
        known = numbers.get(unknown.field_number)
        if known is None:
            what = f"{schema.name} has no field number {unknown.field_number}"
        elif known.kind == "enum":
            what = f"{known.enum} has no value {unknown.data}"
        else:
            what = f"{known.path} is of another type here (wire type {unknown.wire_type})"
        problems.add(Problem(f"{what}, passed over", layer=layer))
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if field.is_repeated else (value,):
                _inspect(child, layer, problems)


def _mend(message: Message, field: FieldDescriptor, value: Any, layer: str | None, problems: ProblemList) -> None:
    """Replace what is not UTF-8 in a string; protobuf hands such strings out as bytes."""
    values = list(value) if field.is_repeated else [value]
    if not any(isinstance(item, bytes) for item in values):
        return
    mended = [item.decode(errors="replace") if isinstance(item, bytes) else item for item in values]
    if field.is_repeated:
        value[:] = mended
    else:
        setattr(message, field.name, mended[0])
    what = f"{schema_of(message.DESCRIPTOR).name}.{field.name} is not UTF-8, replaced by U+FFFD"
    problems.add(Problem(what, layer=layer))
