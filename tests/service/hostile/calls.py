"""Hostile requests as calls."""

import grpc

from tests.service.hostile.requests import SERVICE, Hostile

CLEAN = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
"""Statuses that a hostile request may get."""


def call(address: str, request: Hostile, data: bytes, *, timeout: float = 120.0) -> tuple[str, int]:
    """Return the status of a call, and the bytes of its answer."""
    received = 0
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        try:
            if request.method in ("Fill", "FillNet"):
                for answer in channel.unary_stream(SERVICE + request.method)(data, timeout=timeout):
                    received += len(answer)
            else:
                received = len(channel.unary_unary(SERVICE + request.method)(data, timeout=timeout))
        except grpc.RpcError as error:
            return str(error.code().name), received
    return "OK", received
