"""Binary messages, with a report of what the schema does not have."""

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import ProblemList
from filler_server.prototxt.schema import Schema, layer_name, schema_of
from filler_server.prototxt.wire import check_wire


def parse_binary(data: bytes, message: Message, *, limits: ReadLimits, strict: bool = False) -> ProblemList:
    """Read a binary message into an empty one; report its unknown fields and mend strings that are not UTF-8.

    Args:
        data: the message.
        message: where to put it.
        limits: `layers` and `fields` are held here.
        strict: whether the first problem is an error.

    Raises:
        PrototxtError: the data is no message of this type.
        LimitExceeded: it is over a limit.
    """
    name = schema_of(message.DESCRIPTOR).name
    check_wire(data, message.DESCRIPTOR, limits)
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
    inspector = _Inspector(strict=strict)
    inspector.inspect(message)
    return inspector.problems


class _Inspector:
    """Looks at a message and at all that are inside it; the schema limits how deep that is."""

    def __init__(self, *, strict: bool) -> None:
        self.problems = ProblemList(strict=strict)

    def inspect(self, message: Message) -> None:
        schema = schema_of(message.DESCRIPTOR)
        first_problem = len(self.problems)
        self._mend_strings(message, schema)
        self._report_unknown(message, schema)
        for field, value in message.ListFields():
            if field.message_type is not None:
                for child in value if field.is_repeated else (value,):
                    self.inspect(child)
        if schema.is_layer and len(self.problems) > first_problem and (name := layer_name(message)):
            self.problems.assign(first_problem, name)

    def _report_unknown(self, message: Message, schema: Schema) -> None:
        numbers = {field.number: schema.fields[field.name] for field in message.DESCRIPTOR.fields}
        for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]
            known = numbers.get(unknown.field_number)
            if known is None:
                what = f"{schema.name} has no field number {unknown.field_number}"
            elif known.kind == "enum":
                what = f"{known.enum} has no value {unknown.data}"
            else:
                what = f"{known.path} is of another type here"
            self.problems.add(what, f"field number {unknown.field_number}, wire type {unknown.wire_type}")

    def _mend_strings(self, message: Message, schema: Schema) -> None:
        """Replace what is not UTF-8; protobuf hands such strings out as bytes."""
        for field, value in message.ListFields():
            known = schema.fields[field.name]
            values = list(value) if known.kind == "string" and known.repeated else [value]
            if known.kind != "string" or known.is_bytes or all(isinstance(item, str) for item in values):
                continue
            wrong = next(item for item in values if isinstance(item, bytes))
            self.problems.add(f"{known.path} is not UTF-8", wrong, done="replaced by U+FFFD")
            mended = [item.decode(errors="replace") if isinstance(item, bytes) else item for item in values]
            if known.repeated:
                value[:] = mended
            else:
                setattr(message, field.name, mended[0])
