"""Every field of every request, with anything in it: an answer, or a status that says what is wrong."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_filler.v1 import filler_pb2
from tests.processes import ServerProcess
from tests.service.faults.messages import Messages, fields_of

SERVICE = "/caffe_filler.v1.FillerService/"
METHODS: dict[str, type[Message]] = {
    "ListFillers": filler_pb2.ListFillersRequest,
    "Fill": filler_pb2.FillRequest,
    "PlanNet": filler_pb2.PlanNetRequest,
    "FillNet": filler_pb2.FillNetRequest,
    "UpgradeNet": filler_pb2.UpgradeNetRequest,
}
CLEAN = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
MOST_BYTES = 4 << 20

NET = b"""
name: "n"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer {
  name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "uniform" } }
}
layer { name: "lstm" type: "LSTM" bottom: "ip" bottom: "ip" top: "x" recurrent_param { num_output: 2 } }
layer { name: "magic" type: "Magic" bottom: "ip" top: "magic" }
layer { name: "next" type: "InnerProduct" bottom: "magic" top: "next" inner_product_param { num_output: 4 } }
"""
FOLDER = Path(__file__).resolve().parents[2] / "nets"
NETS = [NET, *(path.read_bytes() for path in sorted(FOLDER.glob("*.prototxt")) if path.stat().st_size < 20_000)]
NAMES = ["data", "ip", "ip/0", "ip/1", "magic", "next/0", "lstm/0", "x"]
FILLERS = ["constant", "gaussian", "msra", "xavier", "uniform", "bilinear", "positive_unitball"]

MESSAGES = Messages(
    {
        "net": st.sampled_from(NETS),
        "file": st.sampled_from(NETS),
        "type": st.sampled_from(FILLERS),
        "name": st.sampled_from(NAMES),
        "dim": st.integers(1, 40),
        "start": st.integers(0, 5),
        "stop": st.integers(0, 40),
        "blob": st.integers(0, 3),
        "offset": st.integers(0, 64),
        "sparse": st.integers(-1, 3),
        "std": st.floats(0, 10, width=32),
    }
)

examples = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def channel(start: Callable[..., ServerProcess]) -> Iterator[grpc.Channel]:
    server = start("--max-request-bytes", str(1 << 26), "--max-sequential-elements", str(1 << 24))
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def answer(channel: grpc.Channel, method: str, request: bytes) -> str:
    """Send anything as a request, and return the status; of a stream no more than some megabytes are taken."""
    try:
        if method in ("Fill", "FillNet"):
            stream = channel.unary_stream(SERVICE + method)(request, timeout=60)
            taken = 0
            for message in stream:
                taken += len(message)
                if taken > MOST_BYTES:
                    stream.cancel()
                    break
        else:
            channel.unary_unary(SERVICE + method)(request, timeout=60)
    except grpc.RpcError as error:
        return str(error.code().name) if error.details() else f"{error.code().name} without a word"
    return "OK"


def check(channel: grpc.Channel, method: str, request: bytes) -> None:
    assert answer(channel, method, request) in CLEAN
    assert answer(channel, "ListFillers", b"") == "OK"


@pytest.mark.parametrize("method", METHODS)
def test_any_request(channel: grpc.Channel, method: str) -> None:
    kind = METHODS[method]

    @examples
    @given(MESSAGES.of(kind))
    def run(request: Message) -> None:
        check(channel, method, request.SerializeToString())

    run()
    assert fields_of(kind.DESCRIPTOR) <= MESSAGES.seen


@pytest.mark.parametrize("method", METHODS)
def test_any_request_with_damage(channel: grpc.Channel, method: str) -> None:
    @examples
    @given(MESSAGES.of(METHODS[method]), st.integers(0, 2**32))
    def run(request: Message, seed: int) -> None:
        check(channel, method, damaged(request.SerializeToString(), random.Random(seed)))

    run()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, lost, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(changed))
        end = min(len(changed), at + chance.randint(0, 8))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at:end] = chance.randbytes(end - at)
        elif kind == 1:
            del changed[at:end]
        elif kind == 2:
            changed[at:at] = changed[at:end]
        else:
            changed[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(changed)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_of_nothing(channel: grpc.Channel, method: str) -> None:
    chance = random.Random(method)
    for length in [*range(1, 60), 1000, 70_000, 1 << 20]:
        check(channel, method, chance.randbytes(length))
