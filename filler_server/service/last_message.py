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

_on_sent: Any = getattr(_server, "_send_status_from_server", None)
_cygrpc: Any = getattr(_server, "cygrpc", None)
_TOKEN: Any = getattr(_server, "_SEND_STATUS_FROM_SERVER_TOKEN", None)
_OPERATIONS = ("SendInitialMetadataOperation", "SendMessageOperation", "SendStatusFromServerOperation")
_IS_KNOWN = None not in (_on_sent, _TOKEN) and all(hasattr(_cygrpc, name) for name in _OPERATIONS)


def can_end_with(message: bytes) -> bool:
    """Return whether `end_with` may send a message."""
    return len(message) <= _SHORT


def end_with(
    message: bytes, context: grpc.ServicerContext, send: Send, metadata: Sequence[tuple[str, str]] | None
) -> None:
    """Send a message and the status OK; before them the metadata, unless it is None because it was sent before."""
    event, state = getattr(context, "_rpc_event", None), getattr(context, "_state", None)
    if not _IS_KNOWN or event is None or state is None:
        if metadata is not None:
            context.send_initial_metadata(metadata)
        send(message)
        send(None)
        return
    operations = [
        _cygrpc.SendMessageOperation(message, 0),
        _cygrpc.SendStatusFromServerOperation(state.trailing_metadata, _cygrpc.StatusCode.ok, b"", 0),
    ]
    if metadata is not None:
        operations.insert(0, _cygrpc.SendInitialMetadataOperation(metadata, 0))
    with state.condition:
        if not context.is_active():
            return
        event.call.start_server_batch(operations, _on_sent(state, _TOKEN))
        state.initial_metadata_allowed = False
        state.statused = True
        state.due.add(_TOKEN)
