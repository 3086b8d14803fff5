"""A request that a server understood otherwise, and answers rightly as it understood it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from caffe_filler.errors import DataLoss, FillerError
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, _requests
from tests.client.lies.server import LyingServer
from tests.processes import ServerProcess

ONCE = RetryPolicy(attempts=1)
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 6] } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one"
        inner_product_param { num_output: 9 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def liar() -> Iterator[LyingServer]:
    with LyingServer() as liar:
        liar.tells = True
        yield liar


def heard(change: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Return what a server hears of a request that is changed on its way."""

    def hears(request: Any) -> Any:
        changed = type(request)()
        changed.CopyFrom(request)
        change(changed)
        return changed

    return hears


def set_filler(field: str, value: Any) -> Callable[[Any], object]:
    return lambda request: setattr(request.blobs[0].filler, field, value)


FILL: dict[str, Callable[[Any], object]] = {
    "seed": lambda request: setattr(request, "seed", request.seed ^ 1),
    "stream": lambda request: setattr(request, "stream", filler_pb2.CAFFE),
    "type": set_filler("type", "msra"),
    "value": set_filler("value", 1),
    "min": set_filler("min", -1),
    "std": set_filler("std", 1.0000001),
    "variance_norm": set_filler("variance_norm", 1),
}
NETS: dict[str, Callable[[Any], object]] = {
    "seed": lambda request: setattr(request, "seed", request.seed ^ 1 << 63),
    "stream": lambda request: setattr(request, "stream", filler_pb2.CAFFE_1_55),
    "data_draws": lambda request: setattr(request, "data_draws", filler_pb2.NONE),
    "phase": lambda request: setattr(request.net.state, "phase", 1),
    "stages": lambda request: request.net.state.stage.append("other"),
    "strict": lambda request: setattr(request.net, "strict", True),
    "net": lambda request: setattr(request.net, "net", request.net.net.replace(b"xavier", b"msra")),
    "comment": lambda request: setattr(request.net, "net", request.net.net + b" "),
    "before": lambda request: request.before.add(net=request.net.net),
}


@pytest.mark.parametrize("change", FILL)
def test_a_fill(liar: LyingServer, change: str) -> None:
    liar.hears = heard(FILL[change])
    words = r"answers another request than that for blob 0, 'name'\. Received: request_crc32c=0x[0-9a-f]{8}, asked: 0x"
    with FillerClient(liar.address, retry=ONCE) as client, pytest.raises(DataLoss, match=words):
        client.fill("xavier", (6, 9), seed=3, name="name")

    async def run() -> None:
        async with AsyncFillerClient(liar.address, retry=ONCE) as client:
            await client.fill("xavier", (6, 9), seed=3, name="name")

    with pytest.raises(DataLoss, match="answers another request"):
        asyncio.run(run())


@pytest.mark.parametrize("change", NETS)
def test_a_net(liar: LyingServer, change: str) -> None:
    liar.hears = heard(NETS[change])
    with FillerClient(liar.address, retry=ONCE) as client:
        for blobs in (None, {"one/0": np.s_[2:4]}):
            with pytest.raises(DataLoss, match=r"answers another request than that for blob 0, 'one/0'\."):
                client.init_net(NET, seed=3, blobs=blobs)


def test_what_was_misheard_once_is_asked_again(liar: LyingServer) -> None:
    calls: list[int] = []

    def hears(request: Any) -> Any:
        calls.append(1)
        return heard(FILL["seed"])(request) if len(calls) == 1 else request

    liar.hears = hears
    with FillerClient(liar.address) as client:
        received = client.fill("xavier", (6, 9), seed=3, name="name")
    np.testing.assert_array_equal(received, FillerClient.embedded().fill("xavier", (6, 9), seed=3, name="name"))
    assert len(calls) == 2


@pytest.mark.parametrize("tells", [True, False])
def test_servers_that_tell_and_those_that_are_older(liar: LyingServer, tells: bool) -> None:
    liar.tells = tells
    embedded = FillerClient.embedded()
    with FillerClient(liar.address, retry=ONCE) as client:
        for region in (None, np.s_[2:4, 1:], np.s_[:3]):
            received = client.fill("msra", (6, 9), seed=2**64 - 1, dtype="bf16", region=region)
            expected = embedded.fill("msra", (6, 9), seed=2**64 - 1, dtype="bf16", region=region)
            assert received.tobytes() == expected.tobytes()
        received = client.init_net(NET, seed=3, phase="TEST", level=2, stages=["x"], stream="caffe", data_draws="none")
        assert list(received) == ["one/0", "one/1"]


def test_every_flipped_bit_of_a_request_is_noticed_or_means_nothing(liar: LyingServer) -> None:
    request = _requests.fill_request("xavier", (6, 9), seed=3, name="name", region=np.s_[1:4])
    encoded = request.SerializeToString()
    expected = FillerClient.embedded().fill("xavier", (6, 9), seed=3, name="name", region=np.s_[1:4])
    noticed = 0
    with FillerClient(liar.address, retry=ONCE) as client:
        for position in range(8 * len(encoded)):
            data = bytearray(encoded)
            data[position // 8] ^= 1 << position % 8
            try:
                changed = filler_pb2.FillRequest.FromString(bytes(data))
            except DecodeError:
                continue
            liar.hears = lambda _, changed=changed: changed
            try:
                received = client.fill("xavier", (6, 9), seed=3, name="name", region=np.s_[1:4])
            except FillerError:
                noticed += 1
            else:
                np.testing.assert_array_equal(received, expected)
    assert noticed > len(encoded)


def test_real_servers_tell(server: ServerProcess) -> None:
    request = _requests.fill_net_request(NET, seed=3, blobs={"one/0": np.s_[2:4], "one/1": None})
    with FillerClient(server.address) as client:
        for stream in (request, _requests.fill_request("msra", (3, 3))):
            for piece in client.pieces(stream):
                assert piece.header.HasField("request_crc32c")
