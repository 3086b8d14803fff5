"""The text of a net or solver: places of layers and fields, comments, and the words that it is written in."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor

from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import Place
from filler_server.prototxt.rewrite.syntax import Block, Entry, comment_offsets, read_entries
from filler_server.prototxt.schema import Field, Schema, schema_of
from filler_server.prototxt.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Word:
    """A field of the text, with the schema of the block that it stands in.

    Attributes:
        entry: the field as it is written.
        schema: the message that it is a field of.
        field: the field of that message, or None where it has none of this name.
        layer: the outermost layer that it stands in, or None.
    """

    entry: Entry
    schema: Schema
    field: Field | None
    layer: Block | None


class Source:
    """A text that can be read as prototxt.

    Args:
        text: the text.
        limits: how much it may ask for.
    """

    def __init__(self, text: str, limits: ReadLimits) -> None:
        self.text = text
        self.entries, _ = read_entries(text, limits)
        self._tokens = Tokens(text)

    def place(self, offset: int) -> Place:
        """Return line and column of an offset."""
        return self._tokens.place(offset)

    def comments(self) -> Iterator[tuple[Place, str, bool]]:
        """Yield the place of each comment, the comment, and whether it stands on a line of its own."""
        for offset, comment in comment_offsets(self.text):
            start = self.text.rfind("\n", 0, offset) + 1
            yield self.place(offset), comment, not self.text[start:offset].strip()

    def words(self, message: Descriptor) -> Iterator[Word]:
        """Yield every field of the text that stands in a block which the schema knows, in the order of the text."""
        stack: list[tuple[Iterator[Entry], Schema, Block | None]] = [(iter(self.entries), schema_of(message), None)]
        while stack:
            entries, schema, layer = stack[-1]
            entry = next(entries, None)
            if entry is None:
                stack.pop()
                continue
            field = schema.fields.get(entry.name)
            yield Word(entry, schema, field, layer)
            if field is not None and field.message is not None:
                inner = schema_of(field.message)
                blocks = reversed(entry.blocks)
                stack.extend((iter(block.entries), inner, layer or _own(block, inner)) for block in blocks)

    def layers(self, lines: Sequence[int | None]) -> "list[tuple[Entry, Block] | None]":
        """Return field and block of each layer, by the lines on which they start in their order."""
        by_line: dict[int, deque[tuple[Entry, Block]]] = defaultdict(deque)
        for entry in self.entries:
            if entry.name in ("layer", "layers"):
                by_line[self.place(entry.start)[0]].extend((entry, block) for block in entry.blocks)
        return [by_line[line].popleft() if line is not None and by_line[line] else None for line in lines]

    def field_place(self, layer: tuple[Entry, Block], path: Sequence[str]) -> Place:
        """Return the place of the deepest field on a path that the layer has, or else of the layer."""
        offset, block = layer[0].start, layer[1]
        for step in path:
            name, _, index = step.partition("[")
            number = int(index.rstrip("]")) if index else 0
            found = [entry for entry in block.entries if entry.name == name]
            places: list[tuple[Entry, Block | None]] = []
            for entry in found:
                places += [(entry, inner) for inner in entry.blocks] or [(entry, None)]
            if not places:
                break
            entry, inner = places[min(number, len(places) - 1)]
            offset = entry.start
            if inner is None:
                break
            block = inner
        return self.place(offset)

    def lines_of(self, layer: tuple[Entry, Block]) -> tuple[int, int]:
        """Return the first and the last line of a layer."""
        return self.place(layer[0].start)[0], self.place(layer[1].close)[0]


def _own(block: Block, schema: Schema) -> Block | None:
    return block if schema.is_layer else None
