"""Options of gRPC that bound what connections take."""

import resource

from filler_server.api.limits import Limits

_IDENTITY = 1
"""The one compression of messages that is understood: of the others a kilobyte can stand for a megabyte."""

_HANDSHAKE_TIMEOUT_MS = 10_000
_OTHER_DESCRIPTORS = 64
"""Descriptors that connections leave to everything else."""

_INT32_MAX = 2**31 - 1
"""The most that an option of gRPC can be."""

_SETTINGS_TIMEOUT_MS = 10_000
_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000
"""A client that vanished without a word holds its connection and its stream no longer than both of these."""


def channel_options(limits: Limits, *, longest: int, is_shared: bool = False) -> list[tuple[str, int]]:
    """Return the options of a server whose requests have at most `longest` bytes.

    `is_shared` lets it listen on an address where other processes of the same user do, too.
    """
    options = {
        "grpc.so_reuseport": int(is_shared),
        "grpc.max_receive_message_length": longest,
        "grpc.compression_enabled_algorithms_bitset": _IDENTITY,
        # More than that is not even kept; the guard refuses what is over the limit, and says so.
        "grpc.max_metadata_size": 2 * limits.metadata_bytes,
        "grpc.absolute_max_metadata_size": 2 * limits.metadata_bytes,
        "grpc.max_concurrent_streams": limits.connection_calls,
        # They hold when the client has acknowledged them.
        "grpc.http2.settings_timeout": _SETTINGS_TIMEOUT_MS,
        "grpc.server_handshake_timeout_ms": _HANDSHAKE_TIMEOUT_MS,
        "grpc.max_allowed_incoming_connections": min(limits.connections, _descriptors()),
        "grpc.keepalive_time_ms": _KEEPALIVE_MS,
        "grpc.keepalive_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
        "grpc.http2.ping_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": int(limits.ping_seconds * 1000),
    }
    return [(name, min(value, _INT32_MAX)) for name, value in options.items()]


def _descriptors() -> int:
    """Return the number of connections that the process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _INT32_MAX if soft == resource.RLIM_INFINITY else max(soft - _OTHER_DESCRIPTORS, soft // 2)
