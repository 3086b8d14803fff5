"""A server of HTTP for numbers that tools read now and then: one thread, a few connections, a few seconds for each."""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from caffe_filler.errors import InvalidArgument

CONNECTIONS = 32
"""Connections at once; for one more the oldest is closed."""

SECONDS = 5.0
"""Seconds of a connection in all, for its request and for taking the answer."""

_LONGEST_REQUEST = 8 << 10
_BLOCK = 64 << 10
_END = b"\r\n\r\n"
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to GET: the body, and headers that describe it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True, eq=False)
class _Connection:
    """A connection: first its request grows in `received`, then the answer shrinks in `left`."""

    socket: socket.socket
    ends: float
    received: bytearray = field(default_factory=bytearray)
    left: memoryview | None = None


class HttpServer:
    """Answers every GET by the same function, which gets the headers by their names in small letters.

    Raises:
        InvalidArgument: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, answer: Callable[[Mapping[str, str]], Answer]) -> None:
        self._answer = answer
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._listener = socket.create_server(address[:2], family=family)
        except OSError as error:
            raise InvalidArgument(f"cannot listen there: {error.strerror}. Received: {host}:{port}") from None
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        """The port, where 0 was given the one that is used."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._connections: list[_Connection] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close every connection."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            for key, _ in self._selector.select(_LOOK_SECONDS):
                if key.data is None:
                    self._accept()
                elif key.data in self._connections:
                    self._serve(key.data)
            now = time.monotonic()
            for connection in [one for one in self._connections if one.ends < now]:
                self._drop(connection)
        for connection in list(self._connections):
            self._drop(connection)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            # The client is gone already; or there is no descriptor left, and one that is closed makes room.
            if self._connections:
                self._drop(self._connections[0])
            return
        accepted.setblocking(False)
        if len(self._connections) >= CONNECTIONS:
            self._drop(self._connections[0])
        connection = _Connection(accepted, time.monotonic() + SECONDS)
        self._connections.append(connection)
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection) -> None:
        try:
            if connection.left is None:
                self._read(connection)
            else:
                self._write(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        data = connection.socket.recv(_BLOCK)
        connection.received += data
        if not data:
            self._drop(connection)
        elif _END in connection.received or len(connection.received) > _LONGEST_REQUEST:
            connection.left = memoryview(self._response(bytes(connection.received)))
            connection.received.clear()
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
            self._write(connection)

    def _write(self, connection: _Connection) -> None:
        assert connection.left is not None  # noqa: S101 - there is an answer before it is written
        connection.left = connection.left[connection.socket.send(connection.left) :]
        if not connection.left:
            connection.socket.shutdown(socket.SHUT_WR)
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _response(self, request: bytes) -> bytes:
        head, end, _ = request.partition(_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, version = first.partition(" ")[0], *first.rpartition(" ")[1:]
        if not end:
            return _encoded(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not version.startswith("HTTP/1."):
            return _encoded(HTTPStatus.BAD_REQUEST)
        if method not in ("GET", "HEAD"):
            return _encoded(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        named = (line.partition(":") for line in lines)
        answer = self._answer({name.strip().lower(): value.strip() for name, _, value in named})
        return _encoded(HTTPStatus.OK, answer.headers, answer.body, with_body=method == "GET")


def _encoded(
    status: HTTPStatus, headers: Mapping[str, str] | None = None, body: bytes = b"", *, with_body: bool = True
) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join(lines).encode("latin-1") + _END + (body if with_body else b"")
