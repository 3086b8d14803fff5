"""Lines that libraries log through the server, whatever their callers sent."""

import io
import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from filler_server.service import logs
from filler_server.service.calls import Call
from filler_server.service.settings import Log

EVIL = "evil\x1b[31m\n2026-01-01T00:00:00Z [info] forged\u202e\x9b"
PROGRAM = f"""
import logging
from filler_server.service import logs
from filler_server.service.settings import Log
logs.configure(Log(format="FORMAT"))
log = logging.getLogger("library")
log.warning("said %s", {EVIL!r})
log.warning("quoted", extra={{"name_of_blob": {EVIL!r}}})
try:
    raise RuntimeError({EVIL!r})
except RuntimeError:
    log.exception("failed")
"""


def written(log_format: str) -> list[str]:
    """The lines of the log of a program of its own."""
    command = [sys.executable, "-c", PROGRAM.replace("FORMAT", log_format)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stderr.removesuffix("\n").split("\n")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_log_holds_nothing_that_a_terminal_obeys(log_format: str) -> None:
    lines = written(log_format)
    assert all(line.isprintable() for line in lines)
    assert sum("evil" in line for line in lines) >= 3


def test_a_line_of_a_log_is_the_servers() -> None:
    lines = written("console")
    assert [line for line in lines if not line.startswith("  ")] == [
        line for line in lines if "[warning" in line or "[error" in line
    ]
    assert sum("forged" in line for line in lines if not line.startswith("  ")) == 2
    assert any(line.endswith("forged\\u202e\\x9b") for line in lines if line.startswith("  "))


def test_each_line_of_json_is_an_object_that_says_it_all() -> None:
    said, quoted, failed = map(json.loads, written("json"))
    assert said["event"] == f"said {EVIL}"
    assert quoted["name_of_blob"] == EVIL
    assert f"RuntimeError: {EVIL}" in failed["exception"]


def test_the_line_of_a_call_is_the_one_that_structlog_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call("a/B\x1b[31m", "unknown", "ipv4:127.0.0.1:1", "1" * 32, status="OUT_OF_RANGE", error="it's \u202e")
    call.bytes, call.blobs, call.seconds, call.limit = 1 << 20, 3, 0.25, "streams"
    handlers, level = logging.root.handlers[:], logging.root.level
    lines = []
    for maker in (logs._Formatter.format, _by_structlog):
        monkeypatch.setattr(logs._Formatter, "format", maker)
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure(Log())
        try:
            logs.CallLog().ended(call)
            logging.root.handlers[0].flush()
        finally:
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
        lines.append(stream.getvalue())
    ours, theirs = (re.sub(r"^[-0-9]+T[:0-9]+[.][0-9]{6}Z ", "TIME ", line) for line in lines)
    assert ours == theirs
    assert ours.startswith("TIME [info] call method=")


def _by_structlog(formatter: logs._Formatter, record: logging.LogRecord) -> str:
    event: Any = {"event": record.msg, "level": "info", **vars(record)["facts"]}
    for process in formatter._processors_of_calls:
        event = process(None, "info", event)
    return str(event)


def test_without_standard_error_logging_is_no_error() -> None:
    program = "import sys; sys.stderr = None\n" + PROGRAM.replace("FORMAT", "console")
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
