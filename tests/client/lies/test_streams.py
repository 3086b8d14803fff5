"""A caller gets what was asked for or one clear error, and nothing outside of the array, whatever a server says."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, FillerError, LimitExceeded
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, _requests
from tests.client.lies import streams
from tests.client.lies.server import Lie, LyingServer

SHAPE = (6, 9)
GUARD = 64
POLICY = RetryPolicy(attempts=1)
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 6] } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one"
        inner_product_param { num_output: 9 weight_filler { type: "xavier" } } }
layer { name: "two" type: "InnerProduct" bottom: "one" top: "two"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
SELECTION = {"two/0": np.s_[1:3, 2:9], "one/1": None}


@pytest.fixture(scope="module")
def server() -> Iterator[LyingServer]:
    with LyingServer() as server:
        yield server


class Clients:
    """The same call through both clients."""

    def __init__(self, address: str) -> None:
        self._address = address

    def sync(self, call: Callable[[FillerClient], Any]) -> Any:
        with FillerClient(self._address, retry=POLICY) as client:
            return call(client)

    def awaited(self, call: Callable[[AsyncFillerClient], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with AsyncFillerClient(self._address, retry=POLICY) as client:
                return await call(client)

        return asyncio.run(run())


@pytest.fixture(params=["sync", "async"])
def fetch(request: pytest.FixtureRequest, server: LyingServer) -> Callable[..., Any]:
    """Calls the method of that name of either client."""
    clients = Clients(server.address)

    def fetch(method: str, *arguments: Any, **options: Any) -> Any:
        if request.param == "sync":
            return clients.sync(lambda client: getattr(client, method)(*arguments, **options))
        return clients.awaited(lambda client: getattr(client, method)(*arguments, **options))

    return fetch


def guarded() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An array to receive into, and the memory around it."""
    memory = np.full(2 * GUARD + SHAPE[0] * SHAPE[1], 7, np.float32)
    return memory[GUARD:-GUARD].reshape(SHAPE), memory


def check_guard(memory: NDArray[np.float32]) -> None:
    assert (memory[:GUARD] == 7).all()
    assert (memory[-GUARD:] == 7).all()


def test_the_truth_passes(server: LyingServer, fetch: Callable[..., Any]) -> None:
    server.lie = lambda _, answer: answer
    out, memory = guarded()
    embedded = FillerClient.embedded()
    assert fetch("fill", "xavier", SHAPE, seed=3, name="name", out=out) is out
    np.testing.assert_array_equal(out, embedded.fill("xavier", SHAPE, seed=3, name="name"))
    check_guard(memory)
    for options in ({}, {"blobs": SELECTION}):
        received = fetch("init_net", NET, seed=3, **options)
        expected = embedded.init_net(NET, seed=3, **options)
        assert list(received) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(received[name], array)


@pytest.mark.parametrize("lie", streams.FILL)
def test_a_blob(server: LyingServer, fetch: Callable[..., Any], lie: str) -> None:
    server.lie, words = streams.FILL[lie]
    out, memory = guarded()
    with pytest.raises((DataLoss, LimitExceeded), match=words) as caught:
        fetch("fill", "xavier", SHAPE, seed=3, name="name", out=out)
    assert len(str(caught.value)) < 1000
    check_guard(memory)


@pytest.mark.parametrize("lie", streams.NET)
def test_a_net(server: LyingServer, fetch: Callable[..., Any], lie: str) -> None:
    server.lie, words = streams.NET[lie]
    with pytest.raises((DataLoss, LimitExceeded), match=words) as caught:
        fetch("init_net", NET, seed=3)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("lie", streams.SELECTED)
def test_some_blobs_of_a_net(server: LyingServer, fetch: Callable[..., Any], lie: str) -> None:
    server.lie, words = streams.SELECTED[lie]
    with pytest.raises(DataLoss, match=words):
        fetch("init_net", NET, seed=3, blobs=SELECTION)


@pytest.mark.parametrize("lie", streams.PLANNED)
def test_a_net_of_which_there_is_a_plan(server: LyingServer, lie: str) -> None:
    request = _requests.fill_net_request(NET, seed=3)
    plan = FillerClient.embedded().plan(request.net)
    server.lie, words = streams.PLANNED[lie]
    with FillerClient(server.address, retry=POLICY) as client, pytest.raises(DataLoss, match=words):
        list(client.pieces(request, plan=plan))

    async def run() -> None:
        async with AsyncFillerClient(server.address, retry=POLICY) as client:
            async for _ in client.pieces(request, plan=plan):
                pass

    with pytest.raises(DataLoss, match=words):
        asyncio.run(run())


def silent_at_the_end(server: LyingServer) -> Lie:
    def lie(_: Any, messages: streams.Messages) -> Iterable[filler_pb2.FillResponse]:
        yield from messages
        server.ended.wait(60)

    return lie


def test_a_stream_that_does_not_end_is_cut_off_when_everything_is_there(
    server: LyingServer, fetch: Callable[..., Any]
) -> None:
    server.lie = silent_at_the_end(server)
    before, calls = time.monotonic(), server.calls
    array = fetch("fill", "xavier", SHAPE, seed=3, name="name")
    assert time.monotonic() - before < 30
    assert server.calls == calls + 1
    np.testing.assert_array_equal(array, FillerClient.embedded().fill("xavier", SHAPE, seed=3, name="name"))


def test_a_lie_of_one_server_is_made_good_by_another(server: LyingServer) -> None:
    server.lie, _ = streams.FILL["another shape"]
    with LyingServer() as honest, FillerClient([server.address, honest.address]) as client:
        array = client.fill("xavier", SHAPE, seed=3, name="name")
    np.testing.assert_array_equal(array, FillerClient.embedded().fill("xavier", SHAPE, seed=3, name="name"))


def test_the_error_is_one_of_the_tree_at_any_position_of_a_flipped_bit(server: LyingServer) -> None:
    """A spoiled byte anywhere in an answer gives the right values, or an error of the tree."""
    expected = FillerClient.embedded().fill("xavier", SHAPE, seed=3, name="name")
    seen = 0
    with FillerClient(server.address, retry=RetryPolicy(attempts=1)) as client:
        for position in range(0, 400, 3):

            def lie(_: Any, messages: streams.Messages, position: int = position) -> list[bytes]:
                encoded = [message.SerializeToString() for message in messages]
                for number, message in enumerate(encoded):
                    if position < len(message):
                        flipped = message[position] ^ (1 << position % 8)
                        encoded[number] = message[:position] + bytes([flipped]) + message[position + 1 :]
                        break
                    position -= len(message)
                return encoded

            server.lie = lie
            out, memory = guarded()
            try:
                client.fill("xavier", SHAPE, seed=3, name="name", out=out)
            except FillerError:
                seen += 1
            else:
                np.testing.assert_array_equal(out, expected)
            check_guard(memory)
    assert seen > 50
