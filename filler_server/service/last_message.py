"""The last message of a stream, sent along with the status and, where it is the only one, the metadata.

Of a unary call gRPC sends all of these at once; of a stream, one by one, each with a system call and a change of thread
on both sides, which takes longer than to fill a small blob. Nothing public sends them at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc import _server

_SHORT = 64 << 10
"""Bytes of a message up to which nobody waits until it was sent. Like a short answer of a unary call it is not counted
while its client has not taken it."""

Send = Callable[[bytes | None], None]
"""Sends a message and waits until that is done, or with None sends the status."""

_inside: Any = _server


def _is_inside() -> bool:
    """Return whether gRPC has inside what sends all at once, in the form that is known here."""
    try:
        state, cygrpc = _inside._RPCState(), _inside.cygrpc
        _inside._send_status_from_server(state, _inside._SEND_STATUS_FROM_SERVER_TOKEN)
        cygrpc.SendInitialMetadataOperation((), 0)
        cygrpc.SendMessageOperation(b"", 0)
        cygrpc.SendStatusFromServerOperation(state.trailing_metadata, cygrpc.StatusCode.ok, b"", 0)
    except (AttributeError, TypeError):
        return False
    return all(hasattr(state, name) for name in ("condition", "due", "initial_metadata_allowed", "statused"))


IS_KNOWN = _is_inside()
"""Whether the last message is sent along with the rest, so that nobody waits until it was sent."""


def can_end_with(message: bytes) -> bool:
    """Return whether `end_with` may send a message."""
    return len(message) <= _SHORT


def end_with(
    message: bytes, context: grpc.ServicerContext, send: Send, metadata: Sequence[tuple[str, str]] | None
) -> None:
    """Send a message and the status OK; before them the metadata, unless it is None because it was sent before."""
    event, state = getattr(context, "_rpc_event", None), getattr(context, "_state", None)
    if not IS_KNOWN or event is None or state is None:
        if metadata is not None:
            context.send_initial_metadata(metadata)
        send(message)
        send(None)
        return
    cygrpc, token = _inside.cygrpc, _inside._SEND_STATUS_FROM_SERVER_TOKEN
    operations = [
        cygrpc.SendMessageOperation(message, 0),
        cygrpc.SendStatusFromServerOperation(state.trailing_metadata, cygrpc.StatusCode.ok, b"", 0),
    ]
    if metadata is not None:
        operations.insert(0, cygrpc.SendInitialMetadataOperation(metadata, 0))
    with state.condition:
        if not context.is_active():
            return
        event.call.start_server_batch(operations, _inside._send_status_from_server(state, token))
        state.initial_metadata_allowed = False
        state.statused = True
        state.due.add(token)
