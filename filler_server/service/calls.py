"""One call as the operator sees it: who, what, how it ended and what it cost."""

import time
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from caffe_filler.metadata import REQUEST_ID, is_request_id

_current: ContextVar["Call | None"] = ContextVar("call", default=None)


@dataclass(slots=True)
class Call:
    """A call.

    Attributes:
        method: `service/method`, as the client wrote it.
        label: the same, or "unknown" where the server has no such method, so that there are few of them.
        peer: address of the client, as gRPC writes it.
        client: common name in the certificate that the client showed, empty where it showed none.
        request_id: name of the call, given by the client or made here.
        metadata: what the client sent along.
        status: name of the status by which it ended, empty before that.
        error: message of that status.
        limit: name of the limit over which it was refused.
        bytes: of the messages sent.
        blobs: of the stream, None where there is none.
        is_last: whether the message of the stream that comes now is its last one, as far as that is known.
        fill_seconds: computing the messages of a stream, or the answer.
        send_seconds: waiting until the messages of a stream were sent.
        seconds: from begin to end.
    """

    method: str
    label: str
    peer: str
    request_id: str
    metadata: tuple[tuple[str, str | bytes], ...] = field(default=(), repr=False)
    client: str = ""
    status: str = ""
    error: str = ""
    limit: str = ""
    bytes: int = 0
    blobs: int | None = None
    is_last: bool = False
    fill_seconds: float = 0.0
    send_seconds: float = 0.0
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def make_current(self) -> None:
        """Let `current_call` find it in this thread, while gRPC's context of the call is active there."""
        _current.set(self)


def current_call() -> Call | None:
    """Return the call that this thread answers, None outside of a server."""
    return _current.get()


def request_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the name that the client gave its call, or a new one where there is none that a log can bear."""
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and is_request_id(value):
            return value
    return uuid.uuid4().hex


class CallObserver:
    """Gets to know of every call; what it does must be quick, and never fail."""

    def began(self, call: Call) -> None:
        """Note that a call has begun."""

    def sent(self, call: Call, nbytes: int) -> None:
        """Note that a message was sent."""

    def ended(self, call: Call) -> None:
        """Note that a call has ended: its stream, too."""
