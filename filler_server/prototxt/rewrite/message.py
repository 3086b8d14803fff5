"""The fields of a block brought from one message to another, by edits of what differs."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import Change
from filler_server.prototxt.rewrite.edits import Edits
from filler_server.prototxt.rewrite.printing import printed, printed_value
from filler_server.prototxt.rewrite.syntax import Block, Entry, comments
from filler_server.prototxt.text import parse_text
from filler_server.prototxt.tokens import Tokens

_V0 = caffe_pb2.V0LayerParameter.DESCRIPTOR


class Rewriter:
    """Rewrites blocks of one text.

    Attributes:
        edits: what is to be done to the text.
        lost: what was passed over in reading and cannot stay where it is.
    """

    def __init__(self, source: str, limits: ReadLimits) -> None:
        self.edits = Edits(source)
        self.lost: list[Change] = []
        self._source = source
        self._limits = limits
        self._tokens = Tokens(source)

    def rewrite(self, block: Block, old: Any, new: Any) -> None:
        """Make a block that is read as the message `old` one that is read as `new`.

        Fields that are the same in both stay as they are written, and so do those that neither has. What is new is
        printed in place of the last field that is gone, or else at the end of the block.
        """
        by_name: dict[str, list[Entry]] = {}
        for entry in block.entries:
            by_name.setdefault(entry.name, []).append(entry)
        gone: list[Entry] = []
        settled = set()
        for name, entries in by_name.items():
            without = self._settle(entries, old, new)
            gone += without
            if len(without) < len(entries):
                settled.add(name)
        rest = type(new)()
        for field, value in new.ListFields():
            if field.name not in settled:
                _put(rest, field, value)
        lines = printed(rest)
        gone.sort(key=lambda entry: entry.start)
        for entry in gone:
            self.remove(entry, old, new, lines if entry is gone[-1] else ())
        if lines and not gone:
            self.edits.insert_into(block, lines)

    def remove(self, entry: Entry, old: Any, new: Any = None, lines: Sequence[str] = ()) -> None:
        """Take a field of the message `old` out and print lines in its place.

        What is in a V0 layer and has no meaning there goes on having none in the layer `new`.
        """
        known = old.DESCRIPTOR.fields_by_name.get(entry.name)
        kept: list[Entry] = []
        if known is not None and known.message_type == _V0 and new is not None:
            foreign = [
                child for block in entry.blocks for child in block.entries if child.name not in _V0.fields_by_name
            ]
            kept = [child for child in foreign if child.name not in new.DESCRIPTOR.fields_by_name]
        self.edits.remove(entry.start, entry.end, lines, [(child.start, child.value_end) for child in kept])
        if known is None or known.enum_type is not None or entry.blocks or entry.is_list:
            layer = new.name if isinstance(new, caffe_pb2.LayerParameter) else None
            self._report_lost(entry, type(old)(), layer, kept)

    def _settle(self, entries: list[Entry], old: Any, new: Any) -> list[Entry]:
        """Edit the fields of one name where that is enough; return those that have to go."""
        name = entries[0].name
        field, target = (message.DESCRIPTOR.fields_by_name.get(name) for message in (old, new))
        if field is None or target is None:
            return [] if field is target else entries
        olds, news = _values(old, field), _values(new, target)
        if _alike(field, target):
            if len(olds) == len(news) and all(map(_same, olds, news)):
                return []
            blocks = [block for entry in entries for block in entry.blocks]
            if blocks and len(blocks) == len(olds) == len(news):
                for block, *pair in zip(blocks, olds, news, strict=True):
                    self.rewrite(block, *pair)
                return []
        if not news or field.message_type is not None or target.message_type is not None:
            return entries
        without = [] if target.is_repeated else entries[:-1]
        changed = entries[len(without) :]
        if len(changed) != len(news) or not all(map(self._is_plain, changed)):
            return entries
        for entry, value in zip(changed, news, strict=True):
            self.edits.replace(entry.value, entry.value_end, printed_value(type(new), target, value))
        return without

    def _is_plain(self, entry: Entry) -> bool:
        """Whether the value is one scalar without comments in it."""
        return not entry.is_list and not any(comments(self._source, entry.value, entry.value_end))

    def _report_lost(self, entry: Entry, message: Any, layer: str | None, kept: list[Entry]) -> None:
        """Read a field that is gone once more, for what the reader passed over in it."""
        parsed = parse_text(self._source[entry.start : entry.value_end], message, limits=self._limits, lenient=True)
        line, column = self._tokens.place(entry.start)
        places = {self._tokens.place(child.start) for child in kept}
        for problem in parsed.problems.all():
            place = None
            if problem.line is not None and problem.column is not None:
                place = (line + problem.line - 1, problem.column + (column - 1 if problem.line == 1 else 0))
            if place not in places:
                where = place or (None, None)
                text = f"{problem.message}; it is lost"
                self.lost.append(Change(text, line=where[0], column=where[1], layer=layer or problem.layer))


def _alike(first: FieldDescriptor, second: FieldDescriptor) -> bool:
    """Whether two fields hold the same kind of values."""
    return all(getattr(first, name) == getattr(second, name) for name in ("type", "is_repeated", "message_type"))


def _values(message: Any, field: FieldDescriptor) -> list[Any]:
    """The values that a field of a message has, none if it is not set."""
    if field.is_repeated:
        return list(getattr(message, field.name))
    return [getattr(message, field.name)] if message.HasField(field.name) else []


def _same(first: Any, second: Any) -> bool:
    """Whether two values are the same, -0.0 not being 0.0, but a NaN another."""
    return _key(first) == _key(second)


def _key(value: Any) -> bytes | str:
    return value.SerializeToString(deterministic=True) if isinstance(value, Message) else repr(value)


def _put(message: Any, field: FieldDescriptor, value: Any) -> None:
    """Set a field to a value of another message of the same type."""
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
