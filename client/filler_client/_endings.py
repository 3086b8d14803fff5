"""Calls that have brought everything, and should end."""

import contextlib
import threading
import time
from typing import Any

GRACE_SECONDS = 5.0
"""Time in which a server ends a stream of which it has sent everything."""

_LOOK_SECONDS = 0.5


class Endings:
    """Cancels the calls that do not end in time.

    Waiting for the end of a call knows no time of its own. A thread looks after all calls, and ends when there are
    none: to start one for each call would cost as much as receiving a small blob.
    """

    def __init__(self, seconds: float = GRACE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._due: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None

    def expect(self, call: Any) -> None:
        """Let a call end within the time from now on."""
        with self._lock:
            self._due[id(call)] = (time.monotonic() + self._seconds, call)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="endings", daemon=True)
                # Where there can be no more threads, calls end when their servers end them.
                with contextlib.suppress(RuntimeError):
                    self._thread.start()

    def ended(self, call: Any) -> None:
        """Forget a call."""
        with self._lock:
            self._due.pop(id(call), None)

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                now = time.monotonic()
                late = [key for key, (due, _) in self._due.items() if due <= now]
                calls = [self._due.pop(key)[1] for key in late]
                if not self._due:
                    self._thread = None
            for call in calls:
                call.cancel()
            if self._thread is not threading.current_thread():
                return
