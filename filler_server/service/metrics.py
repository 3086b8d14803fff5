"""Metrics for Prometheus, on a port of their own."""

import gzip
import platform
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from caffe_filler.errors import InvalidArgument
from filler_server.service.calls import Call, CallObserver
from filler_server.service.http import Answer, HttpServer

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""From a small blob to a large net."""


class Metrics(CallObserver):
    """Counters and gauges of the work of the server."""

    def __init__(self, *, threads: int) -> None:
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._requests = Counter(
            "filler_requests", "Calls that have ended, by method and status.", ["method", "status"], registry=registry
        )
        self._sent = Counter("filler_sent_bytes", "Bytes of messages sent, by method.", ["method"], registry=registry)
        self._running = Gauge(
            "filler_calls_in_flight",
            "Calls that are running.",
            ["method"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._refusals = Counter("filler_refusals", "Calls refused, by the limit.", ["limit"], registry=registry)
        self._seconds, self._fill, self._send = (
            Histogram(f"filler_{name}_seconds", text, ["method"], buckets=_SECONDS, registry=registry)
            for name, text in (
                ("request", "From the begin of a call to its end."),
                ("fill", "Computing what a call sends."),
                ("send", "Waiting until what a call sends was sent."),
            )
        )
        self.serving = Gauge(
            "filler_serving",
            "1 while calls are answered, 0 before and after.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.kernels_pending = Gauge(
            "filler_kernels_pending",
            "Groups of kernels that are still being compiled or loaded; calls that need them wait.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        Gauge("filler_kernel_threads", "Threads of the kernels.", registry=registry, multiprocess_mode="livesum").set(
            threads
        )
        add_build(registry)

        # To look up the numbers of a method by its labels takes longer than to count.
        self._of = cache(lambda metric, *labels: metric.labels(*labels))

    def began(self, call: Call) -> None:
        """Count a call that is running."""
        self._of(self._running, call.label).inc()

    def sent(self, call: Call, nbytes: int) -> None:
        """Count bytes."""
        self._of(self._sent, call.label).inc(nbytes)

    def ended(self, call: Call) -> None:
        """Count a call that has ended, and its times."""
        self._of(self._running, call.label).dec()
        self._of(self._requests, call.label, call.status).inc()
        self._of(self._seconds, call.label).observe(call.seconds)
        self._of(self._fill, call.label).observe(call.fill_seconds)
        if call.blobs is not None:
            self._of(self._send, call.label).observe(call.send_seconds)
        if call.limit:
            self._of(self._refusals, call.limit).inc()


def add_build(registry: CollectorRegistry) -> None:
    """Add the versions of what a server was built of."""
    Info("filler_build", "What the server was built of.", registry=registry).info(
        {
            "version": version("caffe-filler"),
            "python": platform.python_version(),
            **{name: version(name) for name in ("grpcio", "numba", "numpy", "protobuf")},
        }
    )


def listen(address: str, registry: CollectorRegistry) -> tuple[str, Callable[[], None]]:
    """Answer GET /metrics on `host:port`; return the address with the port that was given for 0, and its end.

    Raises:
        InvalidArgument: it is not such an address, or cannot be bound.
    """
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not (bare and port.isdecimal() and int(port) < 2**16):
        raise InvalidArgument(f"metrics need an address of the form host:port. Received: metrics_listen={address}")
    server = HttpServer(bare, int(port), partial(_told, registry))
    return f"{host}:{server.port}", server.close


def _told(registry: CollectorRegistry, headers: Mapping[str, str]) -> Answer:
    encode, content_type = choose_encoder(headers.get("accept", ""))
    body, described = encode(registry), {"Content-Type": content_type}
    if "gzip" in headers.get("accept-encoding", ""):
        body, described = gzip.compress(body, 1), {**described, "Content-Encoding": "gzip"}
    return Answer(body, described)
