"""Positions of the fields of a text, whatever they mean."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.blocks import CLOSING, Blocks
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.tokens import Tokens
from filler_server.prototxt.unknown import UnknownValues

_STRING_OR_COMMENT = re.compile(
    r"""(?P<comment>\#[^\n]*+) | "[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+" | '[^'\\\n]*+(?:\\[^\n][^'\\\n]*+)*+'""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block and its fields; `close` is the offset of the bracket that ends it."""

    entries: list["Entry"]
    close: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A field as it is written; offsets are indices of the source.

    Attributes:
        name: its name.
        start: offset of the name.
        value: offset of what follows name and colon.
        value_end: offset after that.
        end: offset after the separator that follows, if any.
        is_list: whether the value is written as `[a, b]`.
        blocks: the values, as far as they are blocks.
    """

    name: str
    start: int
    value: int
    value_end: int
    end: int
    is_list: bool
    blocks: list[Block]


def read_entries(source: str, limits: ReadLimits) -> tuple[list[Entry], PrototxtError | None]:
    """Return the outermost fields of a text; if it is malformed, those in front of the error, and the error.

    Raises:
        LimitExceeded: it is over `nesting` or `fields`.
    """
    entries: list[Entry] = []
    try:
        reader = _Reader(source, limits)
        while not reader.at_end():
            entries.append(reader.entry())
    except PrototxtError as error:
        return entries, error
    return entries, None


def comments(source: str, start: int, end: int) -> Iterator[str]:
    """The comments, from their `#` on, in a piece of a text that begins and ends with whole tokens."""
    return (comment for _, comment in comment_offsets(source, start, end))


def comment_offsets(source: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, str]]:
    """The comments of `comments`, each with the offset of its `#`; without bounds those of the whole text."""
    for match in _STRING_OR_COMMENT.finditer(source, start, len(source) if end is None else end):
        if match["comment"]:
            yield match.start(), match["comment"].rstrip()


class _Tokens(Tokens):
    """Tokens that remember where the one before the cursor ends."""

    __slots__ = ("end",)

    def advance(self) -> None:
        self.end = self.offset + len(self.text)
        super().advance()


class _Reader:
    def __init__(self, source: str, limits: ReadLimits) -> None:
        self._tokens = _Tokens(source)
        self._blocks = Blocks(self._tokens, limits)
        self._names = UnknownValues(self._tokens, self._blocks)

    def at_end(self) -> bool:
        return self._tokens.kind == "end"

    def entry(self) -> Entry:
        """Read one field, the separator after it included."""
        self._blocks.count()
        tokens = self._tokens
        start = tokens.offset
        name = self._names.name()
        tokens.take(":")
        value, is_list = tokens.offset, tokens.text == "["
        blocks: list[Block] = []
        self._value(blocks)
        value_end = tokens.end
        if tokens.text in (";", ","):
            tokens.advance()
            return Entry(name, start, value, value_end, tokens.end, is_list, blocks)
        return Entry(name, start, value, value_end, value_end, is_list, blocks)

    def _value(self, blocks: list[Block]) -> None:
        tokens = self._tokens
        if tokens.text == "[":
            opened = self._blocks.open()
            while tokens.text != "]":
                self._value(blocks)
                if tokens.text != "]":
                    self._blocks.separate(opened)
            self._blocks.close()
        elif tokens.text in CLOSING:
            opened = self._blocks.open()
            entries: list[Entry] = []
            while not self._blocks.at_end(opened, "this block"):
                entries.append(self.entry())
            blocks.append(Block(entries, tokens.offset))
            self._blocks.close()
        elif tokens.kind == "string":
            while tokens.kind == "string":
                tokens.advance()
        else:
            tokens.take("-")
            if tokens.kind not in ("identifier", "integer", "float"):
                raise tokens.error(f"expected a value. Received: {tokens.describe()}")
            tokens.advance()
