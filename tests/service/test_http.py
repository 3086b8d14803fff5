"""The server of HTTP: right answers, and neither slow nor many clients keep it from others."""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.service import http as served
from filler_server.service.http import CONNECTIONS, Answer, HttpServer

LARGE = bytes(range(256)) * (1 << 14)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    def answer(headers: Mapping[str, str]) -> Answer:
        body = LARGE if headers.get("x-size") == "large" else b"numbers"
        return Answer(body, {"Content-Type": "text/plain"})

    server = HttpServer("127.0.0.1", 0, answer)
    yield server
    server.close()


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def get(server: HttpServer, method: str = "GET", **headers: str) -> tuple[int, bytes, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, "/metrics", headers=headers)
    response = connection.getresponse()
    return response.status, response.read(), response


def said(server: HttpServer, request: bytes) -> bytes:
    """The first line of the answer to anything."""
    with connect(server) as client:
        client.sendall(request)
        return client.makefile("rb").readline().strip()


def test_get(server: HttpServer) -> None:
    status, body, response = get(server)
    assert (status, body) == (200, b"numbers")
    assert response.getheader("Content-Type") == "text/plain"
    assert response.getheader("Connection") == "close"


def test_an_answer_that_takes_many_writes(server: HttpServer) -> None:
    assert get(server, **{"X-Size": "large"})[1] == LARGE


def test_head(server: HttpServer) -> None:
    status, body, response = get(server, "HEAD")
    assert (status, body, response.getheader("Content-Length")) == (200, b"", "7")


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\xff: \xfe\r\n\r\n", b"HTTP/1.1 200 OK"),
    ],
)
def test_other_requests(server: HttpServer, request_: bytes, line: bytes) -> None:
    assert said(server, request_) == line


def test_very_many_idle_connections(server: HttpServer) -> None:
    threads = threading.active_count()
    idle = [connect(server) for _ in range(10 * CONNECTIONS)]
    assert get(server)[1] == b"numbers"
    assert threading.active_count() == threads
    assert len(server._connections) <= CONNECTIONS
    # The first of them were closed to make room.
    assert idle[0].recv(1) == b""
    for each in idle:
        each.close()


def test_half_a_request_and_a_reader_that_takes_nothing(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SECONDS", 0.5)
    half, deaf = connect(server), connect(server)
    half.sendall(b"GET / HTTP/1.1\r\nx: ")
    deaf.sendall(b"GET / HTTP/1.1\r\nx-size: large\r\n\r\n")
    assert get(server)[1] == b"numbers"
    assert half.recv(1) == b""
    deadline = time.monotonic() + 30
    while server._connections:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    half.close()
    deaf.close()


def test_an_address_that_is_taken(server: HttpServer) -> None:
    with pytest.raises(InvalidArgument, match=f"cannot listen there: .*Received: 127.0.0.1:{server.port}"):
        HttpServer("127.0.0.1", server.port, lambda headers: Answer(b"", {}))


def test_nothing_is_left_after_the_end() -> None:
    server = HttpServer("127.0.0.1", 0, lambda headers: Answer(b"", {}))
    client = connect(server)
    assert get(server)[0] == 200
    server.close()
    assert client.recv(1) == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_metrics_may_be_compressed() -> None:
    from filler_server.service.metrics import Metrics, listen

    metrics = Metrics(threads=3)
    address, close = listen("127.0.0.1:0", metrics.registry)
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    assert response.getheader("Content-Encoding") == "gzip"
    assert b"filler_kernel_threads 3.0" in gzip.decompress(response.read())
    connection.close()
    close()
