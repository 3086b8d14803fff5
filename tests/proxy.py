"""A connection between a client and a server that does harm."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

Damage = Callable[[bytes, int], bytes | None]
"""Gets bytes on their way to the client and how many went before; gives those to pass on, or None to cut."""

_READ = 1 << 16


def flip(data: bytes, at: int) -> bytes:
    """The bytes with one bit changed."""
    flipped = bytearray(data)
    flipped[at] ^= 1
    return bytes(flipped)


def delay(seconds: float) -> Damage:
    """Let every read wait."""

    def damage(data: bytes, _: int) -> bytes:
        time.sleep(seconds)
        return data

    return damage


def throttle(bytes_per_second: float) -> Damage:
    """Let no more through than that."""

    def damage(data: bytes, _: int) -> bytes:
        time.sleep(len(data) / bytes_per_second)
        return data

    return damage


class Proxy:
    """Listens on a port of its own and passes on what comes, to and from a server.

    Attributes:
        address: where to connect to.
        connections: how many there were.
        turned_away: how many more connections are closed as soon as they come, as if the server were away.
    """

    def __init__(self, address: str, damage: Damage) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._damage = damage
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.turned_away = 0
        self._closed = False
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut every connection, and take no more."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in [*self._ends, self._listener]:
            end.close()

    def cut(self) -> None:
        """Cut every connection that there is."""
        for end in list(self._ends):
            _shut(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.turned_away:
                self.turned_away -= 1
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            self._ends += [client, server]
            for source, target, damage in ((client, server, None), (server, client, self._damage)):
                self._threads.append(threading.Thread(target=self._pass, args=(source, target, damage)))
                self._threads[-1].start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, damage: Damage | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(_READ):
                kept = data if damage is None else damage(data, passed)
                if kept is None:
                    break
                target.sendall(kept)
                passed += len(data)
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
