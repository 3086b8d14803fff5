"""Servers that die, stop or are overrun, networks that cut, delay, throttle and corrupt: right bytes or an error."""

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, DeadlineExceeded, Unavailable
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, _requests
from tests.processes import ServerProcess
from tests.proxy import Damage, Proxy, delay, flip, throttle
from tests.service.faults.conftest import MIB, check_serves, resident

SHAPE = (2**11, 2**13)
"""64 MiB of float32: more than the buffers between a server and its client hold."""

Fill = Callable[..., NDArray[np.float32]]


def fill_sync(target: str | list[str], **options: object) -> NDArray[np.float32]:
    with FillerClient(target, **options) as client:  # type: ignore[arg-type]
        return client.fill("xavier", SHAPE, seed=4)


def fill_async(target: str | list[str], **options: object) -> NDArray[np.float32]:
    async def run() -> NDArray[np.float32]:
        async with AsyncFillerClient(target, **options) as client:  # type: ignore[arg-type]
            return await client.fill("xavier", SHAPE, seed=4)

    return asyncio.run(run())


@pytest.fixture(params=[fill_sync, fill_async], ids=["sync", "async"])
def fill(request: pytest.FixtureRequest) -> Fill:
    """Either client, as a function that gets 64 MiB."""
    function: Fill = request.param
    return function


@pytest.fixture(scope="module")
def expected() -> NDArray[np.float32]:
    with FillerClient.embedded() as client:
        return client.fill("xavier", SHAPE, seed=4)


@pytest.fixture(scope="module")
def steady(start: Callable[..., ServerProcess]) -> ServerProcess:
    """A server that nothing happens to."""
    return start("--max-ping-seconds", "1")


def cut_at_random(seed: int) -> Damage:
    """Cut a connection somewhere in its first 20 MB, or not."""
    chance = random.Random(seed)
    return lambda data, passed: None if chance.random() < len(data) / 20e6 else data


def corrupt_at_random(seed: int) -> Damage:
    """Flip a bit in every 10 MB or so."""
    chance = random.Random(seed)
    return lambda data, passed: flip(data, chance.randrange(len(data))) if chance.random() < len(data) / 1e7 else data


NETWORKS: dict[str, Callable[[], Damage]] = {
    "cuts": lambda: cut_at_random(1),
    "corrupts": lambda: corrupt_at_random(2),
    "delays": lambda: delay(0.005),
    "throttles": lambda: throttle(64 * MIB),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_that(network: str, fill: Fill, steady: ServerProcess, expected: NDArray[np.float32]) -> None:
    with Proxy(steady.address, NETWORKS[network]()) as proxy:
        np.testing.assert_array_equal(fill(proxy.address, retry=RetryPolicy(attempts=50)), expected)
        assert proxy.connections > (network == "cuts")


def test_every_flipped_byte_of_a_payload_is_noticed(steady: ServerProcess, expected: NDArray[np.float32]) -> None:
    """One bit in the middle of a stream, at 20 places: mended if there is another attempt, an error if not."""
    mended = 0
    for place in range(20):
        flipped = threading.Event()

        def flip_once(data: bytes, passed: int, place: int = place, flipped: threading.Event = flipped) -> bytes:
            if passed > (place + 1) * 1_000_003 and not flipped.is_set():
                flipped.set()
                return flip(data, len(data) * place // 20)
            return data

        with Proxy(steady.address, flip_once) as proxy:
            try:
                array = fill_sync(proxy.address, retry=RetryPolicy(attempts=1))
            except (DataLoss, Unavailable):
                mended += 1
            else:
                # It hit what HTTP/2 or gRPC themselves do without.
                np.testing.assert_array_equal(array, expected)
        assert flipped.is_set()
    assert mended > 10


def test_a_deadline_bounds_the_whole(fill: Fill, steady: ServerProcess) -> None:
    with Proxy(steady.address, throttle(4 * MIB)) as proxy, pytest.raises(DeadlineExceeded):
        fill(proxy.address, timeout=1.0)
    with Proxy(steady.address, lambda data, passed: None) as proxy, pytest.raises(DeadlineExceeded):
        fill(proxy.address, timeout=1.0, retry=RetryPolicy(attempts=1000))


@pytest.fixture
def victim() -> Iterator[ServerProcess]:
    process = ServerProcess("--max-ping-seconds", "1")
    yield process
    if process.process.poll() is None:
        process.process.send_signal(signal.SIGCONT)
        process.kill()


def read_until(client: FillerClient, harm: Callable[[], None]) -> bytes:
    """Read a stream, and do harm when a few pieces of it are there."""
    received = bytearray()
    for number, piece in enumerate(client.pieces(_requests.fill_request("xavier", SHAPE, seed=4))):
        assert piece.offset == len(received)
        received += piece.data
        if number == 3:
            harm()
    return bytes(received)


IMPATIENT = RetryPolicy(keepalive=1.0, keepalive_timeout=1.0)


def test_a_server_that_stops_for_longer_than_the_keepalive(
    victim: ServerProcess, steady: ServerProcess, expected: NDArray[np.float32]
) -> None:
    with FillerClient([victim.address, steady.address], retry=IMPATIENT) as client:
        received = read_until(client, lambda: victim.process.send_signal(signal.SIGSTOP))
        assert received == expected.tobytes()
        victim.process.send_signal(signal.SIGCONT)
        assert client.fill("xavier", SHAPE, seed=4).tobytes() == received
    check_serves(victim)
    assert victim.stop() == 0
    assert "Traceback" not in victim.log


def test_a_server_that_stops_is_an_error_where_there_is_no_other(victim: ServerProcess) -> None:
    policy = RetryPolicy(attempts=2, keepalive=1.0, keepalive_timeout=1.0)
    with FillerClient(victim.address, retry=policy) as client, pytest.raises(Unavailable):
        read_until(client, lambda: victim.process.send_signal(signal.SIGSTOP))


def test_a_name_of_several_servers(fill: Fill, victim: ServerProcess, steady: ServerProcess) -> None:
    """gRPC's own round_robin over all addresses of a name: both are used, and one is enough."""
    with Proxy(victim.address, lambda data, _: data) as first, Proxy(steady.address, lambda data, _: data) as second:
        target = f"ipv4:{first.address},{second.address}"
        with FillerClient(target) as client:
            expected = client.fill("xavier", SHAPE, seed=4)
            for _ in range(9):
                client.fill("xavier", (3, 3))
            assert first.connections
            assert second.connections
            victim.kill()
            for _ in range(10):
                client.fill("xavier", (3, 3))
        np.testing.assert_array_equal(fill(target), expected)


def test_a_server_of_a_name_dies_in_mid_stream(
    victim: ServerProcess, steady: ServerProcess, expected: NDArray[np.float32]
) -> None:
    target = f"ipv4:{victim.address},{steady.address}"
    with FillerClient(target) as client:
        readers = [read_until(client, victim.kill if number == 0 else lambda: None) for number in range(3)]
    assert readers == [expected.tobytes()] * 3


def test_200_clients_at_once(steady: ServerProcess) -> None:
    """More than there are places, for one peer and for all: each gets its bytes, if not at once."""
    shape, count = (128, 1024), 200
    with FillerClient.embedded() as here:
        expected = [here.fill("msra", shape, seed=seed).tobytes() for seed in range(count)]
    ready = threading.Barrier(count)

    def one(seed: int) -> bool:
        with FillerClient(steady.address, retry=RetryPolicy(patience=120)) as client:
            ready.wait()
            return client.fill("msra", shape, seed=seed).tobytes() == expected[seed]

    with ThreadPoolExecutor(count) as pool:
        assert Counter(pool.map(one, range(count))) == {True: count}


def test_200_streams_of_one_asyncio_client(steady: ServerProcess) -> None:
    shape, count = (128, 1024), 200

    async def run() -> list[bytes]:
        async with AsyncFillerClient(steady.address, retry=RetryPolicy(patience=120)) as client:
            arrays = await asyncio.gather(*(client.fill("msra", shape, seed=seed) for seed in range(count)))
            return [array.tobytes() for array in arrays]

    with FillerClient.embedded() as here:
        assert asyncio.run(run()) == [here.fill("msra", shape, seed=seed).tobytes() for seed in range(count)]


def test_readers_who_stall_hold_no_place_for_long(start: Callable[..., ServerProcess]) -> None:
    process = start("--max-streams", "8", "--max-stall-seconds", "1")
    before = resident(process)
    with FillerClient(process.address) as client:
        stalled = [client.pieces(_requests.fill_request("xavier", (2**14, 2**16), seed=1)) for _ in range(8)]
        for pieces in stalled:
            next(pieces)
        with FillerClient(process.address, timeout=30) as other:
            assert other.fill("msra", (3, 3)).shape == (3, 3)
        assert resident(process) - before < 128 * MIB
        for pieces in stalled:
            pieces.close()  # type: ignore[attr-defined]


def test_a_client_that_vanishes_frees_its_stream(start: Callable[..., ServerProcess]) -> None:
    process = start("--max-streams", "1")
    with Proxy(process.address, lambda data, _: data) as proxy, FillerClient(proxy.address) as client:
        pieces = client.pieces(_requests.fill_request("xavier", (2**15, 2**18)))
        next(pieces)
        proxy.close()
        began = time.monotonic()
        with FillerClient(process.address, timeout=30, retry=RetryPolicy(longest_delay=0.1)) as other:
            assert other.fill("msra", (3, 3)).shape == (3, 3)
        assert time.monotonic() - began < 10
        pieces.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_calls_that_ended_leave_nothing_behind(start: Callable[..., ServerProcess]) -> None:
    process = start()
    wrong = filler_pb2.FillRequest(blobs=[{"filler": {"type": "gauss"}}]).SerializeToString()

    def harm(times: int) -> None:
        with FillerClient(process.address) as client, grpc.insecure_channel(process.address) as channel:
            for _ in range(times):
                pieces = client.pieces(_requests.fill_request("xavier", (2**12, 2**12)))
                next(pieces)
                pieces.close()  # type: ignore[attr-defined]
            fill = channel.unary_stream("/caffe_filler.v1.FillerService/Fill")
            for _ in range(4 * times):
                with pytest.raises(grpc.RpcError):
                    list(fill(wrong))

    harm(200)
    before = resident(process)
    harm(600)
    # Each call that was kept took 50 to 200 KiB.
    assert resident(process) - before < 24 * MIB
