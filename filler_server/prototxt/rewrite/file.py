"""A net or solver file of any age to the same file in the current format."""

import codecs
from dataclasses import dataclass

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt.content import decode, looks_like_text, may_be_binary, refuse_foreign
from filler_server.prototxt.document import Format
from filler_server.prototxt.kind import FileKind, binary_kind, text_kind
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import DEFAULT_LIMITS, check_bytes, draft_net, read_solver, read_text
from filler_server.prototxt.report import MAX_PROBLEMS, Change, Problem
from filler_server.prototxt.rewrite.message import Rewriter
from filler_server.prototxt.rewrite.net import rewrite_net
from filler_server.prototxt.rewrite.syntax import Block, Entry, read_entries
from filler_server.prototxt.schema import layer_name, type_name
from filler_server.prototxt.upgrade import needs_upgrade, upgrade_net
from filler_server.prototxt.upgrade.v0 import is_v0


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A file in the current format.

    Attributes:
        data: the file; that which was given, if it needs no upgrade.
        kind: what it was taken for.
        format: how it is written.
        needs_upgrade: whether it was in an old format.
        changes: what was brought to the current format, and then what got lost on the way.
        problems: what the reader passed over or mended, as `read_net` and `read_solver` report it.
    """

    data: bytes
    kind: FileKind
    format: Format
    needs_upgrade: bool
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


def upgrade_text(
    data: bytes, *, limits: ReadLimits = DEFAULT_LIMITS, strict: bool = False, lenient: bool = False
) -> Upgraded:
    """Bring a net or solver file, text or binary, to the current format, and keep all of it that is not old.

    The file is taken for a net or a solver by the outermost fields that it has of either; for a net where these are
    as many. Read again, the result is the message that `read_net` or `read_solver` makes of the file, and it needs no
    upgrade. Nets inside a solver stay as they are written, as Caffe leaves them, too.

    Of a text, fields that stay the same keep their bytes: layout, comments, line ends and a byte order mark, and
    fields of forks, which are passed over in reading. New fields take the place of those that they are made of, or
    stand at the end of their block. Comments inside of what is gone, and those after it on its last line, stand in
    front of what takes its place; comments in front of it stay there. An Input layer made of a net's input fields
    takes their place, or stands before the first layer if that comes before them. What was passed over inside of
    something that is printed anew goes along where it can go on meaning nothing, and else is lost, which is a change.

    Args:
        data: the whole file.
        limits: how much the file may ask for.
        strict: whether the first thing that would be reported is an error.
        lenient: whether a misspelled field or enum value is passed over, as those of forks are.

    Raises:
        PrototxtError: the file is not a net or solver, or Caffe refuses to upgrade it; for text with line and column.
        LimitExceeded: it is over a limit.
    """
    check_bytes(data)
    refuse_foreign(data)
    kind = file_kind(data, limits)
    upgrade = _upgrade_net if kind == "net" else _upgrade_solver
    return upgrade(data, limits, strict, lenient)


def file_kind(data: bytes, limits: ReadLimits = DEFAULT_LIMITS) -> FileKind:
    """Return whether a file, text or binary, is a net or a solver, by its outermost fields.

    Raises:
        PrototxtError: it is a binary message that is neither.
        LimitExceeded: it is over a limit.
    """
    if may_be_binary(data):
        limits.check("binary_bytes", len(data))
        try:
            return binary_kind(data, limits)
        except PrototxtError:
            if not looks_like_text(data):
                raise
    limits.check("text_bytes", len(data))
    # What is wrong with a malformed text, its reader will say.
    entries, _ = read_entries(decode(data), limits)
    return text_kind(entry.name for entry in entries)


def _upgrade_net(data: bytes, limits: ReadLimits, strict: bool, lenient: bool) -> Upgraded:
    written, draft = draft_net(data, limits=limits, strict=strict, lenient=lenient)
    if not needs_upgrade(draft.net):
        return Upgraded(data, "net", written, False, (), draft.problems.all())
    if written == "binary":
        lost = _lost_in_binary(draft.net)
        upgrade_net(draft)
        upgraded = draft.net.SerializeToString()
    else:
        old = caffe_pb2.NetParameter()
        old.CopyFrom(draft.net)
        upgrade_net(draft)
        source = decode(data)
        rewriter = Rewriter(source, limits)
        rewrite_net(rewriter, _entries(source, limits), old, draft.net)
        upgraded, lost = encode(rewriter.edits.apply(), data), rewriter.lost
    return Upgraded(upgraded, "net", written, True, (*draft.changes, *_listed(lost)), draft.problems.all())


def _upgrade_solver(data: bytes, limits: ReadLimits, strict: bool, lenient: bool) -> Upgraded:
    document = read_solver(data, limits=limits, strict=strict, lenient=lenient)
    upgraded = data
    if document.changes and document.format == "binary":
        upgraded = document.solver.SerializeToString()
    elif document.changes:
        old, _ = read_text(data, caffe_pb2.SolverParameter, limits=limits, lenient=True)
        source = decode(data)
        rewriter = Rewriter(source, limits)
        rewriter.rewrite(Block(_entries(source, limits), len(source)), old, document.solver)
        upgraded = encode(rewriter.edits.apply(), data)
    return Upgraded(upgraded, "solver", document.format, bool(document.changes), document.changes, document.problems)


def _entries(source: str, limits: ReadLimits) -> list[Entry]:
    entries, error = read_entries(source, limits)
    if error is not None:
        raise error
    return entries


def encode(text: str, data: bytes) -> bytes:
    """Return the reverse of `decode`, with a byte order mark if the data has one."""
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    return mark + text.encode("utf-8", "surrogateescape")


def _listed(lost: list[Change]) -> list[Change]:
    """No more of what is lost than anybody reads."""
    left_out = len(lost) - MAX_PROBLEMS
    more = [Change(f"{left_out} more things are lost, not listed")] if left_out > 0 else []
    return [*lost[:MAX_PROBLEMS], *more]


def _lost_in_binary(net: caffe_pb2.NetParameter) -> list[Change]:
    """Fields without a name directly inside of layers, which the upgrade of an old net leaves."""
    lost = [] if not is_v0(net) else _unknown_fields(net, None)
    for layer in net.layers:
        name = layer_name(layer)
        lost += _unknown_fields(layer, name)
        if layer.HasField("layer"):
            lost += _unknown_fields(layer.layer, name)
    return lost


def _unknown_fields(message: Message, layer: str | None) -> list[Change]:
    name = type_name(message.DESCRIPTOR)
    numbers = [unknown.field_number for unknown in UnknownFieldSet(message)]  # type: ignore[attr-defined]
    return [Change(f"field number {number} of {name}, passed over, is lost", layer=layer) for number in numbers]
