"""Names that Caffe does not know: misspelled ones, and those of forks."""

import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from caffe_filler.caffe import caffe_pb2
from caffe_filler.nearest import did_you_mean
from filler_server.diagnostics.lint.hits import Hit, Rename
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.source import Source, Word
from filler_server.diagnostics.lint.subject import Net, NetFile
from filler_server.net.operations import Unknown
from filler_server.net.registry import layer_type_names, resolve_layer_type
from filler_server.prototxt.near_miss import KnownNames
from filler_server.prototxt.rewrite.syntax import Block
from filler_server.prototxt.strings import EscapeError, unquote
from filler_server.prototxt.tokens import shorten
from filler_server.prototxt.upgrade.v1 import TYPES

_MOST = 200
"""Strange names of one text that are compared with the known ones."""

_SHORTEST = 5
"""Letters of a type from which on one may be wrong, if it is not the first: forks put one in front of short names."""

_LITERAL = re.compile(r"""#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
"""A string in quotes, or a comment, which may have some."""

_NET: Descriptor = caffe_pb2.NetParameter.DESCRIPTOR  # type: ignore[assignment]
_SOLVER: Descriptor = caffe_pb2.SolverParameter.DESCRIPTOR  # type: ignore[assignment]


def _owners() -> dict[str, set[str]]:
    """Return which blocks of a layer have a field, for those that the layer itself does not have."""
    layer = caffe_pb2.LayerParameter.DESCRIPTOR
    found: dict[str, set[str]] = {}
    for block in layer.fields:
        for field in block.message_type.fields if block.message_type is not None else ():
            if field.name not in layer.fields_by_name and block.name != "blobs":
                found.setdefault(field.name, set()).add(block.name)
    return found


_OWNERS = _owners()


@register(
    "FIL032",
    "misspelled-field",
    "error",
    why="Caffe refuses a file with a field that it does not know; a reader that passes over it loses what it says.",
    mend="Correct the name.",
    scope="text",
    fixes=True,
)
def misspelled_field(source: Source) -> Iterator[Hit]:
    """Find fields that misspell one of their block."""
    for word, meant in _strange_fields(source):
        if meant is not None:
            name, entry = word.entry.name, word.entry
            message = f"{word.schema.name} has no field {shorten(name)}{did_you_mean(meant, quote='')}"
            rename = Rename(entry.start, name, meant)
            yield Hit(message, place=source.place(entry.start), name=_layer_name(source, word), rename=rename)


@register(
    "FIL033",
    "misspelled-value",
    "error",
    why="Caffe refuses a value that its enum does not have, and a type of layer that is not registered.",
    mend="Correct the name.",
    scope="text",
    fixes=True,
)
def misspelled_value(source: Source) -> Iterator[Hit]:
    """Find values of enums, and types of layers, that misspell a known one."""
    types = _Types()
    for number, (word, text) in enumerate(_strange_values(source)):
        if number == _MOST:
            return
        assert word.field is not None  # noqa: S101 - it has values
        is_type = word.field.path == "LayerParameter.type"
        plain = _unquoted(text)
        meant = types.meant_by(plain) if is_type else word.field.values.meant_by(plain)
        if meant is not None:
            what = "layer type" if is_type else word.field.enum
            message = f"{what}: there is no {shorten(text)}{did_you_mean(meant, quote='')}"
            # A layer of an unknown type is planned around, with other shapes than one of the type that is meant.
            rename = None if is_type else Rename(word.entry.value, text, meant)
            yield Hit(message, place=source.place(word.entry.value), name=_layer_name(source, word), rename=rename)


@register(
    "FIL053",
    "misplaced-field",
    "warning",
    why="Caffe refuses a field that stands in the wrong block, and a filler with a field that no filler has.",
    mend="Put the field into the block that has it, or give it the name that it has there.",
    scope="text",
)
def misplaced_field(source: Source) -> Iterator[Hit]:
    """Find fields of a layer itself that one of its blocks has, and strange fields of fillers."""
    for word, meant in _strange_fields(source):
        name, block = word.entry.name, word.schema.name
        if meant is None and _is_misplaced(word):
            owners = sorted(_OWNERS.get(name, ())) if block != "FillerParameter" else []
            hint = f", {' and '.join(owners[:3])} have one" if owners else ""
            message = f"{block} has no field {shorten(name)}{hint}"
            yield Hit(message, place=source.place(word.entry.start), name=_layer_name(source, word))


@register(
    "FIL034",
    "unknown-field",
    "note",
    why="BVLC's Caffe refuses a file with a field that it does not have, and a fork may mean anything by it.",
    mend="Remove the field, or look up what the fork that has it means.",
    scope="file",
)
def unknown_field(file: NetFile) -> Iterator[Hit]:
    """Find fields of no block of Caffe's that misspell none, and that no type of a fork that is known reads."""
    if file.source is None:
        return
    told: set[tuple[str, str]] = set()
    by_block = {id(block[1]): index for index, block in enumerate(file.blocks) if block is not None}
    for word, meant in _strange_fields(file.source):
        key = word.schema.name, word.entry.name
        if meant is not None or key in told or _is_misplaced(word) or _is_understood(file, word, by_block):
            continue
        told.add(key)
        message = f"{word.schema.name} has no field {shorten(word.entry.name)}"
        layer = None if word.layer is None else by_block.get(id(word.layer))
        yield Hit(message, layer, place=file.source.place(word.entry.start))


@register(
    "FIL035",
    "unknown-layer-type",
    "note",
    why="Of a layer of an unknown type neither shapes nor weights are known, nor what follows for the layers after it.",
    mend="Give the shapes of its tops where a command takes these.",
)
def unknown_layer_type(net: Net) -> Iterator[Hit]:
    """Find layers whose type neither BVLC nor a fork that is known has, or that are more than their type there."""
    unknown = net.file.document.unknown or ({},) * len(net.file.layers)
    types = _Types()
    told: set[str] = set()
    refused = {each.layer for each in net.refused}
    for place, layer in zip(net.places, net.plan.layers, strict=True):
        if place is None:
            continue
        kind = net.file.layers[place].type
        if resolve_layer_type(kind, unknown[place]) is not None:
            operation = layer.operation
            if isinstance(operation, Unknown) and operation.reason.startswith("layer type ") and place not in refused:
                yield Hit(operation.reason, place, ("type",))
        elif kind not in told and len(told) <= _MOST:
            told.add(kind)
            if types.meant_by(kind) is None:
                yield Hit(f"unknown layer type '{shorten(kind)}'", place, ("type",))


class _Types:
    """The types of layers, told from those of forks that are not known."""

    def __init__(self) -> None:
        names = layer_type_names()
        self._acronyms, self._words = KnownNames(names, acronyms=True), KnownNames(names)

    def meant_by(self, name: str) -> str | None:
        """Return the type that a strange one misspells, or that an old format has under its name."""
        former = TYPES.get(name.upper())
        meant = former or self._acronyms.meant_by(name)
        if meant is None:
            near = self._words.meant_by(name) or ""
            is_long = min(len(name), len(near)) >= _SHORTEST
            meant = near if is_long and near[0].lower() == name[0].lower() else None
        return meant


def _is_misplaced(word: Word) -> bool:
    """Whether a field that its block does not have belongs into another one, or stands in a filler."""
    return word.schema.name == "FillerParameter" or (word.schema.is_layer and word.entry.name in _OWNERS)


def _words(source: Source) -> Iterator[Word]:
    """Return the fields of a text, as those of a solver where it has more of these."""
    solver = sum(entry.name in _SOLVER.fields_by_name for entry in source.entries)
    net = sum(entry.name in _NET.fields_by_name for entry in source.entries)
    return source.words(_SOLVER if solver > net else _NET)


def _strange_fields(source: Source) -> Iterator[tuple[Word, str | None]]:
    """Yield the fields that their block does not have, and the one that each misspells, if any."""
    number = 0
    for word in _words(source):
        if word.field is None:
            number += 1
            kind = _scalar(source, word.layer, "type") if word.schema.is_layer else ""
            meant = word.schema.names.meant_by(word.entry.name, layer_type=kind) if number <= _MOST else None
            yield word, meant


def _strange_values(source: Source) -> Iterator[tuple[Word, str]]:
    """Yield the fields whose one value is a word that their enum does not have, or a type of layer, and the word."""
    types = frozenset(layer_type_names())
    for word in _words(source):
        field, entry = word.field, word.entry
        if field is None or entry.is_list or entry.blocks:
            continue
        text = source.text[entry.value : entry.value_end]
        is_type = field.path == "LayerParameter.type" and _unquoted(text) not in types
        if is_type or (field.kind == "enum" and text.isidentifier() and text not in field.names):
            yield word, text


def _is_understood(file: NetFile, word: Word, by_block: "dict[int, int]") -> bool:
    """Whether the layer's type reads the field, as that of a fork that is known."""
    index = None if word.layer is None else by_block.get(id(word.layer))
    if index is None:
        return False
    unknown = file.document.unknown[index] if file.document.unknown else {}
    kind = resolve_layer_type(file.layers[index].type, unknown)
    if kind is None:
        return True
    return any(path.rpartition(".")[2] == word.entry.name for path in kind.fork_fields)


def _layer_name(source: Source, word: Word) -> str | None:
    return _scalar(source, word.layer, "name") or None


def _scalar(source: Source, block: Block | None, name: str) -> str:
    """Return the text of a field of a layer, without quotes; empty where it has none."""
    entries = [] if block is None else [entry for entry in block.entries if entry.name == name and not entry.blocks]
    return _unquoted(source.text[entries[0].value : entries[0].value_end]) if entries else ""


def _unquoted(text: str) -> str:
    """Return what literals in a row stand for; a word, and what cannot be read, as it is written."""
    try:
        pieces = [unquote(literal) for literal in _LITERAL.findall(text) if literal[0] != "#"]
    except EscapeError:
        return text
    return b"".join(pieces).decode(errors="replace") if pieces else text
