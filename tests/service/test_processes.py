"""A server of several processes, as its clients and its operator see it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_client import FillerClient
from filler_server.service.shared_address import SharedAddresses
from tests.processes import ServerProcess
from tests.service.scraping import scrape, until
from tests.service.test_life import fill

FILL = "caffe_filler.v1.FillerService/Fill"


def children(process: ServerProcess) -> list[int]:
    pid = process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def two() -> Iterator[ServerProcess]:
    """A server of two processes, with all that can be seen of it."""
    process = ServerProcess(
        *("--processes", "2", "--threads", "2", "--grace", "600"),
        *("--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"),
    )
    process.wait_for("2 processes serve")
    yield process
    if process.process.poll() is None:
        process.stop()


OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""Of a channel that shares no connection with others, so that each goes to whichever process the kernel says."""


def list_fillers(address: str, count: int) -> None:
    """Ask over so many connections that each process is asked."""
    for _ in range(count):
        with grpc.insecure_channel(address, OWN_CONNECTION) as channel:
            filler_pb2_grpc.FillerServiceStub(channel).ListFillers(filler_pb2.ListFillersRequest(), timeout=60)


def test_both_processes_answer_and_their_numbers_are_those_of_one_server(two: ServerProcess) -> None:
    listed = ("filler_requests_total", ("caffe_filler.v1.FillerService/ListFillers", "OK"))
    before = scrape(two).get(listed, 0)
    list_fillers(two.address, 24)
    values = until(two, lambda values: values.get(listed, 0) == before + 24)
    assert values["filler_processes", ()] == 2
    assert values["filler_kernel_threads", ()] == 2
    assert values["filler_serving", ()] == 1
    assert values["process_resident_memory_bytes", ()] > 2e8
    assert any(name == "filler_build_info" for name, _ in values)
    assert two.log.count("serving on") == 1


def test_health_has_one_answer(two: ServerProcess) -> None:
    address = two.wait_for(r"health checks alone on (\S+)")
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", "caffe_filler.v1.FillerService"):
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_address_is_nobody_elses(two: ServerProcess) -> None:
    for options in ((), ("--processes", "2")):
        command = [sys.executable, "-m", "filler_client.cli", "serve", "--listen", two.address, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1, done.stderr
        assert f"listen={two.address}" in done.stderr
    assert children(two)


def test_a_process_that_is_killed_is_replaced_and_no_caller_sees_it(two: ServerProcess) -> None:
    expected = np.array(FillerClient.embedded().fill("gaussian", (64, 64), seed=3))
    faults: list[str] = []
    done = [0] * 6
    is_over = threading.Event()

    def call(number: int) -> None:
        try:
            while not is_over.is_set():
                with FillerClient(two.address) as client:
                    for _ in range(20):
                        if not np.array_equal(client.fill("gaussian", (64, 64), seed=3), expected):
                            faults.append("other values")
                        done[number] += 1
        except FillerError as error:
            faults.append(str(error))

    requests = scrape(two).get(("filler_requests_total", (FILL, "OK")), 0)
    before = children(two)
    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(done))]
    for thread in threads:
        thread.start()
    try:
        for victim in before:
            at = list(done)
            while min(now - then for now, then in zip(done, at, strict=True)) < 5 and not faults:
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)
            until(two, lambda values: values["filler_processes", ()] == 2)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not faults
    two.wait_for(r"process 1 \(pid \d+\) ended with signal 9; another takes its place")
    assert two.log.count("ended with signal 9") == 2
    assert set(children(two)).isdisjoint(before)
    # What the dead have counted is counted still; what was in flight there is not.
    two.wait_for("(?s)2 processes serve.*2 processes serve")
    values = until(two, lambda values: values["filler_calls_in_flight", (FILL,)] == 0)
    assert values["filler_requests_total", (FILL, "OK")] >= requests + sum(done) - 2 * len(done)
    assert values["filler_process_restarts_total", ()] == 2


def test_running_streams_of_all_processes_finish_at_the_end(two: ServerProcess) -> None:
    channels = [grpc.insecure_channel(two.address, OWN_CONNECTION) for _ in range(8)]
    streams = [filler_pb2_grpc.FillerServiceStub(channel).Fill(fill(64)) for channel in channels]
    received = [sum(len(piece.data) for piece in next(stream).pieces) for stream in streams]
    two.process.send_signal(signal.SIGTERM)
    two.wait_for("stopping")
    for number, stream in enumerate(streams):
        received[number] += sum(len(piece.data) for response in stream for piece in response.pieces)
    assert received == [2**26] * 8
    assert two.wait() == 0
    for channel in channels:
        channel.close()
    assert two.log.rstrip().endswith("stopped")
    assert "Traceback" not in two.log
    with pytest.raises(OSError, match="refused"):
        scrape(two)


def test_processes_end_when_the_one_that_watches_over_them_is_killed() -> None:
    process = ServerProcess("--processes", "2")
    process.wait_for("2 processes serve")
    pids = children(process)
    process.kill()
    # They have its standard error, so that the log ends with them.
    assert not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key")
    for options, why in (
        (("--tls-certificate", f"{tmp_path}/key", "--tls-key", f"{tmp_path}/key"), "not a certificate in PEM"),
        (("--listen", f"unix:{tmp_path}/a.sock"), "several processes cannot listen on one Unix socket"),
        (("--processes", "2000"), "at most 1024 processes"),
    ):
        command = [sys.executable, "-m", "filler_client.cli", "serve", "--processes", "2", "--listen", "127.0.0.1:0"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert why in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_a_process_that_ends_at_once_again_and_again_ends_the_server(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, socket, sys\n"
        "channel = socket.socket(fileno=int(sys.argv[1]))\n"
        "order = json.loads(channel.makefile('r').readline())\n"
        "if order['number']:\n"
        "    sys.exit(7)\n"
        "for event in ({'event': 'bound'}, {'event': 'serves', 'tls': False}, {'event': 'compiled'}):\n"
        "    channel.sendall(json.dumps(event).encode() + b'\\n')\n"
        "channel.recv(1)\n"
    )
    program = (
        "from filler_server.service import place, supervisor\n"
        "from filler_server.service.settings import Settings\n"
        f"place.COMMAND = ({str(worker)!r},)\n"
        "supervisor._FIRST_PAUSE = 0.0\n"
        "supervisor.supervise(Settings(listen=['127.0.0.1:0']), 2)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    lines = done.stderr.splitlines()
    assert lines[-1].endswith("ServiceError: process 1 ended at once 5 times in a row, the last time with status 7"), (
        done.stderr
    )
    assert sum("ended with status 7; another takes its place" in line for line in lines) == 4
    assert sum("stopped" in line for line in lines) == 1


def test_fillers_of_a_program_are_not_known_in_other_processes() -> None:
    program = (
        "from filler_server.fillers import Filler, register\n"
        "from filler_server.fillers.constant import ConstantFiller\n"
        "from filler_server.service.settings import Settings\n"
        "from filler_server.service.start import serve\n"
        "class Mine(ConstantFiller):\n"
        "    type = 'mine'\n"
        "register(Mine)\n"
        "serve(Settings(listen=['127.0.0.1:0'], processes=2))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert "InvalidArgument: the processes of a server start anew" in done.stderr
    assert "Received: processes=2, fillers=mine" in done.stderr


def test_what_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    for address, why in (
        (f"unix:{tmp_path}/a.sock", "give host:port, such as localhost:50051, or --processes 1"),
        ("unix-abstract:a", "several processes cannot listen on one Unix socket"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "one host:port"),
        ("localhost", "needs a port"),
        ("nowhere.invalid:50051", "cannot listen there"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            SharedAddresses(["127.0.0.1:0", address])


def test_free_ports_are_kept_and_ports_in_use_refused() -> None:
    first = SharedAddresses(["127.0.0.1:0", "localhost:0"])
    assert all(int(address.rpartition(":")[2]) > 0 for address in first.addresses)
    port = int(first.addresses[0].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(InvalidArgument, match="another server listens"):
        SharedAddresses([f"127.0.0.1:{port}"])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(InvalidArgument, match="another"), first.starting():
        pass
    with first.starting():
        pass
    first.close()
