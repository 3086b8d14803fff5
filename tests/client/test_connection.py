import socket
import struct
import threading
from contextlib import suppress

import pytest

from caffe_filler.errors import FillerError, InvalidArgument
from filler_client import FillerClient
from filler_client._connection import RequestId, channel_options, parse_targets
from filler_client._retry import RetryPolicy
from tests.service.faults.http2 import INITIAL_WINDOW_SIZE, PREFACE, SETTINGS


@pytest.mark.parametrize(
    ("target", "targets"),
    [
        ("a:1", ["a:1"]),
        (" a:1, b:2,", ["a:1", "b:2"]),
        (["a:1", "dns:///b:2"], ["a:1", "dns:///b:2"]),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", ["ipv4:127.0.0.1:1,127.0.0.1:2"]),
        (["ipv6:[::1]:1,[::1]:2", "c:3"], ["ipv6:[::1]:1,[::1]:2", "c:3"]),
        ("unix:/run/filler.sock", ["unix:/run/filler.sock"]),
    ],
)
def test_targets(target: str | list[str], targets: list[str]) -> None:
    assert parse_targets(target) == targets


@pytest.mark.parametrize("target", ["", " , ", [], [""]])
def test_no_target(target: str | list[str]) -> None:
    with pytest.raises(InvalidArgument, match="Received: target="):
        parse_targets(target)


@pytest.mark.parametrize("target", ["a:99999", "a", "a:1,b", ["a:1", "dns:///b"], "ipv4:127.0.0.1:1,127.0.0.2"])
def test_targets_without_a_port_that_can_be(target: str | list[str]) -> None:
    with pytest.raises(InvalidArgument, match=r"port.* Received: target="):
        parse_targets(target)


def test_what_comes_in_of_a_stream_that_nobody_reads_is_bounded() -> None:
    """With its own estimate gRPC took in gigabytes of each stream, on loaded machines and not on idle ones."""
    assert dict(channel_options(RetryPolicy()))["grpc.http2.bdp_probe"] == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def call() -> None:
            address = "{}:{}".format(*listener.getsockname())
            with suppress(FillerError), FillerClient(address, timeout=5, retry=RetryPolicy(attempts=1)) as client:
                client.fill("msra", (3, 3), name="w")

        caller = threading.Thread(target=call)
        caller.start()
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as received:
            assert received.read(len(PREFACE)) == PREFACE
            head = received.read(9)
            settings = received.read(int.from_bytes(head[:3], "big"))
        assert head[3] == SETTINGS
        assert dict(struct.iter_unpack("!HI", settings))[INITIAL_WINDOW_SIZE] == 16 << 20
    caller.join()


def test_request_ids_are_the_callers_or_each_another() -> None:
    assert RequestId("job-17/step:3").of_call() == ("x-request-id", "job-17/step:3")
    assert len({RequestId(None).of_call() for _ in range(10)}) == 10


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "é", "x" * 129])
def test_what_no_request_id_is(given: str) -> None:
    with pytest.raises(InvalidArgument, match="Received: request_id="):
        RequestId(given)
