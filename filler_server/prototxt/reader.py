"""Files to messages: text or binary, told apart by their content, with a report of all that was passed over."""

from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, PrototxtError
from filler_server.prototxt.binary import parse_binary
from filler_server.prototxt.content import decode, looks_like_text, may_be_binary, refuse_foreign
from filler_server.prototxt.document import Format, NetDocument, SolverDocument
from filler_server.prototxt.fork_names import CONTESTED
from filler_server.prototxt.kind import refuse_other_kind
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.names import check_names
from filler_server.prototxt.report import Problem
from filler_server.prototxt.text import ParsedText, parse_text
from filler_server.prototxt.upgrade import LayerSource, NetDraft, upgrade_net, upgrade_solver_type

M = TypeVar("M", bound=Message)

DEFAULT_LIMITS = ReadLimits()


def read_net(
    data: bytes, *, limits: ReadLimits = DEFAULT_LIMITS, strict: bool = False, lenient: bool = False
) -> NetDocument:
    """Read a net of any age, from text or binary (as in a .caffemodel), and bring it to the current format.

    Args:
        data: the whole file.
        limits: how much the file may ask for.
        strict: whether the first thing that would be reported is an error.
        lenient: whether a misspelled field or enum value is passed over, as those of forks are.

    Raises:
        PrototxtError: the file is not a net; for text with line and column.
        LimitExceeded: it is over a limit.
    """
    written, draft = draft_net(data, limits=limits, strict=strict, lenient=lenient)
    upgrade_net(draft)
    numbers = tuple(source.v1_number for source in draft.layer)
    return NetDocument(
        net=draft.net,
        problems=draft.problems.all(),
        layer_lines=tuple(source.place[0] if source.place else None for source in draft.layer),
        format=written,
        changes=tuple(draft.changes),
        unknown=tuple(source.unknown for source in draft.layer),
        open_inputs=draft.open_inputs,
        v1_numbers=numbers if any(numbers) else (),
    )


def draft_net(data: bytes, *, limits: ReadLimits, strict: bool, lenient: bool) -> tuple[Format, NetDraft]:
    """Read a net as it stands, to be upgraded; arguments and errors are those of `read_net`."""
    net = caffe_pb2.NetParameter()
    written, parsed = _read(data, net, limits, strict, lenient)
    if len(parsed.problems) and not (net.layer or net.layers or net.input):
        raise _other(data, "net", "solver", caffe_pb2.SolverParameter(), parsed, limits)
    check_names(net, limits)
    layer, layers = (_sources(parsed, name, len(getattr(net, name))) for name in ("layer", "layers"))
    if written == "binary":
        layers = [
            replace(source, v1_number=int(v1.type) if v1.HasField("type") and v1.type in CONTESTED else None)
            for source, v1 in zip(layers, net.layers, strict=True)
        ]
    return written, NetDraft(net, parsed.problems, parsed.places, layer, layers)


def read_solver(
    data: bytes, *, limits: ReadLimits = DEFAULT_LIMITS, strict: bool = False, lenient: bool = False
) -> SolverDocument:
    """Read a solver of any age, from text or binary, and bring it to the current format.

    Arguments and errors are those of `read_net`.
    """
    solver = caffe_pb2.SolverParameter()
    written, parsed = _read(data, solver, limits, strict, lenient)
    if len(parsed.problems) and not (solver.ListFields()):
        raise _other(data, "solver", "net", caffe_pb2.NetParameter(), parsed, limits)
    places = parsed.places.get("solver_type")
    change = upgrade_solver_type(solver, places[0] if places else None)
    return SolverDocument(solver, parsed.problems.all(), written, () if change is None else (change,))


def read_text(
    data: bytes,
    message_class: type[M],
    *,
    limits: ReadLimits = DEFAULT_LIMITS,
    strict: bool = False,
    lenient: bool = False,
) -> tuple[M, tuple[Problem, ...]]:
    """Read any message of Caffe's schema from text, as it stands; return it with what was passed over.

    Args:
        data: the text.
        message_class: its type, e.g. `caffe_pb2.FillerParameter`.
        limits: how much the text may ask for.
        strict: whether the first thing that would be reported is an error.
        lenient: whether a misspelled field or enum value is passed over, as those of forks are.

    Raises:
        PrototxtError: the text is malformed, with line and column.
        LimitExceeded: it is over a limit.
    """
    check_bytes(data)
    message = message_class()
    return message, _read_text(data, message, limits, strict, lenient).problems.all()


def _read(data: bytes, message: Message, limits: ReadLimits, strict: bool, lenient: bool) -> tuple[Format, ParsedText]:
    check_bytes(data)
    refuse_foreign(data)
    if may_be_binary(data):
        limits.check("binary_bytes", len(data))
        try:
            refuse_other_kind(data, "net" if isinstance(message, caffe_pb2.NetParameter) else "solver", limits)
            parsed = parse_binary(data, message, limits=limits, strict=strict)
            return "binary", ParsedText(parsed.problems, unknown=parsed.unknown)
        except PrototxtError:
            if not looks_like_text(data):
                raise
            message.Clear()
    return "text", _read_text(data, message, limits, strict, lenient)


def _read_text(data: bytes, message: Message, limits: ReadLimits, strict: bool, lenient: bool) -> ParsedText:
    limits.check("text_bytes", len(data))
    return parse_text(decode(data), message, limits=limits, strict=strict, lenient=lenient)


def _sources(parsed: ParsedText, field: str, count: int) -> list[LayerSource]:
    places = parsed.places.get(field, [None] * count)
    return [LayerSource(*source) for source in zip(places, parsed.unknown.get(field, [{}] * count), strict=True)]


def check_bytes(data: bytes) -> None:
    """Refuse what is not bytes.

    Raises:
        InvalidArgument: naming its type.
    """
    if not isinstance(data, bytes):
        raise InvalidArgument(f"the file is expected as bytes. Received: {type(data).__name__}")


def _other(
    data: bytes, wanted: str, other: str, message: Message, parsed: ParsedText, limits: ReadLimits
) -> PrototxtError:
    """The error for a file that holds nothing of what is wanted, and may be of another kind."""
    try:
        _read(data, message, limits, strict=True, lenient=True)
        what = f"the file is a {other}, not a {wanted}"
    except PrototxtError:
        what = f"the file is not a {wanted}"
    first = parsed.problems.all()[0]
    return PrototxtError(f"{what}. Received: {first.message}", line=first.line, column=first.column)
