"""What the server writes: lines for people, or JSON."""

import logging
import sys
from typing import Any

import structlog

from filler_server.service.calls import Call, CallObserver
from filler_server.service.settings import Log

_FAULTS = ("INTERNAL", "UNKNOWN", "DATA_LOSS")
"""Statuses that are the server's fault."""

_LONGEST_ERROR = 512

_log = logging.getLogger(__name__)


def configure(log: Log) -> None:
    """Have everything that this process logs written to standard error."""
    is_json = log.format == "json"
    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    after: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if is_json
        else [
            # Values that clients chose are quoted, so that no line is anybody's but the server's.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                pad_level=False,
                repr_native_str=True,
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
            ),
        ]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(level=log.level.upper(), handlers=[handler], force=True)
    # What libraries say of their own workings is nobody's business here.
    for name in ("numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class CallLog(CallObserver):
    """Writes a line for each call when it has ended."""

    def ended(self, call: Call) -> None:
        """Write the line."""
        level = logging.DEBUG if call.label.startswith("grpc.health.") else logging.INFO
        if call.status in _FAULTS:
            level = logging.ERROR
        if not _log.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "method": call.method,
            "peer": call.peer,
            "request_id": call.request_id,
            "status": call.status,
            "bytes": call.bytes,
            "seconds": round(call.seconds, 6),
            "fill_seconds": round(call.fill_seconds, 6),
            "send_seconds": round(call.send_seconds, 6),
        }
        if call.client:
            fields["client"] = call.client
        if call.blobs is not None:
            fields["blobs"] = call.blobs
        if call.limit:
            fields["limit"] = call.limit
        if call.error:
            fields["error"] = call.error[:_LONGEST_ERROR]
        _log.log(level, "call", extra=fields)
