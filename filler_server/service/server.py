"""A server: its addresses, its services, health and reflection, its start and its end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from caffe_filler.errors import InvalidArgument
from filler_server import compiled
from filler_server.service.guard import RequestGuard
from filler_server.service.limits import Limits
from filler_server.service.servicer import SERVICE, FillerServicer
from filler_server.service.settings import Settings
from filler_server.service.warmup import warm_up
from filler_server.service.watch import CallWatch

_SHORT_CALLS = 16
"""Threads beyond those that streams may hold, so that plans and health checks are always answered."""

_REQUEST_ROOM = 1 << 20
"""Bytes of a request beyond the net that it carries."""

_INT32_MAX = 2**31 - 1
"""The most that an option of gRPC can be."""

_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000
"""A client that vanished without a word holds its connection and its stream no longer than both of these."""


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
    options = {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": limits.net_bytes + _REQUEST_ROOM,
        "grpc.max_metadata_size": limits.metadata_bytes,
        "grpc.absolute_max_metadata_size": limits.metadata_bytes,
        "grpc.max_allowed_incoming_connections": limits.connections,
        "grpc.keepalive_time_ms": _KEEPALIVE_MS,
        "grpc.keepalive_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": int(limits.ping_seconds * 1000),
    }
    return [(name, min(value, _INT32_MAX)) for name, value in options.items()]
