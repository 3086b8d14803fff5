"""A server of several processes: this one starts them, watches over them, and answers for all of them."""

import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from caffe_filler.errors import InvalidArgument, ServiceError
from filler_server.fillers import registered
from filler_server.service import logs
from filler_server.service.configuration import ALL
from filler_server.service.cpus import cpus
from filler_server.service.health_answer import HealthAnswer
from filler_server.service.place import BOUND, COMPILED, FAILED, SERVES, Place
from filler_server.service.settings import Settings
from filler_server.service.shared_address import SharedAddresses
from filler_server.service.shared_metrics import SharedMetrics

_MOST = 1024
"""Processes at most."""

_SOON = 10.0
"""Seconds within which the end of a process, counted from when it served, is one at once."""

_ENDS = 5
"""Ends at once, one after the other, after which no process takes the place."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds before another process takes the place of one that ended, doubled with each end at once."""

_LAST_SECONDS = 30.0
"""Seconds beyond the grace after which a process that does not end is killed."""

_POLL_SECONDS = 0.5

_log = logging.getLogger(__name__)


def supervise(settings: Settings, count: int) -> int:
    """Run a server of several processes until SIGTERM or SIGINT; a second signal ends it at once.

    Returns the exit status.

    Raises:
        InvalidArgument: the settings cannot be used.
        ServiceError: a process ends at once, again and again.
    """
    if count > _MOST:
        raise InvalidArgument(f"a server has at most {_MOST} processes. Received: processes={count}")
    own = sorted(kind for kind, filler in registered().items() if not filler.__module__.startswith("filler_server."))
    if own:
        raise InvalidArgument(
            "the processes of a server start anew, and do not know fillers that this program has registered: serve "
            f"from one process. Received: processes={count}, fillers={', '.join(own)}"
        )
    logs.configure(settings.log)
    with ExitStack() as stack:
        return _Supervisor(settings, count, stack).run()


class _Supervisor:
    def __init__(self, settings: Settings, count: int, stack: ExitStack) -> None:
        self._settings = settings
        self._places = [Place(number) for number in range(count)]
        self._restarts = 0
        self._signals = 0
        self._fault: Exception | None = None
        self._addresses = SharedAddresses(settings.listen)
        stack.callback(self._addresses.close)
        self._environment: dict[str, str] = {}
        self._metrics: SharedMetrics | None = None
        self._metrics_address: str | None = None
        if settings.metrics_listen is not None:
            from filler_server.service.metrics import listen

            self._metrics = SharedMetrics(self._pids, lambda: self._restarts)
            stack.callback(self._metrics.close)
            self._environment |= self._metrics.environment
            self._metrics_address, close = listen(settings.metrics_listen, self._metrics.registry)
            stack.callback(close)
        self._health = HealthAnswer(settings)
        stack.callback(self._health.close)
        self._has_served = self._has_all = False
        self._first_is_bound = False
        self._speaks_tls = False
        self._selector = selectors.DefaultSelector()
        stack.callback(self._selector.close)

    def run(self) -> int:
        with self._heard_signals() as woken:
            self._selector.register(woken, selectors.EVENT_READ)
            try:
                with self._addresses.starting():
                    self._start(self._places[0], is_late=False)
                    self._watch(lambda: self._first_is_bound or self._is_ending)
                self._watch(lambda: any(place.serves for place in self._places) or self._is_ending)
                if not self._is_ending:
                    self._tell_addresses()
                self._watch(lambda: self._is_ending)
            finally:
                self._stop(woken)
        if self._fault is not None:
            raise self._fault
        return 0

    @property
    def _is_ending(self) -> bool:
        return self._signals > 0 or self._fault is not None

    def _pids(self) -> list[int]:
        # A thread that tells metrics asks, too, while processes come and go.
        return [pid for pid in (place.pid for place in self._places) if pid]

    def _say_health(self) -> None:
        self._health.say(not self._is_ending and any(place.serves for place in self._places))

    def _tell_addresses(self) -> None:
        if self._metrics_address is not None:
            _log.info("metrics on http://%s/metrics", self._metrics_address)
        if self._health.address is not None:
            _log.info("health checks alone on %s", self._health.address)
        for address in self._addresses.addresses:
            _log.info("serving on %s", address, extra={"address": address, "tls": self._speaks_tls})

    @contextmanager
    def _heard_signals(self) -> Iterator[socket.socket]:
        """Count signals in the block; the socket can be read when one has come."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

            def count(number: int, frame: object) -> None:
                self._signals += 1

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, count)
            try:
                yield ours
            finally:
                # One that comes while the interpreter winds up would make a failure of a graceful end.
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                signal.set_wakeup_fd(-1)

    def _start(self, place: Place, *, is_late: bool) -> None:
        place.start({"settings": self._settings_of(place), "is_late": is_late}, self._environment)
        assert place.channel is not None  # noqa: S101 - it has been opened
        self._selector.register(place.channel, selectors.EVENT_READ, place)

    def _start_late(self, place: Place) -> None:
        try:
            self._start(place, is_late=True)
        except OSError as error:
            _log.error("process %d cannot be started: %s", place.number, error.strerror)
            place.due = time.monotonic() + _LONGEST_PAUSE

    def _settings_of(self, place: Place) -> dict[str, Any]:
        """Return the settings of a process: the addresses of all, and its part of the kernels' threads."""
        count = len(self._places)
        threads = cpus() if self._settings.threads is None else self._settings.threads
        own = {
            "listen": self._addresses.addresses,
            "threads": max(threads // count + (place.number < threads % count), 1),
            "processes": 1,
            "metrics_listen": None,
            "health_listen": None,
        }
        values = {
            entry.parameter: getattr(
                getattr(self._settings, entry.section) if entry.section else self._settings, entry.name
            )
            for entry in ALL
        }
        return {name: str(value) if isinstance(value, Path) else value for name, value in (values | own).items()}

    def _watch(self, is_over: Callable[[], bool]) -> None:
        """Do what is due, and hear what the processes tell, until something has come to pass."""
        while not is_over():
            due = [place.due for place in self._places if place.due is not None]
            timeout = max(min(due) - time.monotonic(), 0) if due else None
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    key.fileobj.recv(64)  # type: ignore[union-attr]
                else:
                    self._hear(key.data)
            for place in self._places:
                if place.due is not None and place.due <= time.monotonic() and not self._is_ending:
                    self._start_late(place)

    def _hear(self, place: Place) -> None:
        channel = place.channel
        for event in place.events():
            if event["event"] == BOUND:
                self._first_is_bound = True
            elif event["event"] == SERVES:
                place.serves, place.served, self._speaks_tls = True, time.monotonic(), event["tls"]
                self._has_served = True
                self._say_health()
                if all(other.serves for other in self._places):
                    _log.info("%d processes serve", len(self._places))
            elif event["event"] == COMPILED and not self._has_all:
                # What the first process has compiled the others only load.
                self._has_all = True
                for other in self._places[1:]:
                    other.due = time.monotonic()
            elif event["event"] == FAILED:
                place.fault = event["message"]
        if place.channel is None:
            assert channel is not None  # noqa: S101 - it was read from
            self._selector.unregister(channel)
            self._ended(place)

    def _ended(self, place: Place) -> None:
        pid, fault = place.pid, place.fault
        status = place.wait()
        if self._metrics is not None:
            self._metrics.forget(place.number)
        self._say_health()
        if self._is_ending:
            return
        told = fault or (f"signal {-status}" if status < 0 else f"status {status}")
        if not self._has_served:
            # As where there is one process, what is wrong is told at once.
            self._fault = InvalidArgument(fault) if fault else ServiceError(f"the first process ended with {told}")
            return
        is_soon = place.served is None or time.monotonic() - place.served < _SOON
        place.ends = place.ends + 1 if is_soon else 0
        if place.ends >= _ENDS:
            self._fault = ServiceError(
                f"process {place.number} ended at once {place.ends} times in a row, the last time with {told}"
            )
            return
        pause = min(_FIRST_PAUSE * 2**place.ends, _LONGEST_PAUSE)
        _log.warning(
            "process %d (pid %d) ended with %s; another takes its place in %g s", place.number, pid, told, pause
        )
        place.due = time.monotonic() + pause
        self._restarts += 1

    def _stop(self, woken: socket.socket) -> None:
        """Let the processes finish what they do, and wait for them."""
        self._say_health()
        if not self._pids():
            return
        if self._has_served:
            _log.info("stopping: running calls have %g s", self._settings.grace)
        else:
            _log.info("stopping before all kernels were compiled")
        deadline = time.monotonic() + self._settings.grace + _LAST_SECONDS
        passed_on = 0
        for place in self._places:
            place.due = None
        while self._pids():
            if passed_on < max(self._signals, 1):
                passed_on = max(self._signals, 1)
                for place in self._places:
                    if place.process is not None:
                        place.process.terminate()
            for key, _ in self._selector.select(_POLL_SECONDS):
                if key.data is None:
                    woken.recv(64)
                else:
                    self._hear(key.data)
            if time.monotonic() > deadline:
                for place in self._places:
                    if place.process is not None:
                        _log.error("process %d (pid %d) does not end, and is killed", place.number, place.process.pid)
                        place.process.kill()
                deadline += _LAST_SECONDS
        _log.info("stopped")
