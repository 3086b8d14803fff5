"""One value of a field: the token at the cursor to what the field's type makes of it."""

from dataclasses import dataclass

from caffe_filler.nearest import did_you_mean
from filler_server.prototxt.report import ProblemList
from filler_server.prototxt.schema import Field, alike
from filler_server.prototxt.strings import EscapeError, unquote
from filler_server.prototxt.tokens import Tokens, shorten

REALS = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}
"""Numbers that are written as words, in any case."""

_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}


@dataclass(frozen=True, slots=True)
class UnknownEnumValue:
    """A value, by name or number, that the enum does not have."""

    text: str


def read_value(
    tokens: Tokens, field: Field, problems: ProblemList
) -> int | float | bool | str | bytes | UnknownEnumValue:
    """Read a value of a field that is not a message; one that its enum does not have is reported.

    Raises:
        PrototxtError: it is of another type or out of range; or the problem is one of strict reading.
    """
    kind = field.kind
    if kind == "integer":
        return _integer(tokens, field, field.low, field.high)
    if kind == "real":
        return _real(tokens, field)
    if kind == "string":
        return _string(tokens, field, problems)
    return _bool(tokens, field) if kind == "bool" else _enum(tokens, field, problems)


def written(value: object, field: Field) -> str:
    """Return a value of a field as `UnknownValues` would read it."""
    if field.kind == "enum":
        return next(name for name, number in field.names.items() if number == value)
    return str(value).lower() if field.kind == "bool" else str(value)


def _integer(tokens: Tokens, field: Field, low: int, high: int) -> int:
    start = tokens.offset
    negative = tokens.take("-")
    if tokens.kind != "integer" or (negative and low == 0):
        what = "an integer" if low else "an integer that is not negative"
        raise tokens.error(f"expected {what} for {field.path}. Received: {tokens.describe(start)}", start)
    value = -_parse_integer(tokens.text) if negative else _parse_integer(tokens.text)
    if not low <= value <= high:
        raise tokens.error(f"{field.path} must be in [{low}, {high}]. Received: {tokens.describe(start)}", start)
    tokens.advance()
    return value


def _real(tokens: Tokens, field: Field) -> float:
    start = tokens.offset
    negative = tokens.take("-")
    text = tokens.text
    if tokens.kind == "float":
        value = float(text.rstrip("fF"))
    elif tokens.kind == "integer" and (text == "0" or text[0] != "0"):
        value = float(text)
    elif tokens.kind == "identifier" and text.lower() in REALS:
        value = REALS[text.lower()]
    else:
        what = "a decimal number" if tokens.kind == "integer" else "a number"
        raise tokens.error(f"expected {what} for {field.path}. Received: {tokens.describe(start)}", start)
    tokens.advance()
    return -value if negative else value


def _bool(tokens: Tokens, field: Field) -> bool:
    text = tokens.text
    if tokens.kind == "integer":
        value: bool | None = {0: False, 1: True}.get(_parse_integer(text))
    else:
        value = _BOOLS.get(text) if tokens.kind == "identifier" else None
    if value is None:
        raise tokens.error(f"expected true or false for {field.path}. Received: {tokens.describe()}")
    tokens.advance()
    return value


def _enum(tokens: Tokens, field: Field, problems: ProblemList) -> int | UnknownEnumValue:
    start, text, meant, hint = tokens.offset, tokens.text, None, None
    if tokens.kind == "identifier":
        tokens.advance()
        if text in field.names:
            return field.names[text]
        meant = field.values.meant_by(text)
        hint = meant or (None if problems.full else alike(text, field.names))
    elif tokens.kind == "integer" or text == "-":
        number = _integer(tokens, field, -(1 << 31), (1 << 31) - 1)
        if number in field.numbers:
            return number
        text = str(number)
    else:
        quoted = " without quotes" if tokens.kind == "string" else ""
        raise tokens.error(f"expected a value of {field.enum}{quoted}. Received: {tokens.describe()}")
    what, received = f"{field.enum} has no value {shorten(text)}{did_you_mean(hint, quote='')}", shorten(text)
    if meant is not None:
        problems.refuse_misspelled(what, received, place=tokens.place(start))
    problems.add(what, received, place=tokens.place(start))
    return UnknownEnumValue(text)


def _string(tokens: Tokens, field: Field, problems: ProblemList) -> str | bytes:
    start = tokens.offset
    if tokens.kind != "string":
        quotes = " in quotes" if tokens.kind == "identifier" else ""
        raise tokens.error(f"expected a string{quotes} for {field.path}. Received: {tokens.describe()}")
    value = _literals(tokens)
    if field.is_bytes:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        byte = f"0x{value[error.start]:02x}"
        what, done = f"byte {byte} of {field.path} is not UTF-8", "replaced by U+FFFD"
        problems.add(what, byte, done=done, place=tokens.place(start))
        return value.decode(errors="replace")


def _literals(tokens: Tokens) -> bytes:
    """Read string literals in a row, which are one string."""
    pieces = []
    while tokens.kind == "string":
        try:
            pieces.append(unquote(tokens.text))
        except EscapeError as error:
            place = tokens.offset + error.offset
            raise tokens.error(f"not an escape sequence. Received: {shorten(error.escape)}", place) from None
        tokens.advance()
    return b"".join(pieces)


def _parse_integer(text: str) -> int:
    """A decimal, octal (leading 0) or hexadecimal number; 2^64 for any decimal that needs more digits."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text[0] == "0":
        return int(text, 8)
    return int(text) if len(text) <= 20 else 1 << 64
