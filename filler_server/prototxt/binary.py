"""Binary messages, with a report of what the schema does not have."""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from caffe_filler.errors import PrototxtError
from caffe_filler.printable import counted
from filler_server.prototxt.fork_wire import fork_values
from filler_server.prototxt.forks import fork_field
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import ProblemList
from filler_server.prototxt.schema import Field, Schema, layer_name, schema_of
from filler_server.prototxt.unknown import PassedOver, Value
from filler_server.prototxt.wire import check_wire


@dataclass(frozen=True, slots=True)
class ParsedBinary:
    """Findings of reading a binary file besides its message; the attributes are those of `ParsedText`.

    `unknown` holds only values of enums, and fields of forks that can be told by their number.
    """

    problems: ProblemList
    unknown: dict[str, list[dict[str, PassedOver]]] = field(default_factory=dict)


def parse_binary(data: bytes, message: Message, *, limits: ReadLimits, strict: bool = False) -> ParsedBinary:
    """Read a binary message into an empty one; report its unknown fields and mend strings that are not UTF-8.

    Args:
        data: the message.
        message: where to put it.
        limits: `layers` and `fields` are held here.
        strict: whether the first problem is an error.

    Raises:
        PrototxtError: the data is not a message of this type.
        LimitExceeded: it is over a limit.
    """
    name = schema_of(message.DESCRIPTOR).name
    check_wire(data, message.DESCRIPTOR, limits)
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PrototxtError(f"not a binary {name} ({error}). Received: {counted(len(data), 'byte')}") from error
    missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
    if missing:
        raise PrototxtError(f"a binary {name} without {', '.join(missing)}. Received: {counted(len(data), 'byte')}")
    if data and not message.ListFields():
        raise PrototxtError(
            f"a binary message, but no {name}: none of its fields is known. Received: {counted(len(data), 'byte')}"
        )
    inspector = _Inspector(strict=strict)
    inspector.inspect(message)
    return inspector.parsed


class _Inspector:
    """Looks at a message and at all that are inside it; the schema limits how deep that is."""

    def __init__(self, *, strict: bool) -> None:
        self._problems = ProblemList(strict=strict)
        self.parsed = ParsedBinary(self._problems)
        # Of the layer of the outermost message that is looked at: its type, the path inside it, what is passed over.
        self._layer = ""
        self._path: list[str] = []
        self._unknown: dict[str, PassedOver] | None = None

    def inspect(self, message: Message, depth: int = 0) -> None:
        schema = schema_of(message.DESCRIPTOR)
        first_problem = len(self._problems)
        self._mend_strings(message, schema)
        self._report_unknown(message, schema)
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                for child in value if descriptor.is_repeated else (value,):
                    self._enter(child, descriptor.name, depth)
        if schema.is_layer and len(self._problems) > first_problem and (name := layer_name(message)):
            self._problems.assign(first_problem, name)

    def _enter(self, child: Any, name: str, depth: int) -> None:
        if depth == 0:
            self._unknown = {}
            if schema_of(child.DESCRIPTOR).is_layer:
                self._layer = str(child.type)
                self.parsed.unknown.setdefault(name, []).append(self._unknown)
        else:
            self._path.append(name)
        self.inspect(child, depth + 1)
        if depth:
            self._path.pop()

    def _report_unknown(self, message: Message, schema: Schema) -> None:
        numbers = {descriptor.number: schema.fields[descriptor.name] for descriptor in message.DESCRIPTOR.fields}
        for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]
            number, wire_type = unknown.field_number, unknown.wire_type
            known: Field | None = numbers.get(number)
            name, values = "", list[Value]()
            if known is None:
                what = f"{schema.name} has no field number {number}"
                fork = fork_field(schema.name, self._layer, number, wire_type)
                if fork is not None:
                    what += f", in forks {fork.name}"
                    name, values = fork.name, fork_values(fork, wire_type, unknown.data)
            elif known.kind == "enum":
                what = f"{known.enum} has no value {unknown.data}"
                name, values = known.name, [str(unknown.data)]
            else:
                what = f"{known.path} is of another type here"
            self._problems.add(what, f"field number {number}, wire type {wire_type}")
            if values:
                self._keep(name, values)

    def _keep(self, name: str, values: list[Value]) -> None:
        """Keep values that were just reported, if they are part of a layer."""
        if self._unknown is not None:
            kept = self._unknown.setdefault(".".join([*self._path, name]), PassedOver([], []))
            kept.values.extend(values)
            if self._problems.last is not None:
                kept.problems.append(self._problems.last)

    def _mend_strings(self, message: Message, schema: Schema) -> None:
        """Replace what is not UTF-8; protobuf hands such strings out as bytes."""
        for descriptor, value in message.ListFields():
            known = schema.fields[descriptor.name]
            values = list(value) if known.kind == "string" and known.repeated else [value]
            if known.kind != "string" or known.is_bytes or all(isinstance(item, str) for item in values):
                continue
            wrong = next(item for item in values if isinstance(item, bytes))
            self._problems.add(f"{known.path} is not UTF-8", wrong, done="replaced by U+FFFD")
            mended = [item.decode(errors="replace") if isinstance(item, bytes) else item for item in values]
            if known.repeated:
                value[:] = mended
            else:
                setattr(message, descriptor.name, mended[0])
