"""Files of rules to messages, by the reader of nets: near misses of names are errors, with line and column."""

from functools import lru_cache

from caffe_filler.errors import InvalidArgument, PrototxtError
from caffe_filler.v1.rules_pb2 import InitRules
from filler_server.prototxt import ReadLimits
from filler_server.prototxt.content import decode, may_be_binary, refuse_foreign
from filler_server.prototxt.text import parse_text
from filler_server.rules.rules import Rules

_LIMITS = ReadLimits()

_KEPT = 1 << 16
"""Bytes of a text up to which its rules are kept."""


def read_rules(data: bytes) -> Rules:
    """Read rules from text.

    Nothing is passed over: a field that no rule has, or one that no FillerParameter of Caffe has, is an error.

    Raises:
        PrototxtError: the text is malformed, with line and column.
        InvalidArgument: a rule lacks something or says two things; its number and line are named.
        FillerError: a filler is unknown or cannot work with its parameters; likewise.
        LimitExceeded: the text is too long.
    """
    if not isinstance(data, bytes):
        raise InvalidArgument(f"rules are read from bytes. Received: {type(data).__name__}")
    # A program fills module after module by the same rules.
    return _read(data) if len(data) <= _KEPT else _read.__wrapped__(data)


@lru_cache(maxsize=8)
def _read(data: bytes) -> Rules:
    refuse_foreign(data)
    if may_be_binary(data):
        raise PrototxtError(f"rules are text, and this is binary. Received: {data[:24]!r}")
    _LIMITS.check("text_bytes", len(data))
    message = InitRules()
    parsed = parse_text(decode(data), message, limits=_LIMITS, strict=True)
    return Rules(message, lines=[line for line, _ in parsed.places.get("rule", [])])
