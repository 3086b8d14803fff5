"""The port for health checks alone, in plaintext, for probes that can show neither a certificate nor a token."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2

from filler_server.service.guard import RequestGuard

_THREADS = 16


def probe_server(
    servicer: health.HealthServicer, guard: RequestGuard, options: Sequence[tuple[str, int]]
) -> grpc.Server:
    """Return a server that answers Check alone; its address is not bound yet."""
    check = grpc.unary_unary_rpc_method_handler(
        servicer.Check,
        health_pb2.HealthCheckRequest.FromString,
        health_pb2.HealthCheckResponse.SerializeToString,
    )
    return grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="probe"),
        handlers=[grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": check})],
        interceptors=[guard],
        options=options,
        maximum_concurrent_rpcs=8 * _THREADS,
    )
