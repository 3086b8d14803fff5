"""Statuses of gRPC to the errors that the library itself raises."""

import contextlib
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from caffe_filler import errors
from caffe_filler.errors import FieldViolation, FillerError
from caffe_filler.metadata import ERROR_DOMAIN, STATUS_DETAILS
from caffe_filler.notes import Note
from caffe_filler.v1.filler_pb2 import Problem
from filler_client._advice import is_lasting, token_advice

if TYPE_CHECKING:
    from filler_client._security import Security

_BY_STATUS: dict[str, type[FillerError]] = {
    kind.status: kind
    for kind in (
        errors.InvalidArgument,
        errors.NotFound,
        errors.Unauthenticated,
        errors.LimitExceeded,
        errors.Unavailable,
        errors.DeadlineExceeded,
        errors.Cancelled,
        errors.DataLoss,
    )
}
_CALLS = "Concurrent RPC limit exceeded!"
"""gRPC's own words for a call beyond `maximum_concurrent_rpcs`."""
_TRANSPORT = frozenset({"UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"})
"""Statuses that gRPC itself gives, depending on the moment, when a connection breaks or a server is killed."""


def from_rpc(error: Any, target: str, security: "Security") -> FillerError:
    """Return the error that a failed call stands for.

    What the transport answers, and not a server, becomes Unavailable.

    Args:
        error: the `grpc.RpcError` of a finished call, also of `grpc.aio`.
        target: the server.
        security: what the client shows and asks of it.
    """
    code: grpc.StatusCode = error.code()
    text: str = error.details() or code.name
    info, violations, warnings = _details(error.trailing_metadata() or ())
    if info is None and code.name in _TRANSPORT:
        advice = security.advice(text)
        unavailable = errors.Unavailable(f"{target}: {text}" if advice is None else f"{target}: {advice} ({text})")
        unavailable.is_lasting = is_lasting(text)
        return unavailable
    kind = getattr(errors, info.reason, None) if info is not None else None
    if not (isinstance(kind, type) and issubclass(kind, FillerError)):
        kind = _BY_STATUS.get(code.name)
    if kind is None:
        return errors.ServiceError(f"{target}: {code.name}: {text}", code=code.name)
    if info is None and kind is errors.LimitExceeded:
        return _limit_exceeded(text)
    restored = kind.restored(text, violations=violations, metadata={} if info is None else info.metadata)
    if kind is errors.Unauthenticated and not security.has_token:
        restored.advise(token_advice())
    return restored.after(warnings)


def _limit_exceeded(text: str) -> errors.LimitExceeded:
    """The error of a refusal without details: some can be sent by a server without them only."""
    if text == _CALLS:
        return errors.LimitExceeded(text, limit="calls")
    return errors.LimitExceeded.from_text(text) or errors.LimitExceeded(text)


def _details(metadata: Any) -> tuple[error_details_pb2.ErrorInfo | None, list[FieldViolation], list[Note]]:
    found: error_details_pb2.ErrorInfo | None = None
    violations: list[FieldViolation] = []
    warnings: list[Note] = []
    for key, value in metadata:
        if key != STATUS_DETAILS:
            continue
        # Details that cannot be read are as good as none: the status itself is still an answer.
        with contextlib.suppress(DecodeError):
            for detail in status_pb2.Status.FromString(value).details:
                info, request, problem = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), Problem()
                if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
                    found = info
                elif detail.Unpack(request):
                    violations = [FieldViolation(entry.field, entry.description) for entry in request.field_violations]
                elif detail.Unpack(problem):
                    place = problem.line or None, problem.column or None
                    warnings.append(Note(problem.message, *place, problem.layer or None))
    return found, violations, warnings
