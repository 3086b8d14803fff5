"""Errors of the library to statuses of gRPC."""

import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from caffe_filler.errors import FillerError, ServiceError
from caffe_filler.metadata import ERROR_DOMAIN, STATUS_DETAILS
from caffe_filler.v1 import filler_pb2

_MAX_BYTES = 1024
"""Of the message, and of all violations together.

Status and details travel as HTTP/2 headers, of which a client takes 8 KiB: three bytes there for each byte of a message
that is not ASCII, and four for three of the details, which hold the message again.
"""
_MAX_VALUE = 256
_MAX_HEADERS = 7 << 10
"""Of the headers in all; of warnings there are as many as still go in."""
_ELLIPSIS = "..."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """End of a call: name and message of the status, and the limit that was exceeded, if any.

    Not the error itself: its traceback would keep everything that the call had in hand.
    """

    status: str
    message: str
    limit: str


_outcomes: WeakKeyDictionary[grpc.ServicerContext, Outcome] = WeakKeyDictionary()


class Ended(Exception):
    """Leaves the code of a call that has its status."""


class Translated:
    """Ends a call with the status of the error that leaves its block; nothing of the host reaches the client."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, FillerError):
            abort(self._context, error)
        elif isinstance(error, Exception) and not isinstance(error, Ended) and self._context.is_active():
            _log.error("a call failed", exc_info=error)
            abort(self._context, ServiceError("the server failed; its log says how"))


def abort(context: grpc.ServicerContext, error: FillerError) -> None:
    """End the call with the status that stands for `error`, its message, its fields and its place.

    Raises:
        Ended: always.
    """
    _note(context, error)
    code = grpc.StatusCode[error.status]
    message = _shorten(str(error), _MAX_BYTES)
    status = status_pb2.Status(code=code.value[0], message=message)
    metadata = {key: _shorten(value, _MAX_VALUE) for key, value in error.metadata.items()}
    status.details.append(
        _pack(error_details_pb2.ErrorInfo(reason=type(error).__name__, domain=ERROR_DOMAIN, metadata=metadata))
    )
    if error.violations:
        request = error_details_pb2.BadRequest()
        room = _MAX_BYTES
        for violation in error.violations:
            field = _shorten(violation.field, _MAX_VALUE)
            room -= len(field.encode())
            if room <= 0:
                break
            description = _shorten(violation.description, room)
            room -= len(description.encode())
            request.field_violations.add(field=field, description=description)
        status.details.append(_pack(request))
    _add_warnings(status, error)
    context.set_trailing_metadata(((STATUS_DETAILS, status.SerializeToString()),))
    try:
        context.abort(code, message)
    except Exception:
        raise Ended from None


def _add_warnings(status: status_pb2.Status, error: FillerError) -> None:
    """Add what was to be told of a file before the error, as far as there is room."""
    room = _MAX_HEADERS - 3 * len(status.message.encode()) - status.ByteSize() * 4 // 3
    for warning in error.warnings:
        problem = filler_pb2.Problem(
            message=_shorten(warning.message, _MAX_VALUE),
            line=warning.line or 0,
            column=warning.column or 0,
            layer=_shorten(warning.layer or "", _MAX_VALUE),
        )
        packed = _pack(problem)
        room -= (packed.ByteSize() + 4) * 4 // 3
        if room < 0:
            return
        status.details.append(packed)


def end(context: grpc.ServicerContext, error: FillerError) -> None:
    """End a call from outside of its thread, which waits for the client.

    gRPC lets only that thread give a status, and has nothing public but a cancellation without one for all others.
    The error's details cannot go along.
    """
    _note(context, error)
    call = getattr(getattr(context, "_rpc_event", None), "call", None)
    if call is None:
        context.cancel()
    else:
        call.cancel(grpc.StatusCode[error.status].value[0], _shorten(str(error), _MAX_BYTES))


def outcome_of(context: grpc.ServicerContext) -> Outcome | None:
    """Return how a call was ended by an error, None where it was not by one."""
    return _outcomes.get(context)


def _note(context: grpc.ServicerContext, error: FillerError) -> None:
    """Keep how a call was ended, unless it was ended before: its work then finds it over, and ends with Cancelled."""
    if context not in _outcomes:
        _outcomes[context] = Outcome(error.status, str(error), error.metadata.get("limit", ""))


def _shorten(text: str, room: int) -> str:
    """The text in at most `room` bytes of UTF-8."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= room:
        return encoded.decode()
    return encoded[: max(room - len(_ELLIPSIS), 0)].decode(errors="ignore") + _ELLIPSIS[:room]


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
