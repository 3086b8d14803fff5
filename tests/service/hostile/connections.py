"""Connections that mean harm: most of them need no token, because they end before one could be asked for."""

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.service.faults.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    call_headers,
    frame,
    message,
)
from tests.service.hostile.requests import MIB, SERVICE

CHECK = "/grpc.health.v1.Health/Check"
FILL = f"{SERVICE}Fill"

_WINDOW = 65_535
_FRAME = 16_384

Attack = Callable[[str], Iterator[int]]
"""Does harm to an address; yields the bytes that it has sent so far, again and again until it is closed."""

ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """Add an attack."""
    ATTACKS[function.__name__] = function
    return function


@attack
def half_sent_health_checks(address: str) -> Iterator[int]:
    """Requests of 60 MiB for a health check, of which the last bytes never come."""
    yield from _half_sent(address, CHECK, 33)


@attack
def half_sent_requests(address: str) -> Iterator[int]:
    """The same for Fill, which may be long."""
    yield from _half_sent(address, FILL, 33)


@attack
def headers_without_a_body(address: str) -> Iterator[int]:
    """A hundred calls a second whose request never comes."""
    yield from _calls(address, frame(HEADERS, END_HEADERS, 1, call_headers(FILL)), rate=100)


@attack
def health_checks_without_a_body(address: str) -> Iterator[int]:
    """The same for health checks."""
    yield from _calls(address, frame(HEADERS, END_HEADERS, 1, call_headers(CHECK)), rate=100)


@attack
def compressed_zeros(address: str) -> Iterator[int]:
    """A health check of 60 KB that are 60 MB when they are unpacked."""
    body = gzip.compress(bytes(60_000_000), 9)
    head = frame(HEADERS, END_HEADERS, 1, call_headers(CHECK, (b"grpc-encoding", b"gzip")))
    sent = 0
    while True:
        with Connection(address) as connection:
            whole = b"\x01" + message(body)[1:]
            connection.send(head + b"".join(_data(1, whole, end=True)))
            with suppress(TimeoutError):
                _until_ended(connection, 5)
        sent += len(body)
        yield sent


@attack
def answers_that_are_not_taken(address: str) -> Iterator[int]:
    """Health checks whose answers find no room with the client."""
    with ExitStack() as connections:
        sent = 0
        while True:
            connection = connections.enter_context(Connection(address, settings={INITIAL_WINDOW_SIZE: 0}))
            for number in range(1, 801, 2):
                call = frame(HEADERS, END_HEADERS, number, call_headers(CHECK)) + frame(
                    DATA, END_STREAM, number, message(b"")
                )
                connection.send(call)
                sent += len(call)
            yield sent


@attack
def idle_connections(address: str) -> Iterator[int]:
    """Connections on which nothing is said."""
    with _idle(address) as sent:
        yield from sent


@contextmanager
def _idle(address: str) -> Iterator[Iterator[int]]:
    host, _, port = address.rpartition(":")
    opened: list[socket.socket] = []

    def more() -> Iterator[int]:
        while True:
            with suppress(OSError):
                opened.append(socket.create_connection((host, int(port)), timeout=1))
            if len(opened) >= 500:
                time.sleep(0.01)
            yield len(opened)

    try:
        yield more()
    finally:
        for each in opened:
            each.close()


def _half_sent(address: str, method: str, count: int) -> Iterator[int]:
    sent = 0
    with ExitStack() as connections:
        for _ in range(count):
            connection = connections.enter_context(Connection(address))
            connection.send(frame(HEADERS, END_HEADERS, 1, call_headers(method)))
            for more in _flow(connection, message(bytes(60 * MIB), 60 * MIB + 1)):
                yield sent + more
            sent += more
        while True:
            time.sleep(0.01)
            yield sent


def _flow(connection: Connection, data: bytes) -> Iterator[int]:
    """Send the body of a call as the server makes room for it, up to the end or until the server ends the call."""
    room = {0: _WINDOW, 1: _WINDOW}
    sent = 0
    while sent < len(data):
        count = min(_FRAME, *room.values(), len(data) - sent)
        if count:
            if not connection.send(frame(DATA, 0, 1, data[sent : sent + count])):
                return
            sent += count
            room = {stream: left - count for stream, left in room.items()}
            continue
        yield sent
        with suppress(TimeoutError):
            received = connection.next_frame(1)
            if received is None:
                return
            kind, flags, stream, payload = received
            if kind == WINDOW_UPDATE and stream in room:
                room[stream] += int.from_bytes(payload, "big")
            elif kind == SETTINGS and not flags & ACK:
                for at in range(0, len(payload), 6):
                    if int.from_bytes(payload[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                        room[1] += int.from_bytes(payload[at + 2 : at + 6], "big") - _WINDOW
            elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                yield sent
                return
    yield sent


def _calls(address: str, call: bytes, *, rate: int) -> Iterator[int]:
    """Begin so many calls a second, on ten connections in turn; `call` is that of the first stream."""
    with ExitStack() as opened:
        connections = [opened.enter_context(Connection(address)) for _ in range(10)]
        begun = time.monotonic()
        sent = number = 0
        while True:
            index, stream = number % len(connections), 2 * (number // len(connections)) + 1
            if not connections[index].send(call[:5] + stream.to_bytes(4, "big") + call[9:]):
                connections[index] = opened.enter_context(Connection(address))
                number += len(connections) - index
            number += 1
            sent += len(call)
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            yield sent


def _data(stream: int, body: bytes, *, end: bool) -> Iterator[bytes]:
    for at in range(0, len(body), _FRAME):
        last = at + _FRAME >= len(body)
        yield frame(DATA, END_STREAM if end and last else 0, stream, body[at : at + _FRAME])


def _until_ended(connection: Connection, seconds: float) -> None:
    while (received := connection.next_frame(seconds)) is not None:
        if received[0] == RST_STREAM or (received[0] == HEADERS and received[1] & END_STREAM):
            return
