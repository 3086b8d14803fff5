"""Connections of a client to the servers of its targets."""

import json
import os
from collections.abc import Sequence

from caffe_filler.addresses import check_address
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import either
from caffe_filler.metadata import REQUEST_ID, is_request_id
from filler_client._retry import RetryPolicy

SERVICE = "caffe_filler.v1.FillerService"

_READ_BYTES = 1 << 20
_AHEAD_BYTES = 16 << 20
"""Bytes of a stream that come in while nobody reads it."""


def channel_options(policy: RetryPolicy) -> list[tuple[str, int | str]]:
    """Return gRPC's options for a connection to one of the targets."""
    return [
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_send_message_length", -1),
        # Of many small parts a message is put together slowly.
        ("grpc.experimental.tcp_read_chunk_size", _READ_BYTES),
        ("grpc.experimental.tcp_min_read_chunk_size", _READ_BYTES),
        # By its own estimate gRPC may take in gigabytes of a stream that nobody reads: the more it takes, the more it
        # expects.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _AHEAD_BYTES),
        # gRPC's own pauses between connections are far longer than those of a client with other replicas to ask.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5000),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.dns_min_time_between_resolutions_ms", 5000),
        ("grpc.keepalive_time_ms", int(policy.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(policy.keepalive_timeout * 1000)),
        # Without it gRPC waits a minute for the answer to a ping while there are calls.
        ("grpc.http2.ping_timeout_ms", int(policy.keepalive_timeout * 1000)),
        # A stream that is being computed, or that nobody reads, is silent for longer than two pings.
        ("grpc.http2.max_pings_without_data", 0),
        # A name may stand for several servers.
        ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ]


def parse_targets(target: str | Sequence[str]) -> list[str]:
    """Return the addresses of a target: one, several, or several with commas between them.

    The addresses of `ipv4:a:1,b:2` and of `ipv6:...` are one target, over which gRPC itself spreads the calls.

    Raises:
        InvalidArgument: there is none, or one is not an address.
    """
    if isinstance(target, str):
        parts = [target] if target.startswith(("ipv4:", "ipv6:")) else target.split(",")
    else:
        parts = list(target)
    targets = [part.strip() for part in parts if part.strip()]
    if not targets:
        raise InvalidArgument(f"a client needs the address of a server. Received: target={target!r}")
    for one in targets:
        check_address(one, either(python="target", cli="--server"))
    return targets


class RequestId:
    """Names of a client's calls in the logs of the servers: the caller's, or a new one for each call.

    Raises:
        InvalidArgument: it is not 1 to 128 printable ASCII characters without spaces.
    """

    def __init__(self, given: str | None) -> None:
        if given is not None and not is_request_id(given):
            raise InvalidArgument(
                "a request id is 1 to 128 printable ASCII characters without spaces. "
                f"Received: request_id={given[:200]!r}"
            )
        self._given = given

    def of_call(self) -> tuple[str, str]:
        """Return the metadata of a call, the same for all its attempts."""
        return (REQUEST_ID, self._given or os.urandom(16).hex())
