"""Writing the lines of the log, of which a busy server has thousands a second."""

import logging
import select
import threading
import time
from typing import TextIO

_PAUSE = 0.05
"""Seconds between two writes of lines that may wait."""

_MOST = 64 << 10
"""Bytes of lines that wait at once."""


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to standard error. Those that may wait are written some at a time, as a write wakes up a reader.

    A line waits for at most 50 ms, and no line comes before an earlier one. A record may wait where its attribute
    `may_wait` is true.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = []
        self._size = 0
        self._written = float("-inf")
        self._is_due = threading.Event()
        self._writer: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record, or let it wait; `handle` holds the lock."""
        if not getattr(record, "may_wait", False):
            self._write(record)
            super().emit(record)
            return
        try:
            line = (self.format(record) + self.terminator).encode(errors="backslashreplace")
        except Exception:
            self.handleError(record)
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size > _MOST or time.monotonic() - self._written > _PAUSE:
            self._write(record)
        elif len(self._lines) == 1:
            self._await(record)

    def flush(self) -> None:
        """Write the lines that wait."""
        self.acquire()
        try:
            self._write(None)
            super().flush()
        finally:
            self.release()

    def _write(self, record: logging.LogRecord | None) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            self._written = time.monotonic()
        try:
            for part in _parts(lines):
                self.stream.write(part.decode())
                self.stream.flush()
        except Exception:
            if record is None:
                raise
            self.handleError(record)

    def _await(self, record: logging.LogRecord) -> None:
        """Have the lines that wait written after the pause."""
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_late, args=(record,), name="log", daemon=True)
            self._writer.start()
        self._is_due.set()

    def _write_late(self, record: logging.LogRecord) -> None:
        while True:
            self._is_due.wait()
            time.sleep(_PAUSE)
            self.acquire()
            try:
                self._is_due.clear()
                self._write(record)
            finally:
                self.release()


def _parts(lines: list[bytes]) -> list[bytes]:
    """Return lines in parts that are written as a whole, also where other processes write to the same pipe."""
    parts: list[bytes] = []
    for line in lines:
        if parts and len(parts[-1]) + len(line) <= select.PIPE_BUF:
            parts[-1] += line
        else:
            parts.append(line)
    return parts
