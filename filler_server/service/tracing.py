"""Spans of calls by OpenTelemetry, where the extra `otel` is installed."""

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from filler_server.service.calls import Call, CallObserver

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Tracing(CallObserver):
    """Makes a span of each call, from its begin to the end of its stream, below the span that the client named.

    Health checks have none.

    Raises:
        ModuleNotFoundError: OpenTelemetry is not installed.
    """

    def __init__(self) -> None:
        from opentelemetry import propagate, trace

        self._extract = propagate.extract
        self._trace = trace
        self._tracer = trace.get_tracer("filler_server", version("caffe-filler"))
        self._spans: dict[int, Any] = {}

    def began(self, call: Call) -> None:
        """Start the span, where somebody takes spans."""
        if self._is_idle() or call.label.startswith("grpc.health."):
            return
        service, _, method = call.label.rpartition("/")
        carrier = {key: value for key, value in call.metadata if isinstance(value, str)}
        self._spans[id(call)] = self._tracer.start_span(
            call.label,
            context=self._extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "network.peer.address": call.peer,
                "filler.request_id": call.request_id,
            },
        )

    def ended(self, call: Call) -> None:
        """End the span."""
        span = self._spans.pop(id(call), None)
        if span is None:
            return
        from grpc import StatusCode

        span.set_attributes(
            {
                "rpc.grpc.status_code": StatusCode[call.status].value[0],
                "filler.bytes": call.bytes,
                "filler.fill_seconds": call.fill_seconds,
                "filler.send_seconds": call.send_seconds,
                **({} if call.blobs is None else {"filler.blobs": call.blobs}),
                **({"filler.limit": call.limit} if call.limit else {}),
            }
        )
        if call.status in ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"):
            # Those that the conventions of OpenTelemetry call errors of a server.
            span.set_status(self._trace.StatusCode.ERROR, call.error or call.status)
        span.end()

    def _is_idle(self) -> bool:
        """Whether nothing is set up that would take spans."""
        return isinstance(self._trace.get_tracer_provider(), self._trace.ProxyTracerProvider)


def start() -> tuple[Tracing | None, Callable[[], None]]:
    """Return what makes spans, None without the extra, and what sends the last of them off.

    Spans go where the environment variables of OpenTelemetry say, OTEL_EXPORTER_OTLP_ENDPOINT above all; a program
    that has set up OpenTelemetry itself keeps its own ways.
    """
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None, _nothing
    close: Callable[[], None] = _nothing
    if any(os.environ.get(name) for name in _ENDPOINTS) and isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider
    ):
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError:
            return Tracing(), close
        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "caffe-filler"}))
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        close = provider.shutdown
    return Tracing(), close


def _nothing() -> None:
    """Nothing is left to send."""
