"""A server: its addresses, its services, what stands around them, its start and its end."""

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from caffe_filler.addresses import check_address, host_and_port, is_local, is_socket
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_server import compiled
from filler_server.api.turns import Turns
from filler_server.service import logs, tracing
from filler_server.service.binding import bind
from filler_server.service.call_threads import CallThreads
from filler_server.service.calls import CallObserver
from filler_server.service.channel_options import channel_options
from filler_server.service.compilation import WAITING, Compilation
from filler_server.service.delivery import Delivery
from filler_server.service.guard import RequestGuard
from filler_server.service.metrics import Metrics, listen
from filler_server.service.observation import Observation
from filler_server.service.probes import probe_server
from filler_server.service.servicer import FILL, SERVICE, FillerServicer
from filler_server.service.settings import Settings
from filler_server.service.tls import server_credentials
from filler_server.service.tokens import TokenFile, TokenInterceptor
from filler_server.service.unix_socket import UnixSocket
from filler_server.service.watch import CallWatch

_SHORT_CALLS = 16
"""Threads beyond those that streams, turns and late requests may hold, so that health checks are always answered."""

_REQUEST_ROOM = 1 << 20
"""Bytes of a request beyond the net that it carries."""


class FillerServer:
    """A filler server in this process.

    Example:
        >>> server = FillerServer(Settings(listen=["localhost:0"]))
        >>> server.start()
        >>> server.addresses
        ['localhost:43127']
        >>> server.stop()
    """

    def __init__(self, settings: Settings, *, is_shared: bool = False) -> None:
        """Bind the addresses; calls are answered from `start` on.

        Args:
            settings: of the server.
            is_shared: whether other processes of the same user may listen on the addresses, too.

        Raises:
            InvalidArgument: an address cannot be bound, would carry plaintext to where others can read it, a file of
                the settings cannot be used, or a setting is out of range.
        """
        _check_addresses(settings)
        compiled.set_threads(settings.threads)
        limits = settings.limits
        self._settings = settings
        turns = Turns(limits)
        self._metrics = Metrics(threads=compiled.threads())
        self._compilation = Compilation(lambda _: self._metrics.kernels_pending.set(self._compilation.pending))
        self._servicer = FillerServicer(limits, turns, self._compilation)
        self._pool = CallThreads(
            limits.streams + limits.idle_streams + limits.plans + limits.slow_requests + WAITING + _SHORT_CALLS,
            lambda request: not logs.is_behind() and self._servicer.is_brief(request),
        )
        self._watch = CallWatch(limits, self._pool.look)
        spans, self._flush_spans = tracing.start()
        observers: list[CallObserver] = [self._metrics, logs.CallLog(), *([spans] if spans is not None else [])]
        services = [filler_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
        if settings.channelz:
            services.append(_channelz().DESCRIPTOR)
        self._observation = Observation(
            observers, _methods(services), SERVICE, has_names=settings.tls.client_ca is not None
        )
        guard = RequestGuard(limits, self._watch, turns, SERVICE, received_first=[FILL])
        self._server = grpc.server(
            self._pool,
            interceptors=[
                self._observation,
                *([TokenInterceptor(TokenFile(settings.token_file))] if settings.token_file is not None else []),
                guard,
            ],
            options=channel_options(limits, longest=limits.net_bytes + _REQUEST_ROOM, is_shared=is_shared),
            maximum_concurrent_rpcs=limits.calls,
        )
        # The other kind of Watch sends under the lock of all health checks, to clients that may not read.
        self._health = health.HealthServicer(experimental_non_blocking=False)
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((self._servicer.handlers(),))
        names = (service.full_name for file in services for service in file.services_by_name.values())
        reflection.enable_server_reflection(names, self._server)
        if settings.channelz:
            from grpc_channelz.v1.channelz import add_channelz_servicer

            add_channelz_servicer(self._server)
        self._sockets: list[UnixSocket] = []
        self._closing = threading.Lock()
        self._closed = False
        self._credentials = server_credentials(settings.tls) if settings.tls.certificate is not None else None
        self.addresses = [self._bind(self._server, address, self._credentials) for address in settings.listen]
        """The addresses with the ports that were given for 0."""
        self._probes: grpc.Server | None = None
        self.health_address = self._listen_for_probes(guard)
        """The address for health checks alone, None when there is none."""
        self._close_metrics: Callable[[], None] = lambda: None
        self.metrics_address: str | None = None
        if settings.metrics_listen is not None:
            self.metrics_address, self._close_metrics = listen(settings.metrics_listen, self._metrics.registry)
        """The address of the metrics, None when there is none."""

    @property
    def speaks_tls(self) -> bool:
        """Whether its addresses, Unix sockets aside, speak TLS."""
        return self._credentials is not None

    @property
    def is_compiling(self) -> bool:
        """Whether kernels of rare fillers are still being compiled or loaded."""
        return self._compilation.is_running

    def start(self) -> None:
        """Accept connections, compile the kernels of common fillers, then report SERVING and answer calls.

        The other kernels are compiled meanwhile and after that; the calls that need them wait for them.

        Raises:
            Unavailable: it was stopped before that.
        """
        self._watch.start()
        self._server.start()
        if self._probes is not None:
            self._probes.start()
        self._compilation.start()
        self._servicer.ready.set()
        self._set_health(health_pb2.HealthCheckResponse.SERVING)
        self._metrics.serving.set(1)

    def stop(self, grace: float | None = None) -> None:
        """Report NOT_SERVING, let running calls finish for `grace` seconds (None: as set), then end them.

        New calls are refused from the beginning. Streams of health and reflection, which have no end of their own, are
        not waited for.
        """
        grace = self._settings.grace if grace is None else grace
        self._metrics.serving.set(0)
        self._health.enter_graceful_shutdown()
        end = time.monotonic() + grace
        self._pool.close()
        delivery = Delivery([host_and_port(address)[1] for address in self.addresses if not is_socket(address)])
        self._observation.deliver_before_end(delivery)
        stopped = self._server.stop(grace)
        if grace > 0:
            self._observation.wait_idle(grace)
            delivery.wait_for_all(end - time.monotonic())
            self._server.stop(0)
        stopped.wait()
        with self._closing:
            if not self._closed:
                self._closed = True
                self._close()

    def _close(self) -> None:
        """Free what belongs to the server, now that nothing is called any more."""
        self._compilation.close()
        if self._probes is not None:
            self._probes.stop(0).wait()
        for entry in self._sockets:
            entry.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._watch.close()
        self._close_metrics()
        self._flush_spans()

    def _listen_for_probes(self, guard: RequestGuard) -> str | None:
        """Bind the port for probes that can show neither a certificate nor a token: it answers Check alone."""
        address = self._settings.health_listen
        if address is None:
            return None
        limits = self._settings.limits
        self._probes = probe_server(self._health, guard, channel_options(limits, longest=limits.probe_bytes))
        return self._bind(self._probes, address, None)

    def _bind(self, server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
        if address.startswith("unix:"):
            try:
                self._sockets.append(UnixSocket(address, server.add_insecure_port))
            except RuntimeError as error:
                raise InvalidArgument(f"cannot listen there: {error}. Received: listen={address}") from None
            return address
        return bind(server, address, credentials)

    def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", SERVICE):
            self._health.set(service, status)


def _check_addresses(settings: Settings) -> None:
    """Make sure that addresses are such, and that nobody else can read what passes, unless the operator says so."""
    for address in settings.listen:
        check_address(address, "listen")
    for name in ("health_listen", "metrics_listen"):
        if (address := getattr(settings, name)) is not None:
            check_address(address, name)
    if settings.insecure or settings.tls.certificate is not None:
        return
    for address in settings.listen:
        if not is_local(address):
            raise InvalidArgument(
                "others can reach this address, and plaintext there: give --tls-certificate and --tls-key, or say "
                f"--insecure. Received: listen={address}"
            )


def _channelz() -> Any:
    from grpc_channelz.v1 import channelz_pb2

    return channelz_pb2


def _methods(services: list[FileDescriptor]) -> list[str]:
    return [
        f"/{service.full_name}/{method.name}"
        for file in services
        for service in file.services_by_name.values()
        for method in service.methods
    ]
