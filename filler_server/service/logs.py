"""Log lines of the server, for people or as JSON."""

import logging
import sys
import traceback
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import ExcInfo

from caffe_filler.printable import printable
from filler_server.service.calls import Call, CallObserver
from filler_server.service.log_lines import LineHandler
from filler_server.service.settings import Log

_FAULTS = ("INTERNAL", "UNKNOWN", "DATA_LOSS")
"""Statuses that are the server's fault."""

_LONGEST_ERROR = 512

_log = logging.getLogger(__name__)


def configure(log: Log) -> None:
    """Have everything that this process logs written to standard error."""
    is_json = log.format == "json"
    # Without standard error nobody reads what is logged, and the server serves all the same.
    has_colors = sys.stderr is not None and sys.stderr.isatty()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    after: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if is_json
        else [
            _print_event,
            # Values that clients chose are quoted, so that no line is anybody's but the server's.
            structlog.dev.ConsoleRenderer(
                colors=has_colors,
                pad_event_to=0,
                pad_level=False,
                repr_native_str=True,
                exception_formatter=_print_traceback,
                sort_keys=False,
            ),
        ]
    )
    handler = LineHandler()
    handler.setFormatter(
        _Formatter(
            None if is_json or has_colors else stamp,
            [stamp, *after],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(), stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(level=log.level.upper(), handlers=[handler], force=True)
    # What libraries say of their own workings is nobody's business here.
    for name in ("numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def is_behind() -> bool:
    """Return whether nobody reads the log, so that whoever logs a call may have to wait."""
    return any(isinstance(handler, LineHandler) and handler.is_behind for handler in logging.getLogger().handlers)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats what is logged; calls, of which there are thousands a second, by a shorter way to the same lines.

    Args:
        stamp: what adds the time to the line of a call without colors, which is made here; None: for JSON or colors.
        processors_of_calls: what makes other lines of the facts of a call.
        given: arguments of the base class.
    """

    def __init__(self, stamp: Any, processors_of_calls: Sequence[Any], **given: Any) -> None:
        super().__init__(**given)
        self._stamp = stamp
        self._processors_of_calls = processors_of_calls

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        if not isinstance(record, _CallRecord):
            return super().format(record)
        level = record.levelname.lower()
        if self._stamp is not None:
            stamped = self._stamp(None, level, {})
            facts = " ".join([f"{name}={value!r}" for name, value in record.facts.items()])
            return f"{stamped['timestamp']} [{level}] {record.msg} {facts}"
        event: Any = {"event": record.msg, "level": level, **record.facts}
        for process in self._processors_of_calls:
            event = process(None, level, event)
        return str(event)


class _CallRecord(logging.LogRecord):
    """The record of a call.

    Attributes:
        facts: what is told of it, each also an attribute, as `extra` of a logger makes them.
        may_wait: whether its line may be written together with later ones.
    """

    may_wait = True

    def __init__(self, level: int, facts: dict[str, Any]) -> None:
        super().__init__(__name__, level, __file__, 0, "call", (), None)
        self.facts = facts
        self.__dict__.update(facts)


def _print_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what libraries log: their messages quote their callers."""
    event["event"] = printable(str(event.get("event", "")))
    return event


def _print_traceback(stream: TextIO, exception: ExcInfo) -> None:
    """Write a traceback, indented: an error's message may have lines that look like those of a log."""
    text = "".join(traceback.format_exception(*exception))
    stream.write("".join(f"\n  {printable(line)}" for line in text.splitlines()))


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
        _log.handle(_CallRecord(level, fields))
