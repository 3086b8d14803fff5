"""A client after its end, in other processes, and in other event loops."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from caffe_filler.errors import FillerError, InvalidArgument
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, Tls, _requests
from tests.processes import ServerProcess

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 6] } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one" inner_product_param { num_output: 9 } }
"""
REQUEST = _requests.fill_net_request(NET)

CALLS: dict[str, Callable[[Any], Any]] = {
    "list_fillers": lambda client: client.list_fillers(),
    "fill": lambda client: client.fill("msra", (3, 3)),
    "plan_net": lambda client: client.plan_net(NET),
    "fill_net": lambda client: client.fill_net(NET),
    "init_net": lambda client: client.init_net(NET),
    "upgrade_net": lambda client: client.upgrade_net(NET),
    "plan_finetune": lambda client: client.plan_finetune(NET, "/nonexistent"),
    "finetune_net": lambda client: every(client.finetune_net(NET, "/nonexistent")),
    "save_net": lambda client: client.save_net(NET, "/nonexistent/net.npz"),
    "pieces": lambda client: client.pieces(REQUEST),
}


def every(blobs: Any) -> Any:
    """All blobs, of either client."""
    return blobs if hasattr(blobs, "__aiter__") else list(blobs)


async def settled(result: Any) -> Any:
    """Return the outcome of a call of either client."""
    if hasattr(result, "__aiter__"):
        return [entry async for entry in result]
    return await result if hasattr(result, "__await__") else result


@pytest.fixture(params=["embedded", "remote"])
def client(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[FillerClient]:
    with FillerClient.embedded() if request.param == "embedded" else FillerClient(server.address) as client:
        yield client


@pytest.mark.parametrize("call", CALLS)
def test_nothing_works_after_the_end(client: FillerClient, call: str) -> None:
    client.list_fillers()
    client.close()
    with pytest.raises(InvalidArgument, match="this client is closed"):
        CALLS[call](client)
    client.close()


def test_a_closed_client_cannot_be_entered(client: FillerClient) -> None:
    client.close()
    with pytest.raises(InvalidArgument, match="this client is closed"), client:
        pass


def test_a_stream_ends_with_its_client(client: FillerClient) -> None:
    blobs = client.fill_net(NET)
    next(blobs)
    client.close()
    with pytest.raises(InvalidArgument, match="this client is closed"):
        list(blobs)


def test_a_client_may_be_closed_by_another_thread(server: ServerProcess) -> None:
    errors: list[Exception] = []
    for _ in range(5):
        client = FillerClient(server.address)
        started = threading.Event()

        def call(client: FillerClient = client, started: threading.Event = started) -> None:
            try:
                while True:
                    client.fill("xavier", (64, 64))
                    started.set()
            except Exception as error:
                errors.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        assert started.wait(60)
        client.close()
        caller.join(60)
    assert [type(error) for error in errors] == [InvalidArgument] * 5
    assert all("closed" in str(error) for error in errors)


@pytest.mark.parametrize("call", CALLS)
def test_nothing_works_after_the_end_of_an_asynchronous_client(server: ServerProcess, call: str) -> None:
    async def run() -> None:
        async with AsyncFillerClient(server.address) as client:
            await client.list_fillers()
        with pytest.raises(InvalidArgument, match="this client is closed"):
            await settled(CALLS[call](client))
        with pytest.raises(InvalidArgument, match="this client is closed"):
            async with client:
                pass
        await client.close()

    asyncio.run(run())


def test_calls_that_run_when_an_asynchronous_client_is_closed(server: ServerProcess) -> None:
    async def run() -> None:
        client = AsyncFillerClient(server.address)
        pieces = client.pieces(_requests.fill_request("msra", (4096, 4096)))
        await anext(pieces)
        waiting = asyncio.create_task(client.fill("msra", (4096, 4096)))
        planned = asyncio.create_task(client.plan_net(NET))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(InvalidArgument, match="this client is closed"):
            async for _ in pieces:
                pass
        for task in (waiting, planned):
            with pytest.raises(InvalidArgument, match="this client is closed"):
                await task

    asyncio.run(run())


def test_a_cancelled_task_is_cancelled(server: ServerProcess) -> None:
    async def run() -> None:
        async with AsyncFillerClient(server.address) as client:
            task = asyncio.create_task(client.fill("msra", (8192, 8192)))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


@pytest.mark.parametrize("call", CALLS)
def test_an_asynchronous_client_belongs_to_one_event_loop(server: ServerProcess, call: str) -> None:
    client = AsyncFillerClient(server.address, timeout=60)
    assert asyncio.run(client.fill("msra", (3, 3))).shape == (3, 3)

    async def again() -> Any:
        return await settled(CALLS[call](client))

    with pytest.raises(InvalidArgument, match="used in another event loop"):
        asyncio.run(again())
    with pytest.raises(InvalidArgument, match="used in another event loop"):
        asyncio.run(client.close())


def test_two_event_loops_at_once(server: ServerProcess) -> None:
    client = AsyncFillerClient(server.address, timeout=60)
    raised: list[BaseException] = []

    def other() -> None:
        try:
            asyncio.run(client.fill("msra", (3, 3)))  # type: ignore[arg-type]
        except FillerError as error:
            raised.append(error)

    async def run() -> None:
        async with client:
            await client.fill("msra", (3, 3))
            await asyncio.to_thread(other)
            await client.fill("msra", (3, 3))

    asyncio.run(run())
    assert [type(error) for error in raised] == [InvalidArgument]


def test_a_client_travels_as_its_settings(server: ServerProcess) -> None:
    expected = FillerClient.embedded().fill("msra", (3, 3), seed=5)
    remote = FillerClient(server.address, timeout=60, retry=RetryPolicy(attempts=3), request_id="job")
    for client in (remote, FillerClient.embedded()):
        client.list_fillers()
        for other in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
            client.close()
            np.testing.assert_array_equal(other.fill("msra", (3, 3), seed=5), expected)
            other.close()

    travelled = pickle.loads(pickle.dumps(AsyncFillerClient(server.address, timeout=60)))

    async def run() -> Any:
        async with travelled:
            return await travelled.fill("msra", (3, 3), seed=5)

    np.testing.assert_array_equal(asyncio.run(run()), expected)


def test_a_token_stays_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret-of-a-file")
    for kind in (FillerClient, AsyncFillerClient):
        for dump in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match=r"token cannot be pickled.*give token_file"):
                dump(kind("localhost:1", token="secret-of-a-string"))
        data = pickle.dumps(kind("localhost:1", token_file=file, credentials=Tls()))
        assert b"secret" not in data
        assert isinstance(pickle.loads(data), kind)
        with pytest.raises(TypeError, match="credentials of gRPC's own cannot be pickled"):
            pickle.dumps(kind("localhost:1", credentials=grpc.ssl_channel_credentials()))
