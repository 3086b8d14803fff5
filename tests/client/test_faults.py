"""Servers that die and connections that corrupt: the caller gets the right bytes, or an error, and no surprise."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from caffe_filler.errors import DataLoss, DeadlineExceeded, Unavailable
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, _requests, _retry
from tests.processes import ServerProcess
from tests.proxy import Damage, Proxy, flip

SHAPE = (2**10, 2**16)
"""256 MiB of float32: more than the buffers between a server and its client hold."""


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    with FillerClient.embedded() as client:
        return client.fill("xavier", SHAPE, seed=4)


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Callable[[Damage], Proxy]]:
    opened: list[Proxy] = []

    def open_proxy(damage: Damage) -> Proxy:
        opened.append(Proxy(server.address, damage))
        return opened[-1]

    yield open_proxy
    for each in opened:
        each.close()


def test_a_server_killed_in_mid_stream(server: ServerProcess, expected: np.ndarray) -> None:
    victim = ServerProcess()
    received = 0
    parts: list[bytes] = []
    with FillerClient([victim.address, server.address]) as client:
        for piece in client.pieces(_requests.fill_request("xavier", SHAPE, seed=4)):
            assert piece.offset == received
            received += len(piece.data)
            parts.append(bytes(piece.data))
            if len(parts) == 20:
                victim.kill()
    assert b"".join(parts) == expected.tobytes()


def test_a_server_that_is_away_for_a_while_in_mid_stream(
    proxy: Callable[[Damage], Proxy],
    expected: np.ndarray,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_retry, "_SILENT_SECONDS", 0.0)
    between = proxy(lambda data, _: data)
    parts: list[bytes] = []
    with FillerClient(between.address, retry=RetryPolicy(first_delay=0.02, longest_delay=0.05)) as client:
        for piece in client.pieces(_requests.fill_request("xavier", SHAPE, seed=4)):
            parts.append(bytes(piece.data))
            if len(parts) == 20:
                between.turned_away = 5
                between.cut()
    assert b"".join(parts) == expected.tobytes()
    assert between.turned_away == 0
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"waiting for {between.address} ... (")
    assert last.startswith(f"going on with {between.address} after")


def test_a_server_killed_in_mid_stream_async(server: ServerProcess, expected: np.ndarray) -> None:
    victim = ServerProcess()

    async def run() -> np.ndarray:
        async with AsyncFillerClient([victim.address, server.address]) as client:
            out = np.full(SHAPE, np.nan, np.float32)
            fill = asyncio.create_task(client.fill("xavier", SHAPE, seed=4, out=out))
            while np.isnan(out[0, 0]):
                await asyncio.sleep(0.001)
            assert np.isnan(out[-1, -1])
            victim.kill()
            return await fill

    np.testing.assert_array_equal(asyncio.run(run()), expected)


def test_a_connection_that_breaks_again_and_again(proxy: Callable[[Damage], Proxy], expected: np.ndarray) -> None:
    cutting = proxy(lambda data, passed: None if passed > 40_000_000 else data)
    with FillerClient(cutting.address) as client:
        np.testing.assert_array_equal(client.fill("xavier", SHAPE, seed=4), expected)
    assert cutting.connections > 5


def test_a_flipped_byte_is_noticed_and_mended(proxy: Callable[[Damage], Proxy], expected: np.ndarray) -> None:
    flipped = threading.Event()

    def flip_once(data: bytes, passed: int) -> bytes:
        if passed > 20_000_000 and not flipped.is_set() and len(data) > 40_000:
            flipped.set()
            return flip(data, 30_000)
        return data

    with FillerClient(proxy(flip_once).address) as client:
        np.testing.assert_array_equal(client.fill("xavier", SHAPE, seed=4), expected)
    assert flipped.is_set()


def test_a_connection_that_always_corrupts_is_an_error(proxy: Callable[[Damage], Proxy]) -> None:
    def flip_always(data: bytes, passed: int) -> bytes:
        return flip(data, -100) if len(data) > 10_000 else data

    policy = RetryPolicy(attempts=3, first_delay=0.01)
    with FillerClient(proxy(flip_always).address, retry=policy) as client, pytest.raises((DataLoss, Unavailable)):
        client.fill("xavier", SHAPE, seed=4)


def test_no_server_is_an_error_within_the_time_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    with FillerClient(address, retry=RetryPolicy(attempts=3)) as client, pytest.raises(Unavailable, match=address):
        client.list_fillers()
    patient = RetryPolicy(attempts=1000)
    with FillerClient(address, timeout=0.3, retry=patient) as client, pytest.raises(DeadlineExceeded):
        client.fill("msra", (3, 3))
    assert time.monotonic() - started < 20


def test_a_server_that_starts_later(expected: np.ndarray) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    started: list[ServerProcess] = []
    starter = threading.Timer(0.5, lambda: started.append(ServerProcess(listen=address)))
    starter.start()
    with FillerClient(address, retry=RetryPolicy(attempts=100)) as client:
        np.testing.assert_array_equal(client.fill("xavier", SHAPE, seed=4), expected)
    starter.join()
    assert started[0].stop() == 0


def test_a_caller_who_stops_early_frees_the_stream(server: ServerProcess) -> None:
    process = ServerProcess("--max-streams", "1")
    with FillerClient(process.address, retry=RetryPolicy(attempts=20)) as client:
        for _ in range(3):
            pieces = client.pieces(_requests.fill_request("xavier", (2**15, 2**18)))
            next(pieces)
            pieces.close()  # type: ignore[attr-defined]
        assert client.fill("xavier", (3, 3)).shape == (3, 3)
    assert process.stop() == 0


def test_streams_that_were_given_up_are_let_go_of(server: ServerProcess) -> None:
    def calls() -> int:
        gc.collect()
        return sum(type(entry).__name__ == "_CallState" for entry in gc.get_objects())

    with FillerClient(server.address) as client:
        before = calls()
        for _ in range(20):
            pieces = client.pieces(_requests.fill_request("xavier", (2**12, 2**12)))
            next(pieces)
            pieces.close()  # type: ignore[attr-defined]
        assert calls() <= before
