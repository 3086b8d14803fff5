"""Lines that libraries log through the server, whatever their callers sent."""

import json
import subprocess
import sys

import pytest

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
