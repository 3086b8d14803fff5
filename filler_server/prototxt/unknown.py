"""Values of fields that the schema does not have, read by their looks alone; who knows the fork may understand them."""

from dataclasses import dataclass
from typing import TypeAlias

from filler_server.prototxt.blocks import CLOSING, Blocks
from filler_server.prototxt.strings import EscapeError, unquote
from filler_server.prototxt.tokens import Tokens
from filler_server.prototxt.values import REALS

Value: TypeAlias = "str | dict[str, list[Value]]"
"""A scalar as it is written, a string without its quotes; or a block: the values of each field by its name."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Fields of a net that were passed over, kept for readers that know the fork.

    Attributes:
        values: the values of one field, from all the places where it stands.
        problems: what is reported of them, as indices of the problems of the file.
    """

    values: list[Value]
    problems: list[int]


class UnknownValues:
    """Reads values without a schema."""

    def __init__(self, tokens: Tokens, blocks: Blocks) -> None:
        self._tokens = tokens
        self._blocks = blocks

    def read(self, *, after_colon: bool = False) -> list[Value]:
        """Read what follows a field's name: one value, or those of a list.

        Raises:
            PrototxtError: it is malformed.
            LimitExceeded: it is over a limit.
        """
        colon = after_colon or self._tokens.take(":")
        if self._tokens.text == "[":
            return self._list()
        return [self._value(scalar=colon)]

    def name(self) -> str:
        """Read the name of a field.

        Raises:
            PrototxtError: there is none.
        """
        tokens = self._tokens
        if tokens.text == "[":
            return self._extension()
        if tokens.kind not in ("identifier", "integer"):
            raise tokens.error(f"expected the name of a field. Received: {tokens.describe()}")
        name = tokens.text
        tokens.advance()
        return name

    def _extension(self) -> str:
        """`[some.extension]`; nothing of Caffe's has any."""
        tokens = self._tokens
        start = tokens.offset
        tokens.advance()
        while tokens.kind in ("identifier", "integer") or tokens.text in (".", "/", "-"):
            tokens.advance()
        end = tokens.offset
        if not tokens.take("]"):
            raise tokens.error(f"expected ']' after the name of an extension. Received: {tokens.describe()}")
        return tokens.source[start : end + 1]

    def _list(self) -> list[Value]:
        opened = self._blocks.open()
        values: list[Value] = []
        while self._tokens.text != "]":
            values += self._list() if self._tokens.text == "[" else [self._value(scalar=True)]
            if self._tokens.text != "]":
                self._blocks.separate(opened)
        self._blocks.close()
        return values

    def _value(self, *, scalar: bool) -> Value:
        """Read a block, or a scalar where one may stand."""
        tokens = self._tokens
        self._blocks.count()
        if tokens.text not in CLOSING:
            return self._scalar(scalar)
        opened = self._blocks.open()
        fields: dict[str, list[Value]] = {}
        while not self._blocks.at_end(opened, "this block"):
            name = self.name()
            fields.setdefault(name, []).extend(self.read())
            if tokens.text in (";", ","):
                tokens.advance()
        self._blocks.close()
        return fields

    def _scalar(self, allowed: bool) -> str:
        tokens = self._tokens
        if not allowed:
            raise tokens.error(f"expected ':' or '{{'. Received: {tokens.describe()}")
        if tokens.kind == "string":
            return self._string()
        start = tokens.offset
        minus = tokens.take("-")
        number = tokens.kind in ("integer", "float")
        if not number and (tokens.kind != "identifier" or (minus and tokens.text.lower() not in REALS)):
            raise tokens.error(f"expected a value. Received: {tokens.describe(start)}", start)
        text = "-" + tokens.text if minus else tokens.text
        tokens.advance()
        return text

    def _string(self) -> str:
        """Read literals in a row; one with a wrong escape, such as a path of Windows, is taken as it is written."""
        tokens = self._tokens
        pieces = []
        while tokens.kind == "string":
            try:
                pieces.append(unquote(tokens.text).decode(errors="replace"))
            except EscapeError:
                pieces.append(tokens.text[1:-1])
            tokens.advance()
        return "".join(pieces)
