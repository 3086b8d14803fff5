"""Ends calls that wait too long for their client; the thread that such a call holds cannot do it itself."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from filler_server.api.limits import Limits
from filler_server.service import status

_CROWD = 32
_CROWDED_SECONDS = 1.0
"""More calls than that which wait for their request get no more than this: their threads are missing elsewhere."""


class WatchedCall:
    """A call under watch.

    Attributes:
        ended: the limit by which it was ended, empty while it runs.
    """

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.context = context
        self.ended = ""
        self._began = time.monotonic()
        self._waits: tuple[str, float] | None = None

    @contextmanager
    def waits(self, limit: str) -> Iterator[None]:
        """Say that the thread waits for the client, as long as the limit of that name allows."""
        self._waits = (limit, time.monotonic())
        try:
            yield
        finally:
            self._waits = None

    @property
    def lacks_request(self) -> bool:
        """Whether the client has not sent its request yet."""
        return self._waits is not None and self._waits[0] == "request_seconds"

    def end_if_over(self, limits: Limits, now: float, *, crowded: bool) -> None:
        """End the call when it is over a limit; `crowded` when too many wait for their request."""
        for name, since in (self._waits or ("call_seconds", self._began), ("call_seconds", self._began)):
            limit = getattr(limits, name)
            if crowded and name == "request_seconds":
                limit = min(limit, _CROWDED_SECONDS)
            if not self.ended and now - since > limit:
                self.ended = name
                status.end(self.context, limits.exceeded(name, round(now - since, 1), limit=limit))


class CallWatch:
    """Watches the calls of a server from a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._interval = min(1.0, min(limits.request_seconds, limits.stall_seconds, limits.call_seconds) / 4)
        self._calls: set[WatchedCall] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @contextmanager
    def watch(self, context: grpc.ServicerContext) -> Iterator[WatchedCall]:
        """Watch a call while the block runs."""
        call = WatchedCall(context)
        with self._lock:
            self._calls.add(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.discard(call)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            with self._lock:
                calls = list(self._calls)
            now = time.monotonic()
            crowded = sum(call.lacks_request for call in calls) > _CROWD
            for call in calls:
                call.end_if_over(self._limits, now, crowded=crowded)
