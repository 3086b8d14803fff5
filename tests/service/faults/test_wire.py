"""Bytes at the port that no client would send: the connection or the call ends, and nobody else notices."""

import gzip
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from filler_server.api.limits import Limits
from tests.processes import ServerProcess
from tests.service.faults import http2
from tests.service.faults.conftest import MIB, check_serves, resident
from tests.service.faults.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    call_headers,
    field,
    frame,
    message,
)

CHECK = "/grpc.health.v1.Health/Check"
FILL = "/caffe_filler.v1.FillerService/Fill"
CALL = frame(HEADERS, END_HEADERS, 1, call_headers(FILL))
SECONDS = 60
"""Time for the server to end a connection, on a busy machine too."""

GARBAGE = {
    "nothing": b"",
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "half of a preface": http2.PREFACE[:10],
    "zeros": bytes(100_000),
    **{f"random {seed}": random.Random(seed).randbytes(1 << seed) for seed in range(20)},
}


@pytest.mark.parametrize("case", GARBAGE)
def test_what_is_no_http2(impatient: ServerProcess, case: str) -> None:
    with Connection(impatient.address, preface=False) as connection:
        connection.send(GARBAGE[case])
        connection.close()
    check_serves(impatient)


MALFORMED = {
    "data before headers": frame(DATA, END_STREAM, 1, b"abc"),
    "a continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, b""),
    "data within a header": frame(HEADERS, 0, 1, call_headers(FILL)) + frame(DATA, 0, 1, b"abc"),
    "a frame longer than allowed": CALL + frame(DATA, 0, 1, bytes(1 << 20)),
    "a length that lies": CALL + frame(DATA, 0, 1, b"abc", length=5) + frame(DATA, 0, 1, b"abc"),
    "an even stream": frame(HEADERS, END_HEADERS, 2, call_headers(FILL)),
    "a stream that goes back": frame(HEADERS, END_HEADERS, 9, call_headers(FILL)) + CALL,
    "headers of nonsense": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 100),
    "an index that does not exist": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\x0f"),
    "settings of a wrong length": frame(SETTINGS, payload=b"12345"),
    "settings of a stream": frame(SETTINGS, stream=1),
    "a window beyond all bounds": frame(WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff") * 2,
    "a window of a stream beyond all bounds": CALL + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2,
    "a window of nothing": frame(WINDOW_UPDATE, payload=bytes(4)),
    "a ping of a wrong length": frame(PING, payload=b"123"),
    "a reset of nothing": frame(RST_STREAM, 0, 7, bytes(4)),
    "a goodbye with a tail": frame(GOAWAY, payload=bytes(8) + b"x" * 10_000),
    "unknown frames": b"".join(frame(kind, 0xFF, 1, b"abc") for kind in range(10, 256)),
    "padding longer than the frame": frame(HEADERS, END_HEADERS | 8, 1, b"\xff" + call_headers(FILL)),
    **{f"random frames {seed}": b"" for seed in range(10)},
}


def random_frames(seed: int) -> bytes:
    """Frames of any kind, flags and stream with payloads of nonsense, some of them after a call."""
    chance = random.Random(seed)
    frames = [CALL] if seed % 2 else []
    for _ in range(200):
        payload = chance.randbytes(chance.choice([0, 1, 4, 8, 100, 16384]))
        frames.append(frame(chance.randrange(12), chance.randrange(256), chance.choice([0, 1, 3, 5, 2**31]), payload))
    return b"".join(frames)


@pytest.mark.parametrize("case", MALFORMED)
def test_frames_that_are_none(impatient: ServerProcess, case: str) -> None:
    seed = re.search(r"random frames (\d+)", case)
    with Connection(impatient.address) as connection:
        connection.send(random_frames(int(seed[1])) if seed else MALFORMED[case])
    check_serves(impatient)


def test_resets_in_quick_succession(impatient: ServerProcess) -> None:
    before = resident(impatient)
    with Connection(impatient.address) as connection:
        for number in range(20_000):
            stream = 2 * number + 1
            connection.send(
                frame(HEADERS, END_HEADERS, stream, call_headers(FILL)) + frame(RST_STREAM, 0, stream, bytes(4))
            )
    check_serves(impatient)
    assert resident(impatient) - before < 128 * MIB


@pytest.mark.parametrize("value", [b"", b"v" * 8000])
def test_a_header_that_never_ends(impatient: ServerProcess, value: bytes) -> None:
    before = resident(impatient)
    block = field(b"x-more", value) if value else b""
    more = frame(CONTINUATION, 0, 1, block) * 100
    with Connection(impatient.address) as connection:
        connection.send(frame(HEADERS, 0, 1, call_headers(FILL)))
        sent = 0
        while sent < 2000 and connection.send(more):
            sent += 1
        check_serves(impatient)
    # 1.6 GB of headers; of those that are not over yet gRPC keeps so much and no more.
    assert resident(impatient) - before < 400 * MIB


@pytest.mark.slow
def test_settings_that_are_never_acknowledged(impatient: ServerProcess) -> None:
    with Connection(impatient.address) as connection:
        while connection.next_frame(SECONDS, acknowledge=False) is not None:
            pass


def statuses(connection: Connection, seconds: float, *, calls: int) -> list[tuple[int, str]]:
    """Status and message of so many calls, in the order in which they end."""
    found: list[tuple[int, str]] = []
    while len(found) < calls:
        received = connection.next_frame(seconds)
        assert received is not None
        kind, flags, _, payload = received
        if kind == HEADERS and flags & END_STREAM:
            code = re.search(rb"grpc-status.(\d+)", payload)
            text = re.search(rb"grpc-message(.*)", payload, re.DOTALL)
            found.append((int(code[1]) if code else -1, unquote(text[1][1:].decode("latin-1")) if text else ""))
    return found


RESOURCE_EXHAUSTED, INVALID_ARGUMENT, UNIMPLEMENTED = 8, 3, 12

REQUESTS = {
    "a request that never comes": (CALL, RESOURCE_EXHAUSTED, "over the limit request_seconds=2.0"),
    "a request that never ends": (
        CALL + frame(DATA, 0, 1, message(b"abc", 1000)),
        RESOURCE_EXHAUSTED,
        "over the limit request_seconds=2.0",
    ),
    "a request longer than any": (
        CALL + frame(DATA, 0, 1, message(b"abc", 2**32 - 1)),
        RESOURCE_EXHAUSTED,
        "message larger than max",
    ),
    "no request": (CALL + frame(DATA, END_STREAM, 1), INVALID_ARGUMENT, "has one request. Received: none"),
    "a request of nonsense": (
        CALL + frame(DATA, END_STREAM, 1, message(b"\xff\xff\xff")),
        INVALID_ARGUMENT,
        "the request is not a FillRequest",
    ),
    "no such method": (
        frame(HEADERS, END_HEADERS | END_STREAM, 1, call_headers("/no/such")),
        UNIMPLEMENTED,
        "Method not found!",
    ),
    "a health check longer than any": (
        frame(HEADERS, END_HEADERS, 1, call_headers(CHECK)) + frame(DATA, END_STREAM, 1, message(bytes(5000))),
        RESOURCE_EXHAUSTED,
        "over the limit probe_bytes=4096. Received: 5000",
    ),
    "a compressed request": (
        frame(HEADERS, END_HEADERS, 1, call_headers(CHECK, (b"grpc-encoding", b"gzip")))
        + frame(DATA, END_STREAM, 1, b"\x01" + message(gzip.compress(bytes(1 << 20)))[1:]),
        UNIMPLEMENTED,
        "Compression algorithm 'gzip' is disabled",
    ),
    "more metadata than allowed": (
        frame(HEADERS, END_HEADERS, 1, call_headers(FILL, *[(b"x-%d" % number, b"v" * 1000) for number in range(15)]))
        + frame(DATA, END_STREAM, 1, message(b"")),
        RESOURCE_EXHAUSTED,
        "over the limit metadata_bytes=8192. Received: 15",
    ),
}


@pytest.fixture(scope="module")
def narrow(start: Callable[..., ServerProcess]) -> ServerProcess:
    """An impatient server for little metadata."""
    return start("--max-request-seconds", "2", "--max-metadata-bytes", "8192")


@pytest.mark.parametrize("case", REQUESTS)
def test_requests_that_are_none(narrow: ServerProcess, case: str) -> None:
    sent, status, text = REQUESTS[case]
    with Connection(narrow.address) as connection:
        connection.send(sent)
        ((code, details),) = statuses(connection, SECONDS, calls=1)
    assert code == status
    assert text in details
    check_serves(narrow)


def test_very_many_requests_that_never_come(impatient: ServerProcess) -> None:
    connections = [Connection(impatient.address) for _ in range(5)]
    for connection in connections:
        for number in range(60):
            connection.send(frame(HEADERS, END_HEADERS, 2 * number + 1, call_headers(FILL)))
    check_serves(impatient)
    ended: list[tuple[int, str]] = []
    for connection in connections:
        ended += statuses(connection, SECONDS, calls=60)
        connection.close()
    assert {code for code, _ in ended} == {RESOURCE_EXHAUSTED}
    causes = Counter(text.partition("=")[0] for _, text in ended)
    # Four of one peer may take their time.
    assert causes == {"over the limit peer_slow_requests": 296, "over the limit request_seconds": 4}


def test_requests_of_health_checks_that_never_come(impatient: ServerProcess) -> None:
    with Connection(impatient.address) as connection:
        for number in range(60):
            connection.send(frame(HEADERS, END_HEADERS, 2 * number + 1, call_headers(CHECK)))
        ended = statuses(connection, SECONDS, calls=60)
    assert set(ended) == {(RESOURCE_EXHAUSTED, "over the limit slow_requests=0. Received: 1")}


def test_health_checks_that_are_never_taken(impatient: ServerProcess) -> None:
    before = resident(impatient)
    for _ in range(20):
        with Connection(impatient.address, settings={INITIAL_WINDOW_SIZE: 0}) as connection:
            for number in range(400):
                connection.send(
                    frame(HEADERS, END_HEADERS, 2 * number + 1, call_headers(CHECK))
                    + frame(DATA, END_STREAM, 2 * number + 1, message(b""))
                )
            check_serves(impatient)
    assert resident(impatient) - before < 64 * MIB


def test_how_many_calls_a_connection_may_have(impatient: ServerProcess) -> None:
    with Connection(impatient.address) as connection:
        kind, _, _, payload = connection.next_frame(SECONDS) or (0, 0, 0, b"")
    assert kind == SETTINGS
    entries = [payload[at : at + 6] for at in range(0, len(payload), 6)]
    settings = {int.from_bytes(entry[:2], "big"): int.from_bytes(entry[2:], "big") for entry in entries}
    assert settings[MAX_CONCURRENT_STREAMS] == Limits().connection_calls


def test_a_watcher_of_health_who_takes_nothing(impatient: ServerProcess) -> None:
    with Connection(impatient.address, settings={INITIAL_WINDOW_SIZE: 0}) as connection:
        connection.send(
            frame(HEADERS, END_HEADERS, 1, call_headers("/grpc.health.v1.Health/Watch"))
            + frame(DATA, END_STREAM, 1, message(b""))
        )
        check_serves(impatient)
        ((code, text),) = statuses(connection, SECONDS, calls=1)
    assert (code, text.partition(".")[0]) == (RESOURCE_EXHAUSTED, "over the limit stall_seconds=2")


def test_a_flood_of_pings_ends_the_connection(impatient: ServerProcess) -> None:
    with Connection(impatient.address) as connection:
        for _ in range(10):
            connection.send(frame(PING, payload=b"12345678"))
            time.sleep(0.01)
        last = [received for received in connection.frames_until_closed(SECONDS) if received[0] == GOAWAY][-1]
    assert last[3][4:8] == http2.ENHANCE_YOUR_CALM.to_bytes(4, "big")
    assert last[3].endswith(b"too_many_pings")


def test_very_many_connections(impatient: ServerProcess) -> None:
    host, _, port = impatient.address.rpartition(":")
    before = resident(impatient)
    sockets = [socket.create_connection((host, int(port))) for _ in range(300)]
    check_serves(impatient)
    for each in sockets:
        each.close()
    check_serves(impatient)
    assert resident(impatient) - before < 128 * MIB
