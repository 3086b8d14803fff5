"""The server as a process, spoken to by stock generated stubs: nothing of the project's client is used here."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import crc32c
import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter, NetState
from caffe_filler.filler_types import CAFFE_FILLERS, OWN_FILLERS
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_client import FillerClient
from filler_server.frameworks.names import NAMES
from tests.processes import ServerProcess

MSRA = FillerParameter(type="msra")


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> filler_pb2_grpc.FillerServiceStub:
    return filler_pb2_grpc.FillerServiceStub(channel)


def spec(filler: FillerParameter = MSRA, shape: tuple[int, ...] = (8, 4), **fields: object) -> filler_pb2.BlobSpec:
    return filler_pb2.BlobSpec(filler=filler, shape=BlobShape(dim=shape), **fields)


def flat(start: int, stop: int | None) -> filler_pb2.Region:
    return filler_pb2.Region(flat=filler_pb2.Range(start=start, stop=stop))


def box(*axes: tuple[int, int]) -> filler_pb2.Region:
    return filler_pb2.Region(box=filler_pb2.Box(axes=[filler_pb2.Range(start=a, stop=b) for a, b in axes]))


def test_a_stock_client_reads_the_values_of_a_stream(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    shape = (300, 40, 7, 7)
    request = filler_pb2.FillRequest(
        blobs=[spec(shape=shape, name="a"), spec(FillerParameter(type="xavier"), (5, 3), name="b")], seed=3
    )
    data = [bytearray(), bytearray()]
    headers: list[filler_pb2.BlobHeader] = []
    ended: list[int] = []
    messages = 0
    for response in stub.Fill(request):
        assert response.HasField("header") == (messages == 0)
        messages += 1
        for piece in response.pieces:
            if piece.HasField("header"):
                headers.append(piece.header)
            assert piece.offset == len(data[piece.blob])
            assert piece.crc32c == crc32c.crc32c(piece.data)
            data[piece.blob] += piece.data
            if piece.last:
                ended.append(piece.blob)
    assert ended == [0, 1]
    assert messages > 2
    assert [header.name for header in headers] == ["a", "b"]
    assert [tuple(header.shape.dim) for header in headers] == [shape, (5, 3)]
    with FillerClient.embedded() as client:
        first = client.fill(MSRA, shape, seed=3, name="a")
        second = client.fill("xavier", (5, 3), seed=3, name="b")
    np.testing.assert_array_equal(np.frombuffer(data[0], "<f4").reshape(shape), first)
    np.testing.assert_array_equal(np.frombuffer(data[1], "<f4").reshape(5, 3), second)


def test_health_and_reflection(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "caffe_filler.v1.FillerService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "caffe_filler.v1.FillerService" in database.get_services()
    assert database.FindFileContainingSymbol("caffe_filler.v1.FillRequest").package == "caffe_filler.v1"


def test_list_fillers_has_all_with_defaults(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    answer = stub.ListFillers(filler_pb2.ListFillersRequest())
    fields = {filler.type: {field.name: field.default_value for field in filler.fields} for filler in answer.fillers}
    assert set(fields) == {*CAFFE_FILLERS, *OWN_FILLERS, *NAMES}
    assert fields["torch.kaiming_normal_"] == {"variance_norm": "FAN_IN"}
    assert fields["torch.constant_"] == {"value": ""}
    assert fields["truncated_gaussian"] == {"mean": "0.0", "std": "1.0", "min": "", "max": ""}
    assert fields["variance_scaling_truncated"] == {"value": "1.0", "variance_norm": "FAN_IN"}
    assert fields["gaussian"] == {"mean": "0.0", "std": "1.0", "sparse": "-1"}
    assert fields["xavier"] == {"variance_norm": "FAN_IN"}
    assert all(filler.description for filler in answer.fillers)


INVALID = {
    "unknown filler": (spec(FillerParameter(type="Xavier")), "NOT_FOUND", "xavier"),
    "sparse on another filler": (spec(FillerParameter(type="msra", sparse=1)), "INVALID_ARGUMENT", "sparse"),
    "sparse over the rows": (spec(FillerParameter(type="gaussian", sparse=9)), "INVALID_ARGUMENT", "sparse"),
    "std 0": (spec(FillerParameter(type="gaussian", std=0)), "INVALID_ARGUMENT", "std"),
    "std NaN": (spec(FillerParameter(type="gaussian", std=float("nan"))), "INVALID_ARGUMENT", "std"),
    "min over max": (spec(FillerParameter(type="uniform", min=2, max=1)), "INVALID_ARGUMENT", "min"),
    "zero dimension": (spec(shape=(0, 3)), "INVALID_ARGUMENT", "Received: shape=[0, 3]"),
    "negative dimension": (spec(shape=(-4, 3)), "INVALID_ARGUMENT", "Received: shape=[-4, 3]"),
    "overflow": (spec(shape=(2**40, 2**40)), "INVALID_ARGUMENT", "at most"),
    "33 axes": (spec(shape=(1,) * 33), "INVALID_ARGUMENT", "33"),
    "non-square bilinear": (spec(FillerParameter(type="bilinear"), (1, 1, 4, 5)), "INVALID_ARGUMENT", "[1, 1, 4, 5]"),
    "region outside": (spec(region=box((0, 9), (0, 4))), "INVALID_ARGUMENT", "axis 0"),
    "region of other rank": (spec(region=box((0, 8), (0, 4), (0, 1))), "INVALID_ARGUMENT", "axes"),
    "flat region outside": (spec(region=flat(3, 33)), "INVALID_ARGUMENT", "32"),
    "huge": (spec(shape=(2**20, 2**20)), "RESOURCE_EXHAUSTED", "request_bytes"),
}


def details(error: grpc.RpcError) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                assert detail.Unpack(info) or detail.Unpack(bad_request)
    return info, bad_request


@pytest.mark.parametrize("case", INVALID)
def test_bad_input_has_a_status_that_names_it(stub: filler_pb2_grpc.FillerServiceStub, case: str) -> None:
    blob, code, text = INVALID[case]
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Fill(filler_pb2.FillRequest(blobs=[spec(), blob])))
    error = caught.value
    assert error.code() is grpc.StatusCode[code], error.details()
    assert text in error.details()
    info, bad_request = details(error)
    assert info.domain == "caffe_filler"
    assert info.reason
    if code == "INVALID_ARGUMENT":
        assert [violation.field.startswith("blobs[1].") for violation in bad_request.field_violations] == [True]


@pytest.mark.parametrize(
    ("start", "allowed"),
    [
        ((0, 0), True),
        ((0, 128), True),
        ((1, 0), True),
        ((2, 0), True),
        ((0, 129), False),
        ((2, 1), False),
        ((3, 0), False),
    ],
)
def test_start_past_the_end_is_refused(
    stub: filler_pb2_grpc.FillerServiceStub, start: tuple[int, int], allowed: bool
) -> None:
    request = filler_pb2.FillRequest(blobs=[spec(), spec()], start=filler_pb2.Position(blob=start[0], offset=start[1]))
    if allowed:
        sent = sum(len(piece.data) for response in stub.Fill(request) for piece in response.pieces)
        assert sent == 256 - 128 * start[0] - start[1]
    else:
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Fill(request))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"blob {start[0]}, offset {start[1]}" in caught.value.details()


def test_unknown_enum_values_are_refused(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    for request in (filler_pb2.FillRequest(dtype=9), filler_pb2.FillRequest(stream=7)):  # type: ignore[arg-type]
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Fill(request))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


NET = b"""
name: "n"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 4 } }
"""

BAD_NETS = {
    "syntax": (b"layer {\n  name: }", "2:9"),
    "unknown bottom": (NET.replace(b'bottom: "data"', b'bottom: "date"'), "date"),
    "wrong shapes": (NET + b'layer { name: "r" type: "Eltwise" bottom: "ip" bottom: "data" top: "r" }', "layer 'r'"),
    "not a net": (b"\x00\xff\x00\xff", "not a binary message"),
}


@pytest.mark.parametrize("case", BAD_NETS)
@pytest.mark.parametrize("method", ["PlanNet", "FillNet"])
def test_bad_nets_are_refused(stub: filler_pb2_grpc.FillerServiceStub, method: str, case: str) -> None:
    net, text = BAD_NETS[case]
    request = filler_pb2.PlanNetRequest(net=net)
    with pytest.raises(grpc.RpcError) as caught:
        if method == "PlanNet":
            stub.PlanNet(request)
        else:
            list(stub.FillNet(filler_pb2.FillNetRequest(net=request)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in caught.value.details()


def test_plan_net_and_a_selection_of_fill_net(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    plan = filler_pb2.PlanNetRequest(net=NET, state=NetState(stage=["deploy"]))
    answer = stub.PlanNet(plan)
    assert (answer.name, answer.parameters, list(answer.state.stage)) == ("n", 16, ["deploy"])
    assert [blob.name for layer in answer.layers for blob in layer.blobs] == ["ip/0", "ip/1"]
    selection = [filler_pb2.BlobSelection(name="ip/1"), filler_pb2.BlobSelection(name="ip/0", region=flat(2, None))]
    responses = list(stub.FillNet(filler_pb2.FillNetRequest(net=plan, blobs=selection)))
    sizes = [(piece.header.name, len(piece.data)) for response in responses for piece in response.pieces]
    assert sizes == [("ip/1", 16), ("ip/0", 40)]
    selection[0].name = "ip/2"
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.FillNet(filler_pb2.FillNetRequest(net=plan, blobs=selection)))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_deadline_ends_a_stream(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    request = filler_pb2.FillRequest(blobs=[spec(shape=(2**14, 2**18))])
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stub.Fill(request, timeout=0.2):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert stub.ListFillers(filler_pb2.ListFillersRequest(), timeout=10).fillers


def test_unix_socket_and_graceful_stop(tmp_path: Path) -> None:
    process = ServerProcess(listen=f"unix:{tmp_path}/filler.sock")
    with grpc.insecure_channel(process.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        stream = stub.Fill(filler_pb2.FillRequest(blobs=[spec(shape=(2**10, 2**16))]))
        received = sum(len(piece.data) for piece in next(stream).pieces)
        process.process.send_signal(signal.SIGTERM)
        received += sum(len(piece.data) for response in stream for piece in response.pieces)
    assert received == 2**28
    assert process.stop() == 0
    assert "stopped" in process.log


def test_a_second_signal_stops_at_once() -> None:
    process = ServerProcess("--grace", "60", "--metrics-listen", "127.0.0.1:0")
    with grpc.insecure_channel(process.address) as channel:
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(
            filler_pb2.FillRequest(blobs=[spec(shape=(2**15, 2**18))])
        )
        next(stream)
        process.process.send_signal(signal.SIGINT)
        process.wait_for("stopping")
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(timeout=20) == 0
        with pytest.raises(grpc.RpcError):
            list(stream)
    process.stop()


def test_an_address_in_use_is_refused_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError, match=rf"ended with 1(.|\n)*cannot listen there.*{address}"):
            ServerProcess(listen=address)


def test_limits_are_refused_by_name() -> None:
    process = ServerProcess(
        "--max-request-bytes", "1000", "--max-request-blobs", "2", "--max-net-bytes", "100", "--max-streams", "1"
    )
    with grpc.insecure_channel(process.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        requests = {
            "request_bytes=1000": lambda: list(stub.Fill(filler_pb2.FillRequest(blobs=[spec(shape=(251,))]))),
            "request_blobs=2": lambda: list(stub.Fill(filler_pb2.FillRequest(blobs=[spec()] * 3))),
            "net_bytes=100": lambda: stub.PlanNet(filler_pb2.PlanNetRequest(net=NET)),
        }
        for limit, call in requests.items():
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert limit in caught.value.details()
            info, _ = details(caught.value)
            assert info.metadata["limit"] == limit.partition("=")[0]
    assert process.stop() == 0


def test_long_calls_leave_room_for_short_ones() -> None:
    process = ServerProcess("--max-streams", "1")
    with grpc.insecure_channel(process.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        stream = stub.Fill(filler_pb2.FillRequest(blobs=[spec(shape=(2**15, 2**18))]))
        next(stream)
        draws = filler_pb2.PlanNetRequest(net=NET, draws=filler_pb2.Draws(stream=filler_pb2.CAFFE))
        for call in (lambda: stub.PlanNet(draws), lambda: next(stub.Fill(filler_pb2.FillRequest(blobs=[spec()])))):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "streams=1" in caught.value.details()
        assert stub.PlanNet(filler_pb2.PlanNetRequest(net=NET)).parameters == 16
        stream.cancel()
    process.kill()


def test_draws_are_counted_where_asked_for(stub: filler_pb2_grpc.FillerServiceStub) -> None:
    net = NET.replace(b"num_output: 4", b'num_output: 4 weight_filler { type: "xavier" }')
    draws = filler_pb2.Draws(stream=filler_pb2.CAFFE, seed=1701)
    answer = stub.PlanNet(filler_pb2.PlanNetRequest(net=net, draws=draws))
    assert answer.sequential
    assert [layer.draws for layer in answer.layers] == [0, 12]
    plain = stub.PlanNet(filler_pb2.PlanNetRequest(net=net))
    assert not plain.sequential
    assert not any(layer.HasField("draws") for layer in plain.layers)
    with pytest.raises(grpc.RpcError) as caught:
        stub.PlanNet(filler_pb2.PlanNetRequest(net=net, draws=filler_pb2.Draws()))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
