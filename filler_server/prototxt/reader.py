"""Files to messages: text or binary, told apart by their content, with a report of all that was passed over."""

from typing import TypeVar

from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, PrototxtError
from filler_server.prototxt.binary import parse_binary
from filler_server.prototxt.content import decode, looks_like_text, may_be_binary, refuse_foreign
from filler_server.prototxt.document import Format, NetDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.report import Problem
from filler_server.prototxt.text import ParsedText, parse_text
from filler_server.prototxt.upgrade import upgrade_net

M = TypeVar("M", bound=Message)

DEFAULT_LIMITS = ReadLimits()


def read_net(data: bytes, *, limits: ReadLimits = DEFAULT_LIMITS, strict: bool = False) -> NetDocument:
    """Read a net of any age, from text or binary (as in a .caffemodel), and bring it to the current format.

    Args:
        data: the whole file.
        limits: how much the file may ask for.
        strict: whether the first thing that would be reported is an error.

    Raises:
        PrototxtError: the file is no net; for text with line and column.
        LimitExceeded: it is over a limit.
    """
    net = caffe_pb2.NetParameter()
    written, parsed = _read(data, net, limits, strict)
    if parsed.problems and not (net.layer or net.layers or net.input):
        raise _no_net(data, parsed.problems[0], limits)
    lines = parsed.lines.get("layer", [])
    layer_lines: tuple[int | None, ...] = tuple(lines) if written == "text" else (None,) * len(net.layer)
    return upgrade_net(NetDocument(net, tuple(parsed.problems), layer_lines, written))


def read_text(
    data: bytes, message_class: type[M], *, limits: ReadLimits = DEFAULT_LIMITS, strict: bool = False
) -> tuple[M, tuple[Problem, ...]]:
    """Read any message of Caffe's schema from text, as it stands; return it with what was passed over.

    Args:
        data: the text.
        message_class: its type, e.g. `caffe_pb2.FillerParameter`.
        limits: how much the text may ask for.
        strict: whether the first thing that would be reported is an error.

    Raises:
        PrototxtError: the text is malformed, with line and column.
        LimitExceeded: it is over a limit.
    """
    _check_bytes(data)
    message = message_class()
    return message, tuple(_read_text(data, message, limits, strict).problems)


def _read(data: bytes, message: Message, limits: ReadLimits, strict: bool) -> tuple[Format, ParsedText]:
    _check_bytes(data)
    refuse_foreign(data)
    if may_be_binary(data):
        limits.check("binary_bytes", len(data))
        try:
            problems = parse_binary(data, message)
        except PrototxtError:
            if not looks_like_text(data):
                raise
            message.Clear()
        else:
            if strict and problems:
                raise PrototxtError(str(problems[0]))
            return "binary", ParsedText(problems, {})
    return "text", _read_text(data, message, limits, strict)


def _read_text(data: bytes, message: Message, limits: ReadLimits, strict: bool) -> ParsedText:
    limits.check("text_bytes", len(data))
    return parse_text(decode(data), message, limits=limits, strict=strict)


def _check_bytes(data: bytes) -> None:
    if not isinstance(data, bytes):
        raise InvalidArgument(f"the file is expected as bytes. Received: {type(data).__name__}")


def _no_net(data: bytes, problem: Problem, limits: ReadLimits) -> PrototxtError:
    """The error for a file that holds no layer and things that no net has."""
    try:
        _read(data, caffe_pb2.SolverParameter(), limits, strict=True)
        what = "the file is a solver, not a net"
    except PrototxtError:
        what = "the file is no net, it holds no layer"
    return PrototxtError(f"{what}. Received: {problem.message}", line=problem.line, column=problem.column)
