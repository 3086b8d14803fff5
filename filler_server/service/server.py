"""The server process: ports, health, reflection, and a graceful end."""

import ctypes
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import FrameType

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from caffe_filler.errors import InvalidArgument
from filler_server import compiled
from filler_server.service.guard import RequestGuard
from filler_server.service.limits import Limits
from filler_server.service.servicer import SERVICE, FillerServicer
from filler_server.service.warmup import warm_up
from filler_server.service.watch import CallWatch

_SHORT_CALLS = 16
"""Threads beyond those that streams may hold, so that plans and health checks are always answered."""

_REQUEST_ROOM = 1 << 20
"""Bytes of a request beyond the net that it carries."""

_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000
"""A client that vanished without a word holds its connection and its stream no longer than both of these."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs.

    Attributes:
        listen: addresses, `host:port` (port 0: any free one) or `unix:path`.
        threads: threads of the kernels; None: one for each CPU that the process may use.
        grace: seconds that running calls get when the server stops.
        limits: what requests may ask for.
    """

    listen: Sequence[str] = ("localhost:50051",)
    threads: int | None = None
    grace: float = 30.0
    limits: Limits = field(default_factory=Limits)


class FillerServer:
    """A filler server in this process.

    Example:
        >>> server = FillerServer(Settings(listen=["localhost:0"]))
        >>> server.start()
        >>> server.addresses
        ['localhost:43127']
        >>> server.stop()
    """

    def __init__(self, settings: Settings) -> None:
        """Bind the addresses; calls are answered from `start` on.

        Raises:
            InvalidArgument: an address cannot be bound, or a setting is out of range.
        """
        if not settings.listen:
            raise InvalidArgument("a server needs an address to listen on. Received: listen=[]")
        compiled.set_threads(settings.threads)
        limits = settings.limits
        self._settings = settings
        self._servicer = FillerServicer(limits)
        self._watch = CallWatch(limits)
        self._pool = ThreadPoolExecutor(limits.streams + limits.idle_streams + _SHORT_CALLS, thread_name_prefix="call")
        self._server = grpc.server(
            self._pool,
            interceptors=[RequestGuard(limits, self._watch, SERVICE)],
            options=_channel_options(limits),
            maximum_concurrent_rpcs=limits.calls,
        )
        # The other kind of Watch sends under the lock of all health checks, to clients that may not read.
        self._health = health.HealthServicer(experimental_non_blocking=False)
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((self._servicer.handlers(),))
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.addresses = [self._bind(address) for address in settings.listen]
        """The addresses with the ports that were given for 0."""

    def start(self, on_compiled: Callable[[str], None] = lambda kind: None) -> None:
        """Accept connections, compile the kernels, then report SERVING and answer calls."""
        self._watch.start()
        self._server.start()
        for kind in warm_up():
            on_compiled(kind)
        self._servicer.ready.set()
        self._set_health(health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float | None = None) -> None:
        """Report NOT_SERVING, let running calls finish for `grace` seconds (None: as set), then end them."""
        self._health.enter_graceful_shutdown()
        self._server.stop(self._settings.grace if grace is None else grace).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._watch.close()

    def _bind(self, address: str) -> str:
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise InvalidArgument(f"cannot listen there: {error}. Received: listen={address}") from None
        return f"{address.rpartition(':')[0]}:{port}" if not address.startswith("unix:") else address

    def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", SERVICE):
            self._health.set(service, status)


def _channel_options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.net_bytes + _REQUEST_ROOM),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(limits.ping_seconds * 1000)),
    ]


def serve(settings: Settings, *, announce: Callable[[str], None] = print) -> int:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status."""
    keep_freed_memory()
    server = FillerServer(settings)
    stopping = threading.Event()
    at_once = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        (at_once if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    announce(f"compiling kernels for {compiled.threads()} threads ({compiled.threading_layer()})")
    began = time.monotonic()

    def on_compiled(name: str) -> None:
        nonlocal began
        seconds, began = time.monotonic() - began, time.monotonic()
        if seconds > 1:
            announce(f"compiled {name} ({seconds:.1f} s)")

    server.start(on_compiled)
    for address in server.addresses:
        announce(f"serving on {address}")
    stopping.wait()
    announce(f"stopping: running calls have {settings.grace:g} s")
    done = threading.Thread(target=server.stop)
    done.start()
    while done.is_alive():
        done.join(0.05)
        if at_once.is_set():
            server.stop(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A signal that comes while the interpreter winds up would make a failure of a graceful end.
        signal.signal(number, signal.SIG_IGN)
    announce("stopped")
    return 0


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory of freed messages instead of returning it to the kernel.

    Every message is a fresh buffer of a megabyte; page faults for these took half of the time of a stream. Elsewhere
    than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_threshold = -1, -3
        mallopt(m_trim_threshold, 256 << 20)
        mallopt(m_mmap_threshold, 32 << 20)
