"""The server as a process: signals, memory, and a graceful end."""

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from caffe_filler.addresses import is_socket
from caffe_filler.memory import few_arenas, keep_freed_memory
from filler_server import compiled
from filler_server.service import logs
from filler_server.service.call_threads import CALL_THREADS
from filler_server.service.freed_memory import FreedMemory
from filler_server.service.server import FillerServer
from filler_server.service.settings import Settings

_KEPT_BYTES = 256 << 20
"""Freed memory that the process keeps for its next messages."""

_ARENAS = 2
"""Of the allocator: what one thread has freed there is another's to take, and in pieces less of it stays."""

_SWITCH_SECONDS = 0.001
"""Seconds that a thread has the interpreter while others wait: a small call waits for several such turns."""

_STACK_BYTES = 2 << 20
"""Address space for the stack of a thread that answers calls, of which it needs some kilobytes."""

_DESCRIPTORS = 1 << 16
"""Descriptors that the process asks for, as far as it may have them: far more than its connections take."""

_LAST_SECONDS = 1.0
"""Seconds that the threads of calls have to notice that their calls have ended."""

_POLL_SECONDS = 0.1

_Event = int | Exception | None
"""A signal, what the start failed with, or that the server serves."""

_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    *,
    is_shared: bool = False,
    on_bound: Callable[[FillerServer], None] = lambda server: None,
    on_serving: Callable[[FillerServer], None] = lambda server: None,
) -> int:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status.

    Args:
        settings: of the server.
        is_shared: whether other processes listen on its addresses, too.
        on_bound: is called when it has its addresses.
        on_serving: is called when it answers calls.

    Raises:
        FillerError: the settings cannot be used.
    """
    logs.configure(settings.log)
    keep_freed_memory(_KEPT_BYTES)
    few_arenas(_ARENAS)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _allow_descriptors()
    server = FillerServer(settings, is_shared=is_shared)
    on_bound(server)
    memory = FreedMemory()
    # A handler of signals may put to this queue, unlike to an Event, whose lock the interrupted thread may hold.
    events: SimpleQueue[_Event] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: events.put(number))
    # Compilation cannot be interrupted, and the main thread is the one that hears signals.
    starter = threading.Thread(target=_start, args=(server, events), daemon=True)
    starter.start()
    # The threads that answer calls are started when they are needed.
    threading.stack_size(_STACK_BYTES)
    event = _next(events)
    if isinstance(event, Exception):
        raise event
    if event is None:
        # What was imported and compiled stays to the end: looking through it for garbage takes a tenth of a second.
        gc.collect()
        gc.freeze()
        on_serving(server)
        _next(events)
        _log.info("stopping: running calls have %g s", settings.grace)
        done = threading.Thread(target=server.stop)
    else:
        # Nothing runs that could be finished.
        _log.info("stopping before all kernels were compiled")
        done = threading.Thread(target=server.stop, args=(0,))
    done.start()
    while done.is_alive():
        done.join(0.05)
        if not events.empty():
            server.stop(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A signal that comes while the interpreter winds up would make a failure of a graceful end.
        signal.signal(number, signal.SIG_IGN)
    memory.close()
    is_computing = starter.is_alive() or server.is_compiling or not _threads_end()
    _log.info("stopped")
    if is_computing:
        # A computation cannot be interrupted, and the interpreter would wait for it.
        logging.shutdown()
        os._exit(0)
    return 0


def _next(events: "SimpleQueue[_Event]") -> _Event:
    """Wait for the next event.

    A handler runs when the main thread runs: not if the signal came just before a wait without an end, or to another
    thread.
    """
    while True:
        with contextlib.suppress(Empty):
            return events.get(timeout=_POLL_SECONDS)


def _allow_descriptors() -> None:
    """Let the process open as many files and sockets as it may at all."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > _DESCRIPTORS:
        hard = max(soft, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _start(server: FillerServer, events: "SimpleQueue[_Event]") -> None:
    """Start the server; put None when it serves, or what it fails with."""
    _log.info("compiling kernels for %d threads (%s)", compiled.threads(), compiled.threading_layer())
    try:
        server.start()
    except Exception as error:
        events.put(error)
    else:
        events.put(None)


def tell_addresses(server: FillerServer) -> None:
    """Log where a server answers."""
    if server.metrics_address is not None:
        _log.info("metrics on http://%s/metrics", server.metrics_address)
    if server.health_address is not None:
        _log.info("health checks alone on %s", server.health_address)
    for address in server.addresses:
        is_tls = server.speaks_tls and not is_socket(address)
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
