"""Each limit of the server, asked for more: RESOURCE_EXHAUSTED with its name, its value and what was asked."""

import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import LimitExceeded
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_client import FillerClient, _requests
from filler_client._errors import from_rpc
from filler_client._security import Security
from filler_server.api.limits import Limits
from tests.processes import ServerProcess

SIZES = {
    "request_bytes": 4000,
    "request_elements": 900,
    "request_blobs": 3,
    "request_nets": 2,
    "net_bytes": 100_000,
    "layers": 20,
    "fields": 100_000,
    "name_length": 2000,
    "plan_bytes": 20_000,
    "held_bytes": 300_000,
    "peer_held_bytes": 400_000,
    "sequential_elements": 500,
    "metadata_bytes": 4096,
}
PLACES = {
    "streams": 3,
    "peer_streams": 2,
    "sequential_streams": 2,
    "peer_sequential_streams": 1,
    "idle_streams": 3,
    "peer_idle_streams": 2,
    "plans": 2,
    "peer_plans": 1,
    "calls": 8,
    "slow_requests": 16,
    "peer_slow_requests": 12,
    "peer_held_bytes": 4_000_000,
}
TIMES = {"call_seconds": 2, "stall_seconds": 1}
ELSEWHERE = {"plan_seconds", "connections", "connection_calls", "ping_seconds", "request_seconds", "probe_bytes"}
"""Of these the first has a test of its own, and `test_wire.py` the others, but for the number of connections, which is
gRPC's own affair."""

NET = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 4 } }
"""
PLAN = filler_pb2.PlanNetRequest(net=NET)
ENDLESS = filler_pb2.FillRequest(
    blobs=[filler_pb2.BlobSpec(filler=FillerParameter(type="xavier"), shape=BlobShape(dim=[2**14, 2**18]))]
)


def options(limits: Mapping[str, float]) -> list[str]:
    return [text for name, value in limits.items() for text in (f"--max-{name.replace('_', '-')}", str(value))]


def blob(*dim: int, kind: str = "msra", **more: object) -> filler_pb2.BlobSpec:
    return filler_pb2.BlobSpec(filler=FillerParameter(type=kind), shape=BlobShape(dim=dim), **more)


def fill(*blobs: filler_pb2.BlobSpec, **more: object) -> filler_pb2.FillRequest:
    return filler_pb2.FillRequest(blobs=blobs, **more)


def region(start: int, stop: int) -> filler_pb2.Region:
    return filler_pb2.Region(flat=filler_pb2.Range(start=start, stop=stop))


def net(layers: int, comment: int = 0) -> bytes:
    return NET + b'layer { name: "r" type: "ReLU" bottom: "ip" top: "ip" }\n' * layers + b"#" * comment


Request = filler_pb2.FillRequest | filler_pb2.FillNetRequest | filler_pb2.PlanNetRequest | filler_pb2.UpgradeNetRequest


def refusal(address: str, request: Request, metadata: tuple[tuple[str, str], ...] = ()) -> LimitExceeded:
    """The refusal of a request, as any client would get it."""
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        if isinstance(request, filler_pb2.FillRequest):
            list(stub.Fill(request, metadata=metadata))
        elif isinstance(request, filler_pb2.FillNetRequest):
            list(stub.FillNet(request, metadata=metadata))
        elif isinstance(request, filler_pb2.PlanNetRequest):
            stub.PlanNet(request, metadata=metadata)
        else:
            stub.UpgradeNet(request, metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, caught.value.details()
    error = from_rpc(caught.value, address, Security())
    assert isinstance(error, LimitExceeded)
    return error


def test_every_limit_is_tried() -> None:
    names = {entry.name for entry in fields(Limits)}
    assert names == {*SIZES, *PLACES, *TIMES, *ELSEWHERE}
    assert {name for name, _, _ in TOO_MUCH} == {*SIZES} - {"metadata_bytes", "peer_held_bytes", "plan_bytes"}


TOO_MUCH: list[tuple[str, Request, int]] = [
    ("request_bytes", fill(blob(501), dtype=filler_pb2.FLOAT64), 4008),
    ("request_bytes", fill(blob(2**40, 2**19)), 2**61),
    ("request_bytes", fill(*[blob(2**40, 2**19)] * 3), 3 * 2**61),
    ("request_bytes", fill(blob(2**40, 2**19, region=region(7, 2**59))), 4 * (2**59 - 7)),
    ("request_elements", fill(blob(901), dtype=filler_pb2.FLOAT16), 901),
    ("request_blobs", fill(*[blob(1)] * 4), 4),
    ("request_blobs", filler_pb2.FillNetRequest(net=PLAN, blobs=[{"name": "ip/0"}] * 4), 4),
    (
        "request_nets",
        filler_pb2.FillNetRequest(net=PLAN, stream=filler_pb2.CAFFE, before=[PLAN] * 3),
        3,
    ),
    (
        "request_nets",
        filler_pb2.PlanNetRequest(net=NET, draws=filler_pb2.Draws(stream=filler_pb2.CAFFE, before=[PLAN] * 3)),
        3,
    ),
    ("net_bytes", filler_pb2.PlanNetRequest(net=net(0, 100_000)), len(NET) + 100_000),
    ("net_bytes", filler_pb2.UpgradeNetRequest(file=net(0, 100_000)), len(NET) + 100_000),
    ("layers", filler_pb2.PlanNetRequest(net=net(19)), 21),
    ("layers", filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=net(19))), 21),
    ("layers", filler_pb2.UpgradeNetRequest(file=b"\xa2\x06\x00" * 21), 21),
    ("request_blobs", filler_pb2.FillRequest(blobs=[{}] * 100_001), 4),
    ("request_blobs", filler_pb2.FillNetRequest(blobs=[{}] * 100_001), 4),
    ("fields", fill(blob(1, region={"box": {"axes": [{}] * 100_001}})), 100_001),
    ("name_length", filler_pb2.PlanNetRequest(net=NET.replace(b'"ip"', b'"' + b"n" * 2001 + b'"')), 2001),
    ("name_length", filler_pb2.UpgradeNetRequest(file=b'layer { name: "' + b"n" * 2001 + b'" }'), 2001),
    ("held_bytes", fill(blob(1, name="n" * 300_000)), 300_021),
    ("sequential_elements", fill(blob(501), stream=filler_pb2.CAFFE, dtype=filler_pb2.FLOAT16), 501),
    ("sequential_elements", fill(blob(2**50, region=region(2**49, 2**49 + 1)), stream=filler_pb2.CAFFE), 2**50),
    ("sequential_elements", fill(blob(1, 2**50, kind="positive_unitball", region=region(0, 1))), 2**50),
    ("sequential_elements", fill(blob(2, 3, kind="orthogonal", region=region(0, 1))), 6 * 2048),
    ("sequential_elements", fill(blob(2**20, 2**21, kind="orthogonal", region=region(0, 1))), 2**61),
    (
        "sequential_elements",
        filler_pb2.FillNetRequest(
            net=filler_pb2.PlanNetRequest(net=NET.replace(b"num_output: 4", b"num_output: 400")),
            stream=filler_pb2.CAFFE,
            blobs=[{"name": "ip/1", "region": region(0, 1)}],
        ),
        1600,
    ),
]


@pytest.fixture(scope="module")
def small(start: Callable[..., ServerProcess]) -> ServerProcess:
    return start(*options(SIZES))


@pytest.mark.parametrize(("name", "request_", "asked"), TOO_MUCH, ids=[name for name, _, _ in TOO_MUCH])
def test_sizes(small: ServerProcess, name: str, request_: Request, asked: int) -> None:
    error = refusal(small.address, request_)
    assert (error.limit, error.value, error.received) == (name, SIZES[name], asked)
    assert f"over the limit {name}={SIZES[name]}. Received: {asked}" in str(error)
    assert error.is_busy == (name == "held_bytes")


def test_the_size_of_a_plan(small: ServerProcess) -> None:
    tops = " ".join(f'top: "{number}"' for number in range(500))
    many = f'layer {{ name: "data" type: "Input" {tops} input_param {{ shape {{ dim: 1 }} }} }}'
    owner = "o" * 1900
    shared = f'''
    layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: [1, 1] }} }} }}
    layer {{ name: "{owner}" type: "Bias" bottom: "d" top: "d" param {{ name: "p" }} }}
    layer {{ name: "s" type: "Bias" bottom: "d" top: "d" param {{ name: "p" }} }}
    '''
    plan = filler_pb2.PlanNetRequest(net=shared.encode())
    many_headers = filler_pb2.FillNetRequest(net=plan, blobs=[{"name": "s/0"}] * 3)
    for request in (
        filler_pb2.PlanNetRequest(net=many.encode()),
        filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=many.encode())),
    ):
        error = refusal(small.address, request)
        assert error.limit == "plan_bytes"
        assert error.received is not None
        assert error.received > 500 * 200
        assert not error.is_busy
    with grpc.insecure_channel(small.address) as channel:
        assert list(filler_pb2_grpc.FillerServiceStub(channel).FillNet(many_headers))


def test_metadata(small: ServerProcess) -> None:
    error = refusal(small.address, PLAN, metadata=(("x-long", "v" * 4096),))
    assert error.metadata["limit"] == "metadata_bytes"
    assert int(error.metadata["received"]) > 4096


def test_what_is_just_within(small: ServerProcess) -> None:
    with grpc.insecure_channel(small.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        for request in (
            fill(blob(500), dtype=filler_pb2.FLOAT64),
            fill(blob(900), dtype=filler_pb2.FLOAT16),
            fill(blob(1), blob(1), blob(1)),
            fill(blob(500), stream=filler_pb2.CAFFE),
        ):
            assert list(stub.Fill(request))
        assert stub.PlanNet(filler_pb2.PlanNetRequest(net=net(18))).parameters == 16


@pytest.mark.parametrize("shape", [[2**63 - 1], [2**62, 2**62], [2**32, 2**32], [2**21] * 3, [2**63 - 1] * 32])
def test_shapes_that_overflow(small: ServerProcess, shape: list[int]) -> None:
    with grpc.insecure_channel(small.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(filler_pb2_grpc.FillerServiceStub(channel).Fill(fill(blob(*shape))))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second address of the server, at which its clients are another peer."""
    return f"unix:{tmp_path_factory.mktemp('crowded')}/socket"


@pytest.fixture(scope="module")
def crowded(start: Callable[..., ServerProcess], socket_path: str) -> ServerProcess:
    return start(*options(PLACES), "--listen", socket_path)


@contextmanager
def running(address: str, requests: list[filler_pb2.FillRequest]) -> Iterator[None]:
    """Hold streams that do not end."""
    with grpc.insecure_channel(address) as channel:
        streams = [filler_pb2_grpc.FillerServiceStub(channel).Fill(request) for request in requests]
        for stream in streams:
            next(stream)
        yield


CAFFE = fill(blob(2**14, 2**13), stream=filler_pb2.CAFFE)


def test_streams(crowded: ServerProcess, socket_path: str) -> None:
    with running(crowded.address, [ENDLESS, ENDLESS]):
        error = refusal(crowded.address, fill(blob(1)))
        assert error.metadata == {"limit": "peer_streams", "value": "2", "received": "3"}
        assert error.is_busy
        with running(socket_path, [ENDLESS]):
            error = refusal(socket_path, fill(blob(1)))
            assert error.metadata == {"limit": "streams", "value": "3", "received": "4"}
            assert error.is_busy


def test_sequential_streams(crowded: ServerProcess, socket_path: str) -> None:
    with running(crowded.address, [CAFFE]):
        draws = filler_pb2.PlanNetRequest(net=NET, draws=filler_pb2.Draws(stream=filler_pb2.CAFFE))
        for request in (CAFFE, draws):
            error = refusal(crowded.address, request)
            assert error.metadata == {"limit": "peer_sequential_streams", "value": "1", "received": "2"}
            assert error.is_busy
        with running(socket_path, [CAFFE]):
            error = refusal(socket_path, CAFFE)
            assert error.metadata["limit"] == "peer_sequential_streams"
        with FillerClient(crowded.address) as client:
            assert client.fill("msra", (3, 3)).shape == (3, 3)


def test_idle_streams(crowded: ServerProcess, socket_path: str) -> None:
    with grpc.insecure_channel(crowded.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        ended = threading.Event()

        def questions() -> Iterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            ended.wait(120)

        reflection = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(questions())
        assert next(reflection).list_services_response.service
        with pytest.raises(grpc.RpcError) as caught:
            next(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "over the limit peer_idle_streams=2. Received: 3"
        with grpc.insecure_channel(socket_path) as other:
            stub = health_pb2_grpc.HealthStub(other)
            third = stub.Watch(health_pb2.HealthCheckRequest())
            assert next(third).status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Watch(health_pb2.HealthCheckRequest()))
            assert caught.value.details() == "over the limit idle_streams=3. Received: 4"
            third.cancel()
        ended.set()
        watch.cancel()
        assert list(reflection) == []


def test_plans(crowded: ServerProcess) -> None:
    # Each another: a plan that was made is kept. Three together stay within peer_held_bytes.
    large = [filler_pb2.PlanNetRequest(net=net(11_500, comment)) for comment in range(4)]
    with grpc.insecure_channel(crowded.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        answers = [stub.PlanNet.future(request) for request in large[:3]]
        refusals = [error for error in (answer.exception() for answer in answers) if error is not None]
        assert 1 <= len(refusals) <= 2
        for error in refusals:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.details() == "over the limit peer_plans=1. Received: 2"
        assert stub.PlanNet(large[3], timeout=60).parameters == 16


def test_the_messages_of_one_peer(crowded: ServerProcess) -> None:
    error = refusal(crowded.address, fill(blob(1, name="n" * 4_000_000)))
    assert error.metadata["limit"] == "peer_held_bytes"
    assert error.is_busy


def test_the_time_of_a_plan(start: Callable[..., ServerProcess]) -> None:
    process = start("--max-plan-seconds", "0.01")
    error = refusal(process.address, filler_pb2.PlanNetRequest(net=net(12_000)))
    assert error.metadata["limit"] == "plan_seconds"
    assert not error.is_busy
    assert not error.is_cut_off


def test_a_plan_that_is_kept_needs_no_place(crowded: ServerProcess) -> None:
    # Long enough to need a place when it is planned, and short enough to be kept.
    kept = filler_pb2.PlanNetRequest(net=net(1_000))
    others = [filler_pb2.PlanNetRequest(net=net(12_000, comment)) for comment in range(10, 13)]
    done: queue.Queue[grpc.Future] = queue.Queue()
    with grpc.insecure_channel(crowded.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        assert stub.PlanNet(kept, timeout=60).parameters == 16
        for other in others:
            stub.PlanNet.future(other).add_done_callback(done.put)
        # Whoever is refused is so at once, while the place is held.
        assert done.get(timeout=60).exception().code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(20):
            assert stub.PlanNet(kept, timeout=60).parameters == 16
        for _ in others[1:]:
            done.get(timeout=60)


def test_calls(crowded: ServerProcess) -> None:
    over = threading.Event()
    done: queue.Queue[grpc.Future] = queue.Queue()

    def requests() -> Iterator[bytes]:
        over.wait(120)
        yield PLAN.SerializeToString()

    with grpc.insecure_channel(crowded.address) as channel:
        plan_net = channel.stream_unary("/caffe_filler.v1.FillerService/PlanNet")
        answers = [plan_net.future(requests()) for _ in range(PLACES["calls"] + 1)]
        for answer in answers:
            answer.add_done_callback(done.put)
        # Whichever came last: the others still send their request.
        status = done.get(timeout=60).exception()
        assert status.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = from_rpc(status, crowded.address, Security())
        assert isinstance(error, LimitExceeded)
        assert error.metadata == {"limit": "calls"}
        assert error.is_busy
        over.set()
        planned = [answer.result() for answer in answers if answer.exception() is None]
        assert planned
        assert all(filler_pb2.PlanNetResponse.FromString(plan).parameters == 16 for plan in planned)


@pytest.mark.parametrize("count", [24])
def test_a_client_waits_for_its_place(crowded: ServerProcess, count: int) -> None:
    def one(seed: int) -> bool:
        with FillerClient(crowded.address) as client, FillerClient.embedded() as here:
            return bool(
                (client.fill("msra", (512, 1024), seed=seed) == here.fill("msra", (512, 1024), seed=seed)).all()
            )

    with ThreadPoolExecutor(count) as pool:
        assert all(pool.map(one, range(count)))


@pytest.fixture(scope="module")
def hasty(start: Callable[..., ServerProcess]) -> dict[str, ServerProcess]:
    """For each limit of time a server with that one alone, so that no other can come first."""
    return {name: start(*options({name: value})) for name, value in TIMES.items()}


def check_ended(error: grpc.RpcError, name: str) -> None:
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    found = re.fullmatch(rf"over the limit {name}={TIMES[name]}\.0\. Received: (\d+\.\d)", error.details())
    assert found is not None, error.details()
    assert float(found[1]) >= TIMES[name]


def test_the_time_of_a_call(hasty: dict[str, ServerProcess]) -> None:
    with grpc.insecure_channel(hasty["call_seconds"].address) as channel, pytest.raises(grpc.RpcError) as caught:
        for _ in filler_pb2_grpc.FillerServiceStub(channel).Fill(ENDLESS):
            pass
    check_ended(caught.value, "call_seconds")


def test_a_reader_that_stalls(hasty: dict[str, ServerProcess]) -> None:
    process = hasty["stall_seconds"]
    with grpc.insecure_channel(process.address) as channel:
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(ENDLESS, metadata=[("x-request-id", "stalled")])
        next(stream)
        process.wait_for("stalled")
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
    check_ended(caught.value, "stall_seconds")


@pytest.mark.parametrize("name", TIMES)
def test_a_client_goes_on_when_it_was_ended(hasty: dict[str, ServerProcess], name: str) -> None:
    process = hasty[name]
    received = bytearray()
    with FillerClient(process.address, request_id="goes-on") as client:
        for piece in client.pieces(_requests.fill_request("xavier", (2**12, 2**13), seed=3)):
            if len(received) < 1 << 23 <= len(received) + len(piece.data):
                # A call is a line of the log when it has ended.
                process.wait_for("goes-on")
            received += piece.data
    with FillerClient.embedded() as here:
        assert received == here.fill("xavier", (2**12, 2**13), seed=3).tobytes()
    ended = [line for line in process.log.splitlines() if "goes-on" in line]
    assert f"over the limit {name}={TIMES[name]}.0" in ended[0]
