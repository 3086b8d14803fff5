"""Errors of the library to statuses of gRPC."""

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from caffe_filler.errors import FillerError

DOMAIN = "caffe_filler"
"""The domain of the `google.rpc.ErrorInfo` in every status."""

_DETAILS_KEY = "grpc-status-details-bin"
_MAX_VIOLATIONS = 32
_MAX_MESSAGE = 1024
"""Status and details travel as HTTP/2 headers, of which a client takes 8 KiB."""


def abort(context: grpc.ServicerContext, error: FillerError) -> None:
    """End the call with the status that stands for `error`, its message, its fields and its place."""
    code = grpc.StatusCode[error.status]
    message = _shorten(str(error))
    status = status_pb2.Status(code=code.value[0], message=message)
    metadata = {key: _shorten(value) for key, value in error.metadata.items()}
    status.details.append(
        _pack(error_details_pb2.ErrorInfo(reason=type(error).__name__, domain=DOMAIN, metadata=metadata))
    )
    if error.violations:
        request = error_details_pb2.BadRequest()
        room = _MAX_MESSAGE
        for violation in error.violations[:_MAX_VIOLATIONS]:
            description = violation.description[:room]
            room -= len(description)
            request.field_violations.add(field=_shorten(violation.field), description=description)
        status.details.append(_pack(request))
    context.set_trailing_metadata(((_DETAILS_KEY, status.SerializeToString()),))
    context.abort(code, message)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
