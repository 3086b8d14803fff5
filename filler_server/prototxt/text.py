"""Protobuf's text format to messages, guided by their descriptors, with a report of what the schema does not have.

Everything that the C++ parser accepts (google/protobuf/text_format.cc, which Caffe uses) is accepted, and gives the
same message. Where that parser gives up on an unknown field or enum value, this one passes over it and reports it.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import Problem, ProblemList
from filler_server.prototxt.schema import Field, Schema, layer_name, nearest, schema_of
from filler_server.prototxt.strings import EscapeError, unquote
from filler_server.prototxt.tokens import Tokens, shorten

_CLOSING = {"{": "}", "<": ">"}
_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}
_REALS = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What a text was read into besides its message.

    Attributes:
        problems: what was passed over, in the order of the text.
        lines: line, from 1, on which each sub-message of a repeated field of the outermost message starts, by field.
    """

    problems: list[Problem]
    lines: dict[str, list[int]]


def parse_text(source: str, message: Message, *, limits: ReadLimits, strict: bool = False) -> ParsedText:
    """Read a text into an empty message.

    Bytes that are not UTF-8 are expected as surrogateescape makes them.

    Args:
        source: the text.
        message: where to put it; after an error it holds what came before.
        limits: `nesting` and `layers` are held here.
        strict: whether the first problem is an error.

    Raises:
        PrototxtError: the text is malformed, or a value does not fit its field; with line and column.
        LimitExceeded: it is over a limit.
    """
    return _Parser(Tokens(source), limits, strict).run(message)


class _Parser:
    def __init__(self, tokens: Tokens, limits: ReadLimits, strict: bool) -> None:
        self._tokens = tokens
        self._limits = limits
        self._strict = strict
        self._depth = 0
        self._layers = 0
        self._problems = ProblemList()
        self._lines: dict[str, list[int]] = {}

    def run(self, message: Message) -> ParsedText:
        tokens = self._tokens
        schema = schema_of(message.DESCRIPTOR)
        while tokens.kind != "end":
            if tokens.text in ("}", ">"):
                raise tokens.error(f"closes a block that was never opened. Received: {tokens.text}")
            self._field(message, schema)
        if schema.has_required:
            self._check_required(message, schema, 0)
        return ParsedText(self._problems.close(), self._lines)

    # Fields ----------------------------------------------------------------------------------------------------------

    def _field(self, message: Message, schema: Schema) -> None:
        """Read one field, its name and the separator behind it included."""
        tokens = self._tokens
        name, offset = tokens.text, tokens.offset
        if tokens.kind != "identifier":
            if name != "[":
                raise tokens.error(f"expected the name of a field of {schema.name}. Received: {tokens.describe()}")
            name = self._extension_name()
        else:
            tokens.advance()
        known = schema.fields.get(name)
        if known is None:
            self._unknown_field(name, offset, schema)
        else:
            if not known.repeated and message.HasField(name):
                raise tokens.error(f"{known.path} is given twice; it holds one value. Received: {name}", offset)
            if not tokens.take(":") and known.kind != "message":
                raise tokens.error(f"expected ':' behind {name}. Received: {tokens.describe()}")
            if known.repeated and tokens.text == "[":
                self._list(message, known, offset)
            elif known.kind == "message":
                self._block(message, known, offset)
            else:
                self._scalar(message, known)
        if tokens.text in (";", ","):
            tokens.advance()

    def _list(self, message: Message, known: Field, offset: int) -> None:
        """Read `[a, b]`, the values of a repeated field at once."""
        tokens = self._tokens
        opening = tokens.offset
        tokens.advance()
        if tokens.take("]"):
            return
        while True:
            if known.kind == "message":
                self._block(message, known, offset)
            else:
                self._scalar(message, known)
            if tokens.take("]"):
                return
            self._separator(opening)

    def _separator(self, opening: int) -> None:
        tokens = self._tokens
        if tokens.kind == "end":
            raise tokens.error("the list that starts here is never closed. Received: [", opening)
        if not tokens.take(","):
            raise tokens.error(f"expected ',' or ']'. Received: {tokens.describe()}")

    def _block(self, message: Message, known: Field, offset: int) -> None:
        """Read a sub-message; `offset` is where its field's name stands."""
        tokens = self._tokens
        opening, text = tokens.offset, tokens.text
        closing = _CLOSING.get(text)
        if closing is None:
            raise tokens.error(f"expected '{{', as {known.path} is a block. Received: {tokens.describe()}")
        assert known.message is not None  # noqa: S101 - it is a message field
        child_schema = schema_of(known.message)
        child: Any = getattr(message, known.name)
        if known.repeated:
            child = child.add()
            if self._depth == 0:
                self._lines.setdefault(known.name, []).append(tokens.place(offset)[0])
        else:
            child.SetInParent()
        if child_schema.is_layer:
            self._layers += 1
            if self._layers > self._limits.layers:
                self._limits.check("layers", self._layers, line=tokens.place(offset)[0])
        first_problem = len(self._problems)
        self._enter(opening)
        tokens.advance()
        while tokens.text not in ("}", ">"):
            if tokens.kind == "end":
                raise tokens.error(f"the block of {known.path} is never closed. Received: {text}", opening)
            self._field(child, child_schema)
        if tokens.text != closing:
            raise self._mismatch(opening, closing)
        self._depth -= 1
        tokens.advance()
        if child_schema.has_required:
            self._check_required(child, child_schema, offset)
        if child_schema.is_layer and len(self._problems) > first_problem and (name := layer_name(child)):
            self._problems.assign(first_problem, name)

    def _enter(self, opening: int) -> None:
        self._depth += 1
        if self._depth > self._limits.nesting:
            self._limits.check("nesting", self._depth, line=self._tokens.place(opening)[0])

    def _mismatch(self, opening: int, closing: str) -> PrototxtError:
        line, column = self._tokens.place(opening)
        what = f"expected '{closing}' to close the block opened at {line}:{column}"
        return self._tokens.error(f"{what}. Received: {self._tokens.text}")

    def _check_required(self, message: Message, schema: Schema, offset: int) -> None:
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
        if missing:
            present = [descriptor.name for descriptor, _ in message.ListFields()]
            what = f"{schema.name} lacks {' and '.join(missing)}"
            raise self._tokens.error(f"{what}. Received: {', '.join(present) or 'an empty block'}", offset)

    # Values ----------------------------------------------------------------------------------------------------------

    def _scalar(self, message: Message, known: Field) -> None:
        """Read one value of a field that is not a message."""
        kind = known.kind
        value: Any
        if kind == "integer":
            value = self._integer(known, known.low, known.high)
        elif kind == "real":
            value = self._real(known)
        elif kind == "string":
            value = self._string(known)
        elif kind == "bool":
            value = self._bool(known)
        else:
            value = self._enum(known)
            if value is None:
                return
        if known.repeated:
            getattr(message, known.name).append(value)
        else:
            setattr(message, known.name, value)

    def _integer(self, known: Field, low: int, high: int) -> int:
        tokens = self._tokens
        start = tokens.offset
        negative = tokens.take("-")
        if tokens.kind != "integer" or (negative and low == 0):
            what = "an integer" if low else "an integer that is not negative"
            raise tokens.error(f"expected {what} for {known.path}. Received: {self._since(start)}", start)
        value = -_parse_integer(tokens.text) if negative else _parse_integer(tokens.text)
        if not low <= value <= high:
            raise tokens.error(f"{known.path} must be in [{low}, {high}]. Received: {self._since(start)}", start)
        tokens.advance()
        return value

    def _real(self, known: Field) -> float:
        tokens = self._tokens
        start = tokens.offset
        negative = tokens.take("-")
        text = tokens.text
        if tokens.kind == "float":
            value = float(text.rstrip("fF"))
        elif tokens.kind == "integer" and (text == "0" or text[0] != "0"):
            value = float(text)
        elif tokens.kind == "identifier" and text.lower() in _REALS:
            value = _REALS[text.lower()]
        else:
            what = "a decimal number" if tokens.kind == "integer" else "a number"
            raise tokens.error(f"expected {what} for {known.path}. Received: {self._since(start)}", start)
        tokens.advance()
        return -value if negative else value

    def _bool(self, known: Field) -> bool:
        tokens = self._tokens
        text = tokens.text
        if tokens.kind == "integer":
            value: bool | None = {0: False, 1: True}.get(_parse_integer(text))
        else:
            value = _BOOLS.get(text) if tokens.kind == "identifier" else None
        if value is None:
            raise tokens.error(f"expected true or false for {known.path}. Received: {tokens.describe()}")
        tokens.advance()
        return value

    def _enum(self, known: Field) -> int | None:
        """The number of an enum value; None for one that the schema does not have, which is reported."""
        tokens = self._tokens
        start, text = tokens.offset, tokens.text
        if tokens.kind == "identifier":
            tokens.advance()
            if text in known.names:
                return known.names[text]
            hint = nearest(text, tuple(known.names))
        elif tokens.kind == "integer" or text == "-":
            number = self._integer(known, -(1 << 31), (1 << 31) - 1)
            if number in known.numbers:
                return number
            text, hint = str(number), None
        else:
            quoted = " without quotes" if tokens.kind == "string" else ""
            raise tokens.error(f"expected a value of {known.enum}{quoted}. Received: {tokens.describe()}")
        self._report(f"{known.enum} has no value {shorten(text)}", start, hint=hint)
        return None

    def _string(self, known: Field) -> str | bytes:
        tokens = self._tokens
        start = tokens.offset
        if tokens.kind != "string":
            quotes = " in quotes" if tokens.kind == "identifier" else ""
            raise tokens.error(f"expected a string{quotes} for {known.path}. Received: {tokens.describe()}")
        value = b""
        while tokens.kind == "string":
            try:
                value += unquote(tokens.text)
            except EscapeError as error:
                escape = shorten(error.escape)
                place = tokens.offset + error.offset
                raise tokens.error(f"not an escape sequence. Received: {escape}", place) from None
            tokens.advance()
        if known.is_bytes:
            return value
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            byte = value[error.start]
            self._report(f"byte 0x{byte:02x} of {known.path} is not UTF-8", start, done="replaced by U+FFFD")
            return value.decode(errors="replace")

    def _since(self, start: int) -> str:
        """The source from a sign to the token at the cursor."""
        if self._tokens.kind == "end":
            return self._tokens.describe()
        return shorten(self._tokens.source[start : self._tokens.offset] + self._tokens.text)

    # What the schema does not have -----------------------------------------------------------------------------------

    def _extension_name(self) -> str:
        """Read `[some.extension]`; nothing of Caffe's has any."""
        tokens = self._tokens
        start = tokens.offset
        tokens.advance()
        while tokens.kind in ("identifier", "integer") or tokens.text in (".", "/", "-"):
            tokens.advance()
        if not tokens.take("]"):
            raise tokens.error(f"expected ']' behind the name of an extension. Received: {tokens.describe()}")
        return tokens.source[start : tokens.source.index("]", start) + 1]

    def _unknown_field(self, name: str, offset: int, schema: Schema) -> None:
        """Report a field and pass over its value."""
        self._report(f"{schema.name} has no field {shorten(name)}", offset, hint=schema.nearest(name))
        self._skip_value(scalar=self._tokens.take(":"))

    def _skip_value(self, *, scalar: bool) -> None:
        """Pass over a value of unknown type: a scalar where one may stand, a block, or a list of either."""
        tokens = self._tokens
        opening, text = tokens.offset, tokens.text
        if text not in ("{", "<", "["):
            self._skip_scalar(scalar)
            return
        self._enter(opening)
        tokens.advance()
        if text == "[":
            self._skip_list(opening)
        else:
            while tokens.text not in ("}", ">"):
                if tokens.kind == "end":
                    raise tokens.error(f"this block is never closed. Received: {text}", opening)
                self._skip_field()
            if tokens.text != _CLOSING[text]:
                raise self._mismatch(opening, _CLOSING[text])
        self._depth -= 1
        tokens.advance()

    def _skip_list(self, opening: int) -> None:
        """Pass over the rest of a list, up to its closing bracket."""
        tokens = self._tokens
        while tokens.text != "]":
            self._skip_value(scalar=True)
            if tokens.text != "]":
                self._separator(opening)

    def _skip_field(self) -> None:
        """Pass over a field of an unknown block."""
        tokens = self._tokens
        if tokens.text == "[":
            self._extension_name()
        elif tokens.kind in ("identifier", "integer"):
            tokens.advance()
        else:
            raise tokens.error(f"expected the name of a field. Received: {tokens.describe()}")
        self._skip_value(scalar=tokens.take(":"))
        if tokens.text in (";", ","):
            tokens.advance()

    def _skip_scalar(self, allowed: bool) -> None:
        tokens = self._tokens
        if not allowed:
            raise tokens.error(f"expected ':' or '{{'. Received: {tokens.describe()}")
        if tokens.kind == "string":
            while tokens.kind == "string":
                tokens.advance()
            return
        start = tokens.offset
        minus = tokens.take("-")
        number = tokens.kind in ("integer", "float")
        if not number and (tokens.kind != "identifier" or (minus and tokens.text.lower() not in _REALS)):
            raise tokens.error(f"expected a value. Received: {self._since(start)}", start)
        tokens.advance()

    # The report ------------------------------------------------------------------------------------------------------

    def _report(self, what: str, offset: int, *, hint: str | None = None, done: str = "passed over") -> None:
        line, column = self._tokens.place(offset)
        meant = f"; is {hint} meant?" if hint else ""
        if self._strict:
            raise PrototxtError(what + meant, line=line, column=column)
        self._problems.add(Problem(f"{what}, {done}{meant}", line=line, column=column))


def _parse_integer(text: str) -> int:
    """A decimal, octal (leading 0) or hexadecimal number; 2^64 for any decimal that needs more digits."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text[0] == "0":
        return int(text, 8)
    return int(text) if len(text) <= 20 else 1 << 64
