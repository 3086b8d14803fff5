"""The metadata of a call: its keys, and what their values may be."""

import re

from caffe_filler.errors import InvalidArgument
from caffe_filler.printable import counted

REQUEST_ID = "x-request-id"
"""Names a call; the server repeats it, and logs it."""

AUTHORIZATION = "authorization"
"""Shows a bearer token: `Bearer <token>`."""

INTERFACE = "x-filler-interface"
"""Tells a server whose options its messages should name: `python`, the default, or `cli`."""

SHORT_ANSWERS = "x-filler-short-answers"
"""Sent with every answer by a server whose short answers are one message each (`caffe_filler.short_answers`)."""

STATUS_DETAILS = "grpc-status-details-bin"
"""The `google.rpc.Status` by which a call ended."""

ERROR_DOMAIN = "caffe_filler"
"""The domain of the `google.rpc.ErrorInfo` in that status."""

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_request_id(text: str) -> bool:
    """Whether a text can name a call: 1 to 128 printable ASCII characters without spaces, which fit a line of a log."""
    return _REQUEST_ID.fullmatch(text) is not None


def check_token(token: str, where: str = "") -> None:
    """Make sure that a token is what RFC 6750 lets a bearer token be.

    Args:
        token: the token.
        where: the file that it stands in, for the message.

    Raises:
        InvalidArgument: it is not. The message does not show the token.
    """
    if not _TOKEN.fullmatch(token):
        raise InvalidArgument(
            "a bearer token is letters, digits and -._~+/ with = at its end. "
            f"Received: token with {counted(len(token), 'character')}"
        ).within(where)
