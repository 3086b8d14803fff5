"""One peer's long work does not keep that of another waiting."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from tests.processes import ServerProcess

LAYER = 'layer { name: "%d" type: "InnerProduct" bottom: "d" top: "%d" inner_product_param { num_output: 3 } }\n'


def net(layers: int, number: int) -> filler_pb2.PlanNetRequest:
    """A net that no other request has."""
    text = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [2, 3] } } }\n'
    text += "".join(LAYER % (layer, layer) for layer in range(layers)) + f"# {number}"
    return filler_pb2.PlanNetRequest(net=text.encode())


@pytest.fixture(scope="module")
def server_of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two addresses of a server, at which clients are two peers."""
    socket: Path = tmp_path_factory.mktemp("peers") / "socket"
    process = ServerProcess("--listen", f"unix:{socket}")
    process.wait_for("serving on unix:")
    yield process.address, f"unix:{socket}"
    assert process.stop() == 0, process.log


def test_slow_plans_of_one_peer(server_of_two: tuple[str, str]) -> None:
    with grpc.insecure_channel(server_of_two[0]) as many, grpc.insecure_channel(server_of_two[1]) as one:
        slow = [filler_pb2_grpc.FillerServiceStub(many).PlanNet.future(net(8_000, number)) for number in range(12)]
        # Of one peer eight wait or are worked on; of the others it is said so at once.
        while len(refused := [call for call in slow if call.done() and call.exception() is not None]) < 4:
            time.sleep(0.01)
        assert all("over the limit peer_plans=8" in call.exception().details() for call in refused)
        running = [call for call in slow if call not in refused]
        answer = filler_pb2_grpc.FillerServiceStub(one).PlanNet(net(400, 0), timeout=120)
        assert len(answer.layers) == 401
        assert sum(call.done() for call in running) < len(running)
        for call in running:
            assert len(call.result().layers) == 8_001
