"""Lines that may wait, and those that may not: none is lost, none comes before an earlier one, few writes."""

import io
import logging
import os
import select
import subprocess
import sys
import threading
import time

import pytest

from filler_server.service import log_lines
from filler_server.service.log_lines import LineHandler


class Written(io.StringIO):
    """A stream that notes how often it is written to, and may refuse to be, or let the writer wait."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.is_broken = False
        self.is_read = threading.Event()
        self.is_read.set()

    def write(self, text: str, /) -> int:
        self.is_read.wait(30)
        if self.is_broken:
            raise BrokenPipeError
        self.writes.append(text)
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        return "".join(self.writes).splitlines()


@pytest.fixture
def stream() -> Written:
    return Written()


def handler_of(stream: Written) -> LineHandler:
    handler = LineHandler()
    handler.setStream(stream)
    return handler


def pausing(stream: Written, monkeypatch: pytest.MonkeyPatch) -> LineHandler:
    """A handler that has written a line just now."""
    monkeypatch.setattr(log_lines, "_PAUSE", 60.0)
    handler = handler_of(stream)
    handler.handle(record("first"))
    wait_for(stream, 1)
    return handler


def record(text: str, *, may_wait: bool = True) -> logging.LogRecord:
    made = logging.LogRecord("a", logging.INFO, "", 0, text, (), None)
    made.may_wait = may_wait
    return made


def wait_for(stream: Written, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(stream.lines) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lonely_line_is_written_soon(stream: Written) -> None:
    handler_of(stream).handle(record("first"))
    wait_for(stream, 1)
    assert stream.lines == ["first"]


def test_many_lines_are_written_together_and_soon(stream: Written) -> None:
    handler = handler_of(stream)
    for number in range(100):
        handler.handle(record(f"{number}"))
    wait_for(stream, 100)
    assert stream.lines == [f"{number}" for number in range(100)]
    assert len(stream.writes) < 50
    handler.handle(record("later"))
    wait_for(stream, 101)
    assert stream.lines[-1] == "later"


def test_what_may_not_wait_comes_after_what_waits(stream: Written) -> None:
    handler = handler_of(stream)
    for number in range(3):
        handler.handle(record(f"{number}"))
    handler.handle(record("failed", may_wait=False))
    assert stream.lines == ["0", "1", "2", "failed"]


def test_a_flush_and_a_close_write_what_waits(stream: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = pausing(stream, monkeypatch)
    handler.handle(record("waits"))
    assert stream.lines == ["first"]
    handler.flush()
    assert stream.lines == ["first", "waits"]


def test_so_many_lines_wait_and_no_more(stream: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_MOST", 8)
    handler = pausing(stream, monkeypatch)
    for number in range(8):
        assert handler.is_behind == (number > 4)
        handler.handle(record(f"{number}"))
    assert stream.lines == ["first"]
    handler.handle(record("8"))
    assert stream.lines == ["first", *(f"{number}" for number in range(9))]
    assert not handler.is_behind


def test_a_write_that_fails_loses_its_own_lines_alone(stream: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = pausing(stream, monkeypatch)
    stream.is_broken = True
    monkeypatch.setattr(handler, "handleError", lambda _: setattr(stream, "is_broken", False))
    lines = [f"{number} " + "x" * 1000 for number in range(40)]
    for line in lines:
        handler.handle(record(line))
    handler.handle(record("last", may_wait=False))
    assert stream.lines == ["first", *lines[4:], "last"]


def test_a_reader_that_does_not_read_holds_nobody_up(stream: Written) -> None:
    handler = handler_of(stream)
    stream.is_read.clear()
    began = time.monotonic()
    for number in range(20):
        handler.handle(record(f"{number}"))
        time.sleep(0.01)
    assert time.monotonic() - began < 10
    stream.is_read.set()
    wait_for(stream, 20)
    assert stream.lines == [f"{number}" for number in range(20)]


def test_a_line_is_written_at_once_where_there_can_be_no_more_threads(
    stream: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    handler = handler_of(stream)
    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", fail)
        for text in ("first", "second"):
            handler.handle(record(text))
        assert stream.lines == ["first", "second"]
    handler.handle(record("third"))
    wait_for(stream, 3)


def test_no_write_is_longer_than_a_pipe_takes_as_a_whole(stream: Written) -> None:
    handler = handler_of(stream)
    lines = [f"{number} " + "ü" * (number * 37 % 900) for number in range(60)] + ["y" * 3 * select.PIPE_BUF]
    for line in lines:
        handler.handle(record(line))
    handler.flush()
    assert stream.lines == lines
    assert all(len(text.encode()) <= select.PIPE_BUF or text.count("\n") == 1 for text in stream.writes)
    assert all(text.endswith("\n") for text in stream.writes)


def test_threads_lose_nothing(stream: Written) -> None:
    handler = handler_of(stream)

    def log(name: int) -> None:
        for number in range(200):
            handler.handle(record(f"{name} {number}", may_wait=number % 7 != 0))

    threads = [threading.Thread(target=log, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()
    for name in range(8):
        own = [line for line in stream.lines if line.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(200)]


def test_a_reader_that_is_gone_stops_nobody(stream: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = handler_of(stream)
    stream.is_broken = True
    for number in range(3):
        handler.handle(record(f"{number}"))
    time.sleep(0.1)
    stream.is_broken = False
    time.sleep(0.1)
    for number in range(3, 6):
        handler.handle(record(f"{number}"))
    wait_for(stream, 3)
    assert stream.lines[-3:] == ["3", "4", "5"]


def test_lines_that_wait_are_written_when_the_program_ends() -> None:
    program = """
import logging
from filler_server.service.log_lines import LineHandler
handler = LineHandler()
logging.getLogger().addHandler(handler)
for number in range(5):
    record = logging.LogRecord("a", logging.INFO, "", 0, str(number), (), None)
    record.may_wait = True
    handler.handle(record)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ)
    )
    assert done.stderr.splitlines() == ["0", "1", "2", "3", "4"]
