"""The asynchronous client that computes in this process: the loop goes on meanwhile, and what nobody wants ends."""

import asyncio
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, UnknownFiller
from filler_client import AsyncFillerClient, FillerClient
from filler_client._embedded import EmbeddedBackend
from filler_server.cancellation import checkpoint


def test_it_gives_what_the_other_gives(nets: Path, tmp_path: Path) -> None:
    net, plain = nets / "lenet.prototxt", FillerClient.embedded()

    async def run() -> None:
        async with AsyncFillerClient.embedded() as client:
            weights = await client.init_net(net, seed=7)
            for name, array in plain.init_net(net, seed=7).items():
                assert weights[name].tobytes() == array.tobytes()
            assert await client.plan_net(net) == plain.plan_net(net)
            assert await client.list_fillers() == plain.list_fillers()
            assert await client.upgrade_net(net) == plain.upgrade_net(net)
            assert await client.digest("msra", (3, 4), name="w") == plain.digest("msra", (3, 4), name="w")
            out = np.zeros((3, 4), np.float32)
            assert await client.fill("msra", (3, 4), name="w", out=out) is out
            await client.save_net(net, tmp_path / "a.npz", seed=7)
            plain.save_net(net, tmp_path / "b.npz", seed=7)
            pieces = [bytes(piece.data) async for piece in client.pieces(request())]
            assert b"".join(pieces) == plain.fill("msra", (3, 4), name="w").tobytes()

    asyncio.run(run())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def request() -> Any:
    from filler_client._requests import fill_request

    return fill_request("msra", (3, 4), name="w")


def test_errors_are_raised_where_they_are_awaited(nets: Path) -> None:
    client = AsyncFillerClient.embedded()

    async def run() -> None:
        with pytest.raises(UnknownFiller):
            await client.fill("xaver", (3, 4))
        with pytest.raises(InvalidArgument):
            await client.plan_net("layer {")
        await client.close()
        for call in (
            client.fill("msra", (3, 4), name="w"),
            client.plan_net(nets / "lenet.prototxt"),
            client.fill_many([]),
        ):
            with pytest.raises(InvalidArgument, match="this client is closed"):
                await call
        with pytest.raises(InvalidArgument, match="this client is closed"):
            client.fill_net(nets / "lenet.prototxt")

    asyncio.run(run())


def test_it_serves_any_number_of_loops_and_travels() -> None:
    client = pickle.loads(pickle.dumps(AsyncFillerClient.embedded()))
    first, second = (asyncio.run(client.fill("msra", (3, 4), name="w")) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_the_loop_goes_on_while_a_thread_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def arrays(self: Any, *call: Any) -> Any:
        asked.set()
        assert answered.wait(60)
        yield "w", np.zeros(1)

    monkeypatch.setattr(EmbeddedBackend, "arrays", arrays)

    async def run() -> None:
        filling = asyncio.create_task(AsyncFillerClient.embedded().fill("msra", (1,), name="w"))
        while not asked.is_set():
            await asyncio.sleep(0.001)
        answered.set()
        assert (await filling).tolist() == [0]

    asyncio.run(run())


def test_work_whose_caller_is_cancelled_ends_before_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = threading.Event(), threading.Event()

    def arrays(self: Any, *call: Any) -> Any:
        asked.set()
        try:
            while True:
                checkpoint()
        finally:
            ended.set()
        yield

    monkeypatch.setattr(EmbeddedBackend, "arrays", arrays)

    async def run() -> None:
        filling = asyncio.create_task(AsyncFillerClient.embedded().fill("msra", (1,), name="w"))
        while not asked.is_set():
            await asyncio.sleep(0.001)
        filling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await filling
        assert ended.is_set()

    asyncio.run(run())


def test_a_stream_that_is_given_up_closes(nets: Path) -> None:
    async def run() -> None:
        stream = AsyncFillerClient.embedded().fill_net(nets / "lenet.prototxt", seed=1)
        name, _ = await anext(stream)
        assert name == "conv1/0"
        await stream.aclose()  # type: ignore[attr-defined]

    before = threading.active_count()
    asyncio.run(run())
    assert threading.active_count() <= before


def test_how_clients_are_shown() -> None:
    assert repr(FillerClient.embedded()) == "FillerClient.embedded()"
    assert repr(AsyncFillerClient.embedded()) == "AsyncFillerClient.embedded()"
    assert repr(FillerClient("a:1,b:2", token="secret", insecure=True)) == "FillerClient('a:1,b:2')"
    assert repr(AsyncFillerClient(["a:1", "b:2"], token="secret", insecure=True)) == "AsyncFillerClient('a:1,b:2')"
