"""From the start of a server to its end, and that of its calls, in real processes."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import Unavailable
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_client import FillerClient, RetryPolicy
from filler_client._errors import from_rpc
from filler_client._security import Security
from tests.processes import ServerProcess
from tests.service.scraping import until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
FILL = "caffe_filler.v1.FillerService/Fill"
REFUSED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""Statuses of gRPC for a server that ends, depending on whether it still has the connection; clients go elsewhere."""

PATIENT = RetryPolicy(attempts=1000, longest_delay=0.2)
SERVICE = health_pb2.HealthCheckRequest(service="caffe_filler.v1.FillerService")


def fill(rows: int, *, stream: int = filler_pb2.PHILOX, last: int | None = None) -> filler_pb2.FillRequest:
    """A gaussian blob of so many rows of a MiB, or its last values."""
    shape = (rows, 2**18)
    blob = filler_pb2.BlobSpec(filler=FillerParameter(type="gaussian"), shape=BlobShape(dim=shape))
    if last is not None:
        blob.region.flat.start = rows * 2**18 - last
    return filler_pb2.FillRequest(blobs=[blob], stream=stream)  # type: ignore[arg-type]


ENDLESS = {
    "sending": fill(2**18),
    "computing": fill(2**20, stream=filler_pb2.CAFFE, last=8),
}
"""Streams that take an hour; the tests of these end because the streams do."""
FOR_ENDLESS = ("--max-streams", "1", "--max-sequential-elements", str(2**40))


def test_not_serving_before_the_kernels_are_compiled_and_no_waiting_for_them(tmp_path: Path) -> None:
    process = ServerProcess(
        listen=f"unix:{tmp_path}/filler.sock",
        env={"NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        until="compiling (kernels)",
    )
    with grpc.insecure_channel(f"unix:{tmp_path}/filler.sock") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(SERVICE, wait_for_ready=True, timeout=60)
        assert answer.status == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            filler_pb2_grpc.FillerServiceStub(channel).ListFillers(filler_pb2.ListFillersRequest(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "still compiling" in caught.value.details()
    assert process.stop() == 0
    assert "stopping before all kernels were compiled" in process.log
    assert "serving on" not in process.log
    assert "Traceback" not in process.log


def test_running_streams_finish_and_idle_ones_are_not_waited_for() -> None:
    process = ServerProcess("--grace", "600")
    with grpc.insecure_channel(process.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(SERVICE)
        assert next(watch).status == SERVING
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        streams = [stub.Fill(fill(256)) for _ in range(3)]
        received = [sum(len(piece.data) for piece in next(stream).pieces) for stream in streams]
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        process.wait_for("stopping")
        with grpc.insecure_channel(process.address) as other, pytest.raises(grpc.RpcError) as caught:
            filler_pb2_grpc.FillerServiceStub(other).ListFillers(filler_pb2.ListFillersRequest(), timeout=60)
        assert caught.value.code() in REFUSED, caught.value.details()
        assert isinstance(from_rpc(caught.value, process.address, Security()), Unavailable)
        for number, stream in enumerate(streams):
            received[number] += sum(len(piece.data) for response in stream for piece in response.pieces)
        assert received == [2**28] * 3
        # The health stream alone would last as long as the grace.
        assert process.wait() == 0
    assert "Traceback" not in process.log


def test_what_does_not_finish_in_the_grace_time_is_ended() -> None:
    process = ServerProcess("--grace", "0.5")
    with grpc.insecure_channel(process.address) as channel:
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(ENDLESS["sending"])
        next(stream)
        assert process.stop() == 0
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() in REFUSED, caught.value.details()
        assert isinstance(from_rpc(caught.value, process.address, Security()), Unavailable)
    assert process.log.rstrip().endswith("stopped")
    assert "Traceback" not in process.log


def test_a_computation_that_cannot_be_interrupted_does_not_keep_the_process(tmp_path: Path) -> None:
    program = tmp_path / "serve.py"
    program.write_text(
        "import sys, time\n"
        "from filler_server.fillers.constant import ConstantFiller\n"
        "from filler_server.fillers.distributions import Constant\n"
        "from filler_server.service.start import serve\n"
        "from filler_server.service.settings import Settings\n"
        "class Endless(Constant):\n"
        "    def fill(self, out, runs, random):\n"
        "        time.sleep(3600)\n"
        "usual = ConstantFiller.distribution\n"
        "ConstantFiller.distribution = (\n"
        "    lambda self, shape, dtype: Endless(0.0) if shape == (7,) else usual(self, shape, dtype)\n"
        ")\n"
        "sys.exit(serve(Settings(listen=['127.0.0.1:0'], grace=0.5, metrics_listen='127.0.0.1:0')))\n"
    )
    process = ServerProcess(command=[sys.executable, str(program)])
    with grpc.insecure_channel(process.address) as channel:
        blob = filler_pb2.BlobSpec(filler=FillerParameter(type="constant"), shape=BlobShape(dim=[7]))
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(filler_pb2.FillRequest(blobs=[blob]))
        wait_until_running(process)
        assert process.stop() == 0
        stream.cancel()
    assert process.log.rstrip().endswith("stopped")


@pytest.fixture(scope="module")
def one_stream() -> Iterator[ServerProcess]:
    """A server with one place for streams, so that a place that is not freed is seen."""
    process = ServerProcess(*FOR_ENDLESS, "--metrics-listen", "127.0.0.1:0")
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.log


def test_a_place_is_free_when_a_client_hears_that_its_stream_has_ended(one_stream: ServerProcess) -> None:
    blob = filler_pb2.BlobSpec(filler=FillerParameter(type="constant"), shape=BlobShape(dim=[7]))
    with grpc.insecure_channel(one_stream.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        for _ in range(50):
            assert len(list(stub.Fill(filler_pb2.FillRequest(blobs=[blob])))) == 1


def wait_until_running(process: ServerProcess) -> None:
    until(process, lambda values: values.get(("filler_calls_in_flight", (FILL,))) == 1)


def cancel(process: ServerProcess, request: filler_pb2.FillRequest) -> None:
    with grpc.insecure_channel(process.address) as channel:
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(request)
        wait_until_running(process)
        stream.cancel()


def miss_the_deadline(process: ServerProcess, request: filler_pb2.FillRequest) -> None:
    with grpc.insecure_channel(process.address) as channel, pytest.raises(grpc.RpcError) as caught:
        for _ in filler_pb2_grpc.FillerServiceStub(channel).Fill(request, timeout=1):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def vanish(process: ServerProcess, request: filler_pb2.FillRequest) -> None:
    program = (
        "import sys, grpc\n"
        "from caffe_filler.v1 import filler_pb2, filler_pb2_grpc\n"
        "stub = filler_pb2_grpc.FillerServiceStub(grpc.insecure_channel(sys.argv[1]))\n"
        "list(stub.Fill(filler_pb2.FillRequest.FromString(bytes.fromhex(sys.argv[2]))))\n"
    )
    command = [sys.executable, "-c", program, process.address, request.SerializeToString().hex()]
    with subprocess.Popen(command) as client:
        wait_until_running(process)
        client.kill()


@pytest.mark.parametrize("leave", [cancel, miss_the_deadline, vanish])
@pytest.mark.parametrize("doing", ENDLESS)
def test_a_call_that_is_over_frees_its_place_and_stops_its_work(
    one_stream: ServerProcess, doing: str, leave: Callable[..., None]
) -> None:
    leave(one_stream, ENDLESS[doing])
    with FillerClient(one_stream.address, retry=PATIENT) as other:
        assert other.fill("constant", (3,)).tolist() == [0, 0, 0]
    until(one_stream, lambda values: values["filler_calls_in_flight", (FILL,)] == 0)
