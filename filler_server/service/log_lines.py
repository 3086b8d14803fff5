"""Writing the lines of the log, of which a busy server has thousands a second."""

import logging
import select
import threading
import time
from collections import deque
from typing import Any, TextIO

_PAUSE = 0.05
"""Seconds between two writes of lines that may wait."""

_MOST = 4096
"""Lines that wait at once."""


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to standard error. Those that may wait are written some at a time, as a write wakes up a reader.

    A line waits for at most 50 ms, and no line comes before an earlier one. A record may wait where its attribute
    `may_wait` is true: a reader that does not read holds nobody up who logs it, until too many lines wait.
    """

    def __init__(self) -> None:
        super().__init__()
        # The lock of the handler, which all who log need, is never held while lines are written.
        self._lines: deque[bytes] = deque()
        self._writing = threading.RLock()
        self._is_due = threading.Event()
        self._writer: threading.Thread | None = None

    @property
    def is_behind(self) -> bool:
        """Whether so many lines wait that whoever logs one may soon have to write them."""
        return len(self._lines) > _MOST // 2

    def handle(self, record: logging.LogRecord) -> Any:
        """Let the line of a record wait, or write it."""
        handled = super().handle(record)
        if not _may_wait(record) or self._writer is None or len(self._lines) > _MOST:
            self._write(record)
        return handled

    def emit(self, record: logging.LogRecord) -> None:
        """Put the line of a record to those that wait; `handle` holds the lock."""
        try:
            self._lines.append((self.format(record) + self.terminator).encode(errors="backslashreplace"))
        except Exception:
            self.handleError(record)
        if _may_wait(record) and not self._is_due.is_set():
            self._await(record)

    def flush(self) -> None:
        """Write the lines that wait."""
        self._write(None)

    def _write(self, record: logging.LogRecord | None) -> None:
        with self._writing:
            for part in _parts([self._lines.popleft() for _ in range(len(self._lines))]):
                try:
                    self.stream.write(part.decode())
                    self.stream.flush()
                except Exception:
                    if record is None:
                        raise
                    self.handleError(record)

    def _await(self, record: logging.LogRecord) -> None:
        """Have the lines that wait written, after the pause since the last write."""
        if self._writer is None:
            writer = threading.Thread(target=self._write_late, args=(record,), name="log", daemon=True)
            try:
                writer.start()
            except RuntimeError:
                # There can be no more threads.
                return
            self._writer = writer
        self._is_due.set()

    def _write_late(self, record: logging.LogRecord) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            self._write(record)
            time.sleep(_PAUSE)


def _may_wait(record: logging.LogRecord) -> bool:
    return getattr(record, "may_wait", False)


def _parts(lines: list[bytes]) -> list[bytes]:
    """Return lines in parts that are written as a whole, also where other processes write to the same pipe."""
    parts: list[bytes] = []
    for line in lines:
        if parts and len(parts[-1]) + len(line) <= select.PIPE_BUF:
            parts[-1] += line
        else:
            parts.append(line)
    return parts
