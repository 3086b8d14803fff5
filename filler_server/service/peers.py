"""The client at the other end of a connection."""

import ipaddress
from functools import lru_cache
from urllib.parse import unquote

import grpc

from filler_server.service.calls import current_call

_NETWORK_BITS = 64
"""Of an IPv6 address: the bits after them are given to one host, or taken by it."""


Endpoint = tuple[str, int]
"""Address and port of one end of a connection."""


def client_address(context: grpc.ServicerContext) -> str:
    """Return the address of the client of a call, as `peer_address` has it."""
    call = current_call()
    # To ask gRPC takes longer than all else here.
    return peer_address(context.peer() if call is None else call.peer)


@lru_cache(maxsize=4096)
def peer_address(peer: str) -> str:
    """Return the address in what gRPC says of a peer: `ipv4:10.0.0.1:4242`, `ipv6:%5B::1%5D:4242` or `unix:`.

    Of IPv6 it is the network of 64 bits, of which a host may use every address. What is none of these is its own.
    """
    kind, _, rest = peer.partition(":")
    host = unquote(rest).rpartition(":")[0].strip("[]")
    try:
        if kind == "ipv4":
            return str(ipaddress.IPv4Address(host))
        if kind == "ipv6":
            address = ipaddress.IPv6Address(host)
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ipaddress.IPv6Network((address.packed, _NETWORK_BITS), strict=False))
    except ValueError:
        return peer
    return kind if kind == "unix" else peer


def peer_endpoint(peer: str) -> Endpoint | None:
    """Return address and port in what gRPC says of a peer, None where it has none."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    host, _, port = unquote(rest).rpartition(":")
    try:
        return endpoint(host.strip("[]"), int(port))
    except ValueError:
        return None


def endpoint(host: str, port: int) -> Endpoint:
    """Return address and port in the one form that they have for one host.

    Raises:
        ValueError: it is not an address.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), port
