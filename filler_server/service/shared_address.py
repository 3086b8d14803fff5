"""Addresses that the processes of one server share, and nobody else.

Linux divides the connections to an address among all sockets that listen there with SO_REUSEPORT and are of the same
user, whichever server has them. So an address is first bound without that option, which fails where anybody listens;
servers that start at the same time wait for each other.
"""

import errno
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from caffe_filler.addresses import check_address, host_and_port, is_socket
from caffe_filler.errors import InvalidArgument

_TRIES = 16
"""Times that another free port is taken where a name has several addresses and one of these has that port in use."""

_WAIT_SECONDS = 120.0
"""Time that another server may take from binding its addresses to listening there."""

_LOOK_SECONDS = 0.05
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class SharedAddresses:
    """Addresses that this process keeps for others to listen on; it does not listen itself.

    Args:
        addresses: as gRPC takes them, `host:port` each; of port 0 a free one is chosen.

    Attributes:
        addresses: the same, with the ports that were chosen.

    Raises:
        InvalidArgument: an address cannot be bound, or be shared.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        if sys.platform != "linux":
            raise InvalidArgument(
                f"Linux alone divides connections among processes. Received: a server of several on {sys.platform}"
            )
        self._kept: list[tuple[str, socket.socket]] = []
        try:
            self.addresses = [self._reserve(address) for address in addresses]
        except InvalidArgument:
            self.close()
            raise

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Keep other servers from sharing the addresses while the first process does not listen there yet.

        Raises:
            InvalidArgument: somebody listens there, or keeps them for longer than a start takes.
        """
        with ExitStack() as locks:
            for port in sorted({bound.getsockname()[1] for _, bound in self._kept}):
                locks.enter_context(_lock(port))
            for address, bound in self._kept:
                try:
                    _bound(bound.family, bound.getsockname()).close()
                except OSError as error:
                    raise _refusal(address, error) from None
            yield

    def close(self) -> None:
        """Give the addresses up."""
        for _, bound in self._kept:
            bound.close()

    def _reserve(self, address: str) -> str:
        if is_socket(address):
            raise InvalidArgument(
                "several processes cannot listen on one Unix socket: give host:port, such as localhost:50051, or "
                f"--processes 1. Received: listen={address}"
            )
        check_address(address, "listen")
        host, port = host_and_port(address)
        if not host:
            raise InvalidArgument(
                f"several processes share an address that is one host:port. Received: listen={address}"
            )
        try:
            reserved: list[socket.socket] = []
            for _ in range(_TRIES):
                reserved = reserved or _reserved(host, port)
        except OSError as error:
            raise _refusal(address, error) from None
        if not reserved:
            raise InvalidArgument(f"no port is free on all addresses of this name. Received: listen={address}")
        self._kept += [(address, bound) for bound in reserved]
        return f"{address.rpartition(':')[0]}:{reserved[0].getsockname()[1]}"


def _refusal(address: str, error: OSError) -> InvalidArgument:
    fault = "another server listens there"
    if error.errno != errno.EADDRINUSE:
        fault = f"cannot listen there: {error.strerror}"
    return InvalidArgument(f"{fault}. Received: listen={address}")


def _reserved(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of a host, bound to the same port; none where a free port is not free on all.

    Raises:
        OSError: the name has no address, or none can be bound.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    reserved: list[socket.socket] = []
    fault: OSError | None = None
    chosen = port
    for family, _, _, _, address in found:
        try:
            reserved.append(_bound(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                for bound in reserved:
                    bound.close()
                if error.errno == errno.EADDRINUSE and port == 0:
                    return []
                raise
            # Of a name with several addresses gRPC, too, takes those that there are.
            fault = error
        else:
            chosen = reserved[0].getsockname()[1]
    if not reserved and fault is not None:
        raise fault
    return reserved


def _bound(family: int, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier server, which linger, are in nobody's way.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _lock(port: int) -> socket.socket:
    """Wait for the right to start a server on a port; it ends with the socket, or with the process.

    Raises:
        InvalidArgument: another server keeps it for longer than a start takes.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        with suppress(OSError):
            lock.bind(f"\0caffe-filler/{port}")
            return lock
        if time.monotonic() > deadline:
            lock.close()
            raise InvalidArgument(f"another server is starting there, and does not get ready. Received: port {port}")
        time.sleep(_LOOK_SECONDS)
