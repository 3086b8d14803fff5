"""The server as a process: signals, memory, and a graceful end."""

import logging
import os
import signal
import threading
import time
from queue import SimpleQueue
from types import FrameType

from caffe_filler.memory import keep_freed_memory
from filler_server import compiled
from filler_server.service import logs
from filler_server.service.server import CALL_THREADS, FillerServer
from filler_server.service.settings import Settings

_KEPT_BYTES = 256 << 20
"""Freed memory that the process keeps for its next messages."""

_LAST_SECONDS = 1.0
"""What the threads of calls get to notice that their calls have ended."""

_log = logging.getLogger(__name__)


class _Stopped(BaseException):
    """The process was told to stop before it served; no `except Exception` on the way may keep it."""


def serve(settings: Settings) -> int:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status.

    Raises:
        FillerError: the settings cannot be used.
    """
    logs.configure(settings.log)
    keep_freed_memory(_KEPT_BYTES)
    server = FillerServer(settings)
    # Unlike an Event, whose lock the interrupted thread may hold, this queue may be put to by a handler of signals.
    received: SimpleQueue[int] = SimpleQueue()
    is_started = False

    def on_signal(number: int, _: FrameType | None) -> None:
        received.put(number)
        if not is_started:
            raise _Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        _start(server, received)
        is_started = True
        _tell_addresses(server)
        received.get()
        _log.info("stopping: running calls have %g s", settings.grace)
        done = threading.Thread(target=server.stop)
    except _Stopped:
        # Nothing runs that could be finished.
        is_started = True
        received.get()
        _log.info("stopping before all kernels were compiled")
        done = threading.Thread(target=server.stop, args=(0,))
    done.start()
    while done.is_alive():
        done.join(0.05)
        if not received.empty():
            server.stop(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A signal that comes while the interpreter winds up would make a failure of a graceful end.
        signal.signal(number, signal.SIG_IGN)
    _log.info("stopped")
    if not _threads_end():
        # A call is in a computation that cannot be interrupted, and the interpreter would wait for it.
        logging.shutdown()
        os._exit(0)
    return 0


def _start(server: FillerServer, received: SimpleQueue[int]) -> None:
    _log.info("compiling kernels for %d threads (%s)", compiled.threads(), compiled.threading_layer())
    began = time.monotonic()

    def on_compiled(name: str) -> None:
        nonlocal began
        if not received.empty():
            raise _Stopped
        seconds, began = time.monotonic() - began, time.monotonic()
        if seconds > 1:
            _log.info("compiled %s (%.1f s)", name, seconds)

    server.start(on_compiled)


def _tell_addresses(server: FillerServer) -> None:
    if server.metrics_address is not None:
        _log.info("metrics on http://%s/metrics", server.metrics_address)
    if server.health_address is not None:
        _log.info("health checks alone on %s", server.health_address)
    for address in server.addresses:
        is_tls = server.speaks_tls and not address.startswith("unix")
        _log.info("serving on %s", address, extra={"address": address, "tls": is_tls})


def _threads_end() -> bool:
    """Whether the threads that answered calls end soon, now that all calls have ended."""
    deadline = time.monotonic() + _LAST_SECONDS
    for thread in threading.enumerate():
        if thread.name.startswith(CALL_THREADS):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return False
    return True
