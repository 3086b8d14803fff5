"""Calls that are answered without a thread of their own, and those that have one."""

import io
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Queue
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from caffe_filler.errors import DeadlineExceeded, FillerParameterError, NotFound
from filler_client import FillerClient
from filler_server.api import requests
from filler_server.service import call_threads, last_message, log_lines
from filler_server.service.call_threads import CALL_THREADS, CallThreads, has_thread, receive_first
from filler_server.service.last_message import Send, end_with
from filler_server.service.server import FillerServer
from filler_server.service.settings import Settings

METHOD = "/test/Answer"


class Answers:
    """A server whose calls tell on which thread they are answered, and what they were asked."""

    def __init__(self, *, is_marked: bool = True, most: int = 2) -> None:
        self.pool = CallThreads(most, lambda request: request.startswith(b"brief"))
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

        def answer(requests: Iterator[bytes], context: grpc.ServicerContext, send: Send) -> None:
            self.entered.release()
            is_all = ("which", "all") in context.invocation_metadata()
            asked = list(requests) if is_all else [next(requests, b"none")]
            if not asked[0].startswith(b"brief"):
                self.go_on.wait(30)
            if asked[0] == b"brief failure":
                raise ValueError
            where = b"thread" if has_thread() else b"no thread"
            assert has_thread() == threading.current_thread().name.startswith(CALL_THREADS)
            end_with(b" ".join([where, *asked]), context, send, ())

        answer.experimental_non_blocking = True  # type: ignore[attr-defined]
        if is_marked:
            receive_first(answer)
        handler = grpc.stream_stream_rpc_method_handler(answer)
        self.server = grpc.server(self.pool)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Answer": handler}),))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}")
        self.server.start()

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.channel.close()
        self.server.stop(0).wait()
        self.pool.shutdown()

    def ask(self, *requests: bytes, **options: Any) -> bytes:
        """Return the one message of the answer."""
        (answer,) = self.channel.stream_stream(METHOD)(
            iter(requests), metadata=[("which", "all")], timeout=30, **options
        )
        return bytes(answer)

    def begin(self) -> "tuple[Queue[bytes | None], Any]":
        """Begin a call that has not sent anything yet; return where to put its requests, and the call."""
        asked: Queue[bytes | None] = Queue()
        return asked, self.channel.stream_stream(METHOD)(
            iter(asked.get, None), metadata=[("which", "first")], timeout=30
        )


def arrive(answers: Answers) -> None:
    """Wait until the request of a call is being received."""
    deadline = time.monotonic() + 30
    while not answers.pool._arriving:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_grpc_is_the_one_that_is_known_here() -> None:
    assert call_threads._IS_KNOWN, "gRPC has other names inside, so that every small call is slower"


def test_what_is_brief_needs_no_thread_and_all_else_has_one() -> None:
    with Answers() as answers:
        assert answers.ask(b"brief") == b"no thread brief"
        assert answers.ask(b"long") == b"thread long"
        assert answers.ask(b"long", b"more", b"and more") == b"thread long more and more"
        assert answers.ask(b"brief", b"more") == b"no thread brief"
    with Answers(is_marked=False) as answers:
        assert answers.ask(b"brief") == b"thread brief"


def test_a_grpc_that_is_another_one_inside_gives_every_call_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_threads, "_IS_KNOWN", False)
    with Answers() as answers:
        assert answers.ask(b"brief") == b"thread brief"


@pytest.mark.parametrize("name", ["_RPCState", "_receive_message", "_RequestIterator", "_stream_response_in_pool"])
def test_it_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert call_threads._is_inside()
    monkeypatch.setattr(call_threads._server, name, lambda: None)
    assert not call_threads._is_inside()


def test_so_is_one_that_cannot_send_the_last_message_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_message, "IS_KNOWN", False)
    assert not call_threads._is_inside()


def test_a_request_that_is_late_is_waited_for_in_a_thread() -> None:
    with Answers() as answers:
        asked, call = answers.begin()
        arrive(answers)
        answers.pool.look()
        assert not answers.entered.acquire(timeout=0.2)
        answers.pool.look()
        assert answers.entered.acquire(timeout=30)
        asked.put(b"brief")
        assert list(call) == [b"thread brief"]
        asked.put(None)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_call_that_ends_without_a_request_is_answered(is_late: bool) -> None:
    with Answers() as answers:
        asked, call = answers.begin()
        arrive(answers)
        for _ in range(2 * is_late):
            answers.pool.look()
        asked.put(None)
        assert list(call) == [b"thread none"]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_call_that_is_cancelled_before_its_request_leaves_nothing(is_late: bool) -> None:
    with Answers() as answers:
        asked, call = answers.begin()
        arrive(answers)
        for _ in range(2 * is_late):
            answers.pool.look()
        call.cancel()
        asked.put(None)
        assert answers.entered.acquire(timeout=30)
        assert answers.ask(b"brief") == b"no thread brief"
        assert not answers.pool._arriving


def test_a_request_that_cannot_be_looked_at_ends_its_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: bytes) -> bool:
        raise ValueError

    with Answers() as answers:
        answers.pool._is_brief = fail
        assert answers.ask(b"brief") == b"thread brief"
        assert answers.ask(b"long") == b"thread long"
    assert "cannot be looked at" in caplog.text


def test_a_failure_without_a_thread_ends_its_call_alone() -> None:
    with Answers() as answers:
        with pytest.raises(grpc.RpcError) as caught:
            answers.ask(b"brief failure")
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert answers.ask(b"brief") == b"no thread brief"


def test_no_more_requests_are_received_first_than_there_are_threads() -> None:
    with Answers(most=2) as answers:
        opened = [answers.begin() for _ in range(2)]
        deadline = time.monotonic() + 30
        while len(answers.pool._arriving) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert answers.ask(b"brief") == b"thread brief"
        for asked, call in opened:
            asked.put(b"brief")
            assert list(call) == [b"no thread brief"]
            asked.put(None)


def test_a_pool_that_closes_gives_every_call_a_thread() -> None:
    with Answers() as answers:
        asked, call = answers.begin()
        arrive(answers)
        answers.pool.close()
        asked.put(b"brief")
        assert list(call) == [b"thread brief"]
        asked.put(None)
        assert answers.ask(b"brief") == b"thread brief"


def test_a_pool_that_closes_waits_in_threads_for_the_requests_that_are_being_received() -> None:
    with Answers() as answers:
        asked, call = answers.begin()
        arrive(answers)
        answers.pool.close()
        assert answers.entered.acquire(timeout=30)
        asked.put(b"brief")
        assert list(call) == [b"thread brief"]
        asked.put(None)


def test_a_call_whose_server_has_ended_meanwhile_is_let_go() -> None:
    with Answers() as answers:
        asked, _ = answers.begin()
        arrive(answers)
        (call,) = answers.pool._arriving
        answers.pool.shutdown()
        for _ in range(2):
            answers.pool.look()
        assert call.future.done()
        call.end()
        asked.put(None)


@pytest.fixture(scope="module")
def filler() -> Iterator[FillerServer]:
    server = FillerServer(Settings(listen=["127.0.0.1:0"]))
    server.start()
    deadline = time.monotonic() + 600
    while not server._compilation.is_complete:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield server
    server.stop(0)


@pytest.mark.parametrize(
    ("blob", "shape", "options", "has_one"),
    [
        ("xavier", (32, 16), {}, False),
        ('type: "gaussian" sparse: 3', (64, 64), {}, False),
        ("positive_unitball", (64, 64), {"dtype": "float64"}, False),
        ("bilinear", (1, 1, 4, 4), {}, False),
        ("xavier", (4097, 1), {}, True),
        ("orthogonal", (4, 4), {}, True),
        ("xavier", (32, 16), {"stream": "caffe"}, True),
        ("nonsense", (32, 16), {}, True),
    ],
)
def test_a_fill_of_few_values_has_no_thread(
    filler: FillerServer,
    monkeypatch: pytest.MonkeyPatch,
    blob: str,
    shape: tuple[int, ...],
    options: Any,
    has_one: bool,
) -> None:
    seen = []
    fill_job = requests.fill_job

    def noted(*given: Any) -> Any:
        seen.append(has_thread())
        return fill_job(*given)

    monkeypatch.setattr(requests, "fill_job", noted)
    with FillerClient(filler.addresses[0]) as client, suppress(NotFound):
        remote = client.fill(blob, shape, seed=5, name="a", **options)
        np.testing.assert_array_equal(remote, FillerClient.embedded().fill(blob, shape, seed=5, name="a", **options))
    assert seen[0] == has_one


def test_a_wrong_request_of_few_values_is_refused_as_any_other(filler: FillerServer) -> None:
    with FillerClient(filler.addresses[0]) as client:
        with pytest.raises(FillerParameterError, match="std"):
            client.fill('type: "gaussian" std: -1', (3, 3), seed=5, name="a")
        assert client.fill("constant", (3, 3), name="a").shape == (3, 3)


def test_a_log_that_nobody_reads_stops_calls_alone(filler: FillerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    is_read = threading.Event()

    class Unread(io.StringIO):
        def write(self, text: str, /) -> int:
            is_read.wait(60)
            return super().write(text)

    monkeypatch.setattr(log_lines, "_MOST", 8)
    handler = log_lines.LineHandler()
    handler.setStream(Unread())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with FillerClient(filler.addresses[0], timeout=1) as client, pytest.raises(DeadlineExceeded):
            for _ in range(50):
                client.fill("xavier", (3, 3), seed=5, name="a")
        with grpc.insecure_channel(filler.addresses[0]) as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    finally:
        is_read.set()
        root.removeHandler(handler)
        root.setLevel(level)
