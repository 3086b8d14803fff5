"""Ends calls that wait too long for their client; the thread that such a call holds cannot do it itself."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cached_property

import grpc

from caffe_filler.errors import LimitExceeded
from filler_server.api.limits import Limits
from filler_server.service import status
from filler_server.service.peers import client_address

_ROUND, _LEAST_ROUND = 0.05, 0.005
"""Seconds between two looks at all calls, and the least of them: the more calls wait for their request, the sooner
those end that wait in vain, because their threads are missing elsewhere."""

_CROWD = 16
"""Calls that wait for their request with which the time between two looks is half of what it is without any."""

_EARLY = 3
"""Looks within which a request arrives that is sent along with its call. Looks and not seconds, because both are late
where the interpreter has more to do than it can."""


class WatchedCall:
    """A call under watch.

    Attributes:
        context: of the call.
        may_be_slow: whether its request may come late, where there is a place for that.
        ended: the limit by which it was ended, empty while it runs.
        looks: how often it was seen to wait for its request.
        answered: when its answer was made, None before that.
        is_over: whether the client has the whole answer, or is gone.
        when_over: what is called then.
    """

    def __init__(self, context: grpc.ServicerContext, *, may_be_slow: bool) -> None:
        self.context = context
        self.may_be_slow = may_be_slow
        self.ended = ""
        self.looks = 0
        self.answered: float | None = None
        self.is_over = False
        self.when_over: Callable[[], None] | None = None
        self._began = time.monotonic()
        self._waits: tuple[str, float] | None = None

    @cached_property
    def peer(self) -> str:
        """Address of the client."""
        return client_address(self.context)

    def waits(self, limit: str | None) -> None:
        """Say that the thread waits for the client, as long as the limit of that name allows; None: it does no more."""
        self._waits = None if limit is None else (limit, time.monotonic())

    def look(self, limits: Limits, now: float) -> None:
        """End the call when it has waited for longer than a limit allows."""
        if self.answered is not None:
            if now - self.answered > limits.stall_seconds:
                self.context.cancel()
            return
        waits = self._waits
        lacks_request = waits is not None and waits[0] == "request_seconds"
        self.looks = self.looks + 1 if lacks_request else 0
        for name, since in (waits or ("call_seconds", self._began), ("call_seconds", self._began)):
            if now - since > getattr(limits, name):
                self.end(limits.exceeded(name, round(now - since, 1)))

    @property
    def is_late(self) -> bool:
        """Whether its request should have come."""
        return self.looks > _EARLY and not self.ended

    def end(self, error: LimitExceeded) -> None:
        """End the call, which is over a limit."""
        if not self.ended:
            self.ended = error.limit or ""
            status.end(self.context, error)


class CallWatch:
    """Watches the calls of a server from a thread of its own.

    Args:
        limits: those of the server.
        on_look: is called at each look at the calls.
    """

    def __init__(self, limits: Limits, on_look: Callable[[], None] = lambda: None) -> None:
        self._limits = limits
        self._on_look = on_look
        self._calls: set[WatchedCall] = set()
        self._slow: set[WatchedCall] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, context: grpc.ServicerContext, *, may_be_slow: bool = True) -> AbstractContextManager[WatchedCall]:
        """Return what watches a call while its block runs, and after that until its client has the answer."""
        return _Watch(self, WatchedCall(context, may_be_slow=may_be_slow))

    def begin(self, call: WatchedCall) -> None:
        """Watch a call from now on."""
        with self._lock:
            self._calls.add(call)
        if not call.context.add_callback(lambda: self._over(call)):
            self._over(call)

    def answered(self, call: WatchedCall) -> None:
        """Note that the answer of a call is made."""
        with self._lock:
            call.answered = time.monotonic()
            if call.is_over:
                self._calls.discard(call)

    def when_over(self, call: WatchedCall, then: Callable[[], None]) -> None:
        """Call a function when the client has the whole answer of a call, or is gone."""
        with self._lock:
            if not call.is_over:
                call.when_over = then
                return
        then()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _over(self, call: WatchedCall) -> None:
        with self._lock:
            call.is_over = True
            if call.answered is not None:
                self._calls.discard(call)
        if call.when_over is not None:
            call.when_over()

    def _run(self) -> None:
        interval = _ROUND
        while not self._closed.wait(interval):
            self._on_look()
            with self._lock:
                calls = list(self._calls)
            now = time.monotonic()
            for call in calls:
                call.look(self._limits, now)
            interval = max(_ROUND / (1 + sum(call.looks > 0 for call in calls) / _CROWD), _LEAST_ROUND)
            self._admit([call for call in calls if call.is_late])
            self._drop([call for call in calls if call.answered is not None])

    def _admit(self, late: Iterable[WatchedCall]) -> None:
        """End the calls whose request is late and for which there is no place any more."""
        late = sorted(late, key=lambda call: -call.looks)
        self._slow.intersection_update(late)
        peers = Counter(call.peer for call in self._slow)
        for call in late:
            if call in self._slow:
                continue
            places = {"peer_slow_requests": peers[call.peer], "slow_requests": len(self._slow)}
            full = next((name for name, held in places.items() if held >= getattr(self._limits, name)), None)
            if not call.may_be_slow:
                call.end(self._limits.exceeded("slow_requests", 1, limit=0))
            elif full is not None:
                call.end(self._limits.exceeded(full, places[full] + 1))
            else:
                self._slow.add(call)
                peers[call.peer] += 1

    def _drop(self, untaken: list[WatchedCall]) -> None:
        """Cancel the oldest of the calls whose clients do not take the answers, of the peers that have most of them."""
        surplus = len(untaken) - self._limits.calls
        if surplus <= 0:
            return
        by_peer: dict[str, list[WatchedCall]] = {}
        for call in sorted(untaken, key=lambda call: call.answered or 0.0, reverse=True):
            by_peer.setdefault(call.peer, []).append(call)
        for _ in range(surplus):
            max(by_peer.values(), key=len).pop().context.cancel()


class _Watch:
    """Watches a call; a generator would cost as much as much else of a small one."""

    __slots__ = ("_call", "_watch")

    def __init__(self, watch: CallWatch, call: WatchedCall) -> None:
        self._watch = watch
        self._call = call

    def __enter__(self) -> WatchedCall:
        self._watch.begin(self._call)
        return self._call

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._watch.answered(self._call)
