"""Delivery of what was sent, so that the end of a server cuts nothing off.

gRPC closes a connection of a server that ends with its last call, when the kernel still has much of the answer to send.
What the client sends at that moment, if only that there is room for more, meets a closed socket, and the reset that
answers it takes the rest of the answer along.
"""

import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from filler_server.service.peers import Endpoint, endpoint, peer_endpoint

_DESCRIPTORS = "/dev/fd"

_LOOK_SECONDS = 0.01
_READ_SECONDS = 0.2
"""Seconds for a client to read what its kernel has received, and to say what it has to say of that."""


class Delivery:
    """Bytes that the clients of a server have not acknowledged.

    Args:
        ports: on which the server listens.
    """

    def __init__(self, ports: Collection[int]) -> None:
        self._ports = frozenset(ports)
        self._lock = threading.Lock()
        self._seen: dict[Endpoint, int] = {}
        self._looked = float("-inf")

    def wait_for(self, peer: str, is_wanted: Callable[[], bool]) -> None:
        """Wait until a client has what was sent to it, while that is wanted.

        Over a Unix socket, whose ends have no names, it is given the time to read alone.
        """
        client = peer_endpoint(peer)
        while client is not None and self._look().get(client) and is_wanted():
            time.sleep(_LOOK_SECONDS)
        time.sleep(_READ_SECONDS)

    def wait_for_all(self, seconds: float) -> None:
        """Wait until all clients have what was sent to them, for at most so many seconds."""
        end = time.monotonic() + seconds
        while any((unacknowledged := self._look()).values()) and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        if unacknowledged:
            time.sleep(max(0.0, min(_READ_SECONDS, end - time.monotonic())))

    def _look(self) -> dict[Endpoint, int]:
        """Return the unacknowledged bytes of each client, from the last look where that was just now."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_SECONDS:
                self._seen = _unacknowledged(self._ports)
                self._looked = time.monotonic()
            return self._seen


def _unacknowledged(ports: Collection[int]) -> dict[Endpoint, int]:
    """Return the bytes that the kernel has to send or to hear of, of each connection to one of the ports."""
    found = {}
    for entry in Path(_DESCRIPTORS).iterdir():
        try:
            connection = socket.socket(fileno=int(entry.name))
        except OSError:
            continue
        try:
            if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getsockname()[1] in ports:
                (waiting,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
                found[endpoint(*connection.getpeername()[:2])] = waiting
        except OSError:
            # It listens, or was closed meanwhile.
            continue
        finally:
            # It is gRPC's.
            connection.detach()
    return found
