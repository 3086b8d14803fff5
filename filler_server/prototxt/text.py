"""Protobuf's text format to messages, guided by their descriptors, with a report of what the schema does not have.

Everything that the C++ parser accepts (google/protobuf/text_format.cc, which Caffe uses) is accepted, and gives the
same message. Where that parser gives up on a field or enum value that it does not know, or on a list in place of one
value, or on several values in place of one where forks have them, this one passes over it and reports it, unless it is
plainly a known name misspelled.
"""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from caffe_filler.errors import FillerError
from caffe_filler.nearest import did_you_mean
from filler_server.prototxt.blocks import CLOSING, Blocks
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import Place, ProblemList
from filler_server.prototxt.schema import Field, Schema, alike, layer_name, layer_type, schema_of
from filler_server.prototxt.tokens import Tokens, shorten
from filler_server.prototxt.unknown import PassedOver, UnknownValues, Value
from filler_server.prototxt.values import UnknownEnumValue, read_value, written


@dataclass(frozen=True, slots=True)
class ParsedText:
    """Findings of reading a text besides its message.

    Attributes:
        problems: what was passed over, in the order of the text.
        places: for each field of the outermost message, where its name stands: for blocks each time, else once.
        unknown: for each field of the outermost message that holds layers, and for each of these, what was passed
            over, by its path in the layer, such as `pooling_param.ceil_mode`.
    """

    problems: ProblemList
    places: dict[str, list[Place]] = field(default_factory=dict)
    unknown: dict[str, list[dict[str, PassedOver]]] = field(default_factory=dict)


def parse_text(
    source: str, message: Message, *, limits: ReadLimits, strict: bool = False, lenient: bool = False
) -> ParsedText:
    """Read a text into an empty message.

    Bytes that are not UTF-8 are expected as surrogateescape makes them.

    Args:
        source: the text.
        message: where to put it; after an error it holds what came before.
        limits: `nesting`, `layers` and `fields` are held here.
        strict: whether the first problem is an error.
        lenient: whether a misspelled name is no error.

    Raises:
        PrototxtError: the text is malformed, a value does not fit its field, or a name is misspelled; with line and
            column.
        LimitExceeded: it is over a limit.
    """
    problems = ProblemList(strict=strict, lenient=lenient)
    try:
        return _Parser(Tokens(source), limits, problems).run(message)
    except FillerError as error:
        raise error.after(problems.all()) from None


_MOST_STRANGE_NAMES = 4096
"""Strange names of one text that are compared with the known ones; no net has as many, and comparing takes time."""


class _Parser:
    def __init__(self, tokens: Tokens, limits: ReadLimits, problems: ProblemList) -> None:
        self._tokens = tokens
        self._limits = limits
        self._blocks = Blocks(tokens, limits)
        self._values = UnknownValues(tokens, self._blocks)
        self._problems = problems
        self._parsed = ParsedText(self._problems)
        self._layers = 0
        # Strange fields of the layer that the cursor is in, and where they stand.
        self._strange: list[tuple[str, int]] = []
        self._misspelled: dict[tuple[str, str, str], str | None] = {}
        # Of the layer of the outermost message that the cursor is in: the path of the block, and what is passed over.
        self._path: list[str] = []
        self._unknown: dict[str, PassedOver] | None = None

    def run(self, message: Message) -> ParsedText:
        tokens = self._tokens
        schema = schema_of(message.DESCRIPTOR)
        while tokens.kind != "end":
            if tokens.text in ("}", ">"):
                raise tokens.error(f"closes a block that was never opened. Received: {tokens.text}")
            self._field(message, schema)
        if schema.has_required:
            self._check_required(message, schema, 0)
        return self._parsed

    def _field(self, message: Message, schema: Schema) -> None:
        """Read one field, its name and the separator after it included."""
        tokens = self._tokens
        name, offset = tokens.text, tokens.offset
        if tokens.kind != "identifier":
            if name != "[":
                raise tokens.error(f"expected the name of a field of {schema.name}. Received: {tokens.describe()}")
            name = self._values.name()
        else:
            tokens.advance()
        known = schema.fields.get(name)
        if known is None or known.kind != "real" or not known.repeated:
            self._blocks.count()
        if known is None:
            self._unknown_field(name, offset, schema)
        else:
            is_given = not known.repeated and (message.HasField(name) or self._is_kept(known))
            if is_given and not known.repeated_in_forks:
                raise tokens.error(f"{known.path} is given twice; it holds one value. Received: {name}", offset)
            if not tokens.take(":") and known.kind != "message":
                raise tokens.error(f"expected ':' after {name}. Received: {tokens.describe()}")
            if known.repeated and tokens.text == "[":
                self._list(message, known, offset)
            elif known.kind == "message":
                self._block(message, known, offset)
            elif is_given or tokens.text == "[":
                self._values_of_a_fork(message, known)
            else:
                self._scalar(message, known, offset)
        if tokens.text in (";", ","):
            tokens.advance()

    def _list(self, message: Message, known: Field, offset: int) -> None:
        """Read `[a, b]`, the values of a repeated field at once."""
        tokens = self._tokens
        opened = tokens.text, tokens.offset
        tokens.advance()
        if tokens.take("]"):
            return
        while True:
            if known.kind != "real":
                self._blocks.count()
            if known.kind == "message":
                self._block(message, known, offset)
            else:
                self._scalar(message, known, offset)
            if tokens.take("]"):
                return
            self._blocks.separate(opened)

    def _values_of_a_fork(self, message: Any, known: Field) -> None:
        """Pass over several values where the schema has one, with a first one that was taken for it."""
        tokens = self._tokens
        what = "a list" if tokens.text == "[" else "several"
        self._problems.add(f"{known.path} holds one value, not {what}", tokens.text, place=tokens.place(tokens.offset))
        values: list[Value] = []
        if self._unknown is not None and message.HasField(known.name):
            values.append(written(getattr(message, known.name), known))
            message.ClearField(known.name)
        self._keep(known.name, [*values, *self._values.read(after_colon=True)])

    def _is_kept(self, known: Field) -> bool:
        """Whether values of a field were passed over in this block, or another one of its path, as too many."""
        return self._unknown is not None and known.repeated_in_forks and self._path_of(known.name) in self._unknown

    def _scalar(self, message: Message, known: Field, offset: int) -> None:
        """Read one value of a field that is not a message; `offset` is where its name stands."""
        self._mark(known, offset)
        value = read_value(self._tokens, known, self._problems)
        if isinstance(value, UnknownEnumValue):
            self._keep(known.name, [value.text])
        elif known.repeated:
            getattr(message, known.name).append(value)
        else:
            setattr(message, known.name, value)

    def _block(self, message: Message, known: Field, offset: int) -> None:
        """Read a sub-message; `offset` is where its field's name stands."""
        tokens = self._tokens
        if tokens.text not in CLOSING:
            raise tokens.error(f"expected '{{', as {known.path} is a block. Received: {tokens.describe()}")
        assert known.message is not None  # noqa: S101 - it is a message field
        schema = schema_of(known.message)
        child: Any = getattr(message, known.name)
        self._mark(known, offset)
        if known.repeated:
            child = child.add()
        else:
            child.SetInParent()
        first_problem = len(self._problems)
        if schema.is_layer:
            self._enter_layer(known, offset)
        else:
            self._path.append(known.name)
        opened = self._blocks.open()
        while not self._blocks.at_end(opened, f"the block of {known.path}"):
            self._field(child, schema)
        self._blocks.close()
        if schema.has_required:
            self._check_required(child, schema, offset)
        if schema.is_layer:
            self._leave_layer(child, schema, first_problem)
        else:
            self._path.pop()
        if self._blocks.depth == 0:
            self._unknown = None

    def _mark(self, known: Field, offset: int) -> None:
        """Remember where a value of the outermost message stands; of scalars the first one is enough."""
        places = self._parsed.places
        if self._blocks.depth == 0 and (known.kind == "message" or known.name not in places):
            places.setdefault(known.name, []).append(self._tokens.place(offset))

    def _enter_layer(self, known: Field, offset: int) -> None:
        self._layers += 1
        self._strange = []
        if self._layers > self._limits.layers:
            self._limits.check("layers", self._layers, line=self._tokens.place(offset)[0])
        if self._blocks.depth == 0:
            self._unknown = {}
            self._parsed.unknown.setdefault(known.name, []).append(self._unknown)

    def _unknown_field(self, name: str, offset: int, schema: Schema) -> None:
        """Report a field and keep its values."""
        if schema.is_layer:
            self._strange.append((name, offset))
        meant = self._meant(schema, name)
        if meant is not None:
            self._refuse(schema, name, meant, offset)
        hint = meant or (None if self._problems.full else alike(name, schema.fields))
        what = f"{schema.name} has no field {shorten(name)}{did_you_mean(hint, quote='')}"
        self._problems.add(what, shorten(name), place=self._tokens.place(offset))
        self._keep(name, self._values.read())

    def _meant(self, schema: Schema, name: str, kind: str = "") -> str | None:
        """Return the field that a strange one misspells; `kind` is the type of the layer that it stands in."""
        key = schema.name, name, kind
        if key not in self._misspelled:
            if len(self._misspelled) >= _MOST_STRANGE_NAMES:
                return None
            self._misspelled[key] = schema.names.meant_by(name, layer_type=kind)
        return self._misspelled[key]

    def _refuse(self, schema: Schema, name: str, meant: str, offset: int) -> None:
        what = f"{schema.name} has no field {shorten(name)}{did_you_mean(meant, quote='')}"
        self._problems.refuse_misspelled(what, shorten(name), place=self._tokens.place(offset))

    def _leave_layer(self, layer: Message, schema: Schema, first_problem: int) -> None:
        """Look back on a layer, now that its type and its name are known."""
        for name, offset in self._strange:
            meant = self._meant(schema, name, layer_type(layer))
            if meant is not None:
                self._refuse(schema, name, meant, offset)
        if len(self._problems) > first_problem and (own_name := layer_name(layer)):
            self._problems.assign(first_problem, own_name)

    def _path_of(self, name: str) -> str:
        """The path from the layer to a field of the block that the cursor is in."""
        return ".".join([*self._path, name])

    def _keep(self, name: str, values: list[Value]) -> None:
        """Keep values that the message has no place for and that were just reported, if they are part of a layer."""
        if self._unknown is not None:
            kept = self._unknown.setdefault(self._path_of(name), PassedOver([], []))
            kept.values.extend(values)
            if self._problems.last is not None:
                kept.problems.append(self._problems.last)

    def _check_required(self, message: Message, schema: Schema, offset: int) -> None:
        missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
        if missing:
            present = [descriptor.name for descriptor, _ in message.ListFields()]
            what = f"{schema.name} lacks {' and '.join(missing)}"
            raise self._tokens.error(f"{what}. Received: {', '.join(present) or 'an empty block'}", offset)
