"""Kernels that are compiled after the server has begun to serve."""

import contextvars
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import Cancelled, Unavailable
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_server import compiled
from filler_server.api.limits import Limits
from filler_server.cancellation import cancel_when
from filler_server.service import compilation, compilers, warmup
from filler_server.service.compilation import WAITING, Compilation, Ready
from filler_server.service.compilers import CompilerProcess
from filler_server.service.server import FillerServer
from filler_server.service.settings import Settings
from filler_server.service.warmup import Group, Part


class Kernels:
    """Parts that are not there until they are let go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.run: list[str] = []

    def part(self, name: str, group: Group, *, waits: bool = False, is_cached: bool = True) -> Part:
        def run() -> None:
            if not is_cached and getattr(compiled._local, "is_cached_only", False):
                raise compiled.NotCached
            if waits:
                assert self.may_go.wait(60)
            self.run.append(name)

        return Part(name, group, run)


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.01)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernels]:
    # Kernels of other tests are kept nowhere.
    monkeypatch.setattr(compiled, "_uncached", set())
    made = Kernels()
    yield made
    made.may_go.set()


def use(monkeypatch: pytest.MonkeyPatch, *parts: Part) -> None:
    monkeypatch.setattr(compilation, "parts", lambda: parts)


def started(monkeypatch: pytest.MonkeyPatch, *parts: Part, on_ready: Callable[[Ready], None] = print) -> Compilation:
    use(monkeypatch, *parts)
    found = Compilation(on_ready)
    found.start()
    return found


def test_it_starts_with_what_comes_first_and_others_are_waited_for(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = kernels.part("philox rare", Group.FURTHER, waits=True)
    found = started(monkeypatch, rare, kernels.part("philox usual", Group.COMMON))
    assert kernels.run == ["philox usual"]
    assert (found.pending, found.is_complete, found.is_running) == (1, False, True)
    found.wait({"philox usual", "registered later"})
    waited = threading.Thread(target=lambda: (found.wait({"philox rare"}), kernels.run.append("waited")))
    waited.start()
    waited.join(0.3)
    assert waited.is_alive()
    kernels.may_go.set()
    waited.join(60)
    found.join()
    assert kernels.run == ["philox usual", "philox rare", "waited"]
    assert (found.pending, found.is_complete) == (0, True)


def test_a_call_that_nobody_wants_does_not_wait(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(monkeypatch, kernels.part("philox rare", Group.FURTHER, waits=True))

    def call() -> None:
        cancel_when(lambda: True)
        with pytest.raises(Cancelled):
            found.wait({"philox rare"})

    contextvars.copy_context().run(call)


def test_no_more_wait_than_there_are_threads_for(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(monkeypatch, kernels.part("philox rare", Group.FURTHER, waits=True))
    threads = [threading.Thread(target=found.wait, args=({"philox rare"},)) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    until(lambda: found._places._value == 0)
    with pytest.raises(Unavailable, match="still compiling kernels of this call"):
        found.wait({"philox rare"})
    kernels.may_go.set()
    for thread in threads:
        thread.join(60)
    found.wait({"philox rare"})


def test_its_end_ends_waiting(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(monkeypatch, kernels.part("philox rare", Group.FURTHER, waits=True))
    errors: list[Exception] = []

    def call() -> None:
        try:
            found.wait({"philox rare"})
        except Unavailable as error:
            errors.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    found.close()
    waiting.join(60)
    assert [str(error) for error in errors] == ["the server stops before it has compiled the kernels of this call"]


def test_what_cannot_be_compiled_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    found = started(monkeypatch, Part("philox rare", Group.FURTHER, fail))
    found.wait({"philox rare"})
    assert found.pending == 0
    with pytest.raises(Unavailable, match="not all kernels could be compiled"):
        found.join()
    with pytest.raises(ZeroDivisionError):
        started(monkeypatch, Part("philox usual", Group.COMMON, fail))


class Told:
    """A process that compiles what it is told to, some of it, and ends."""

    asked: list[list[str]]
    were_nice: list[bool]

    def __init__(
        self, lock: Path, names: list[str], on_told: Callable[[str | None, float], None], *, is_nice: bool
    ) -> None:
        self.asked.append(names)
        self.were_nice.append(is_nice)
        threading.Thread(target=lambda: (on_told(names[0], 7.5), on_told(None, 0.0))).start()

    def close(self) -> None:
        pass


def test_what_is_not_cached_is_compiled_by_a_process_and_the_rest_here(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    Told.asked, Told.were_nice = [], []
    monkeypatch.setattr(compilation, "CompilerProcess", Told)
    monkeypatch.setattr(compiled, "threads", lambda: 2)
    parts = [
        kernels.part("philox usual", Group.COMMON, is_cached=False),
        kernels.part("philox plain", Group.PLAIN, is_cached=False),
        kernels.part("philox rare", Group.FURTHER, is_cached=False),
        kernels.part("caffe usual", Group.CAFFE),
    ]
    ready: list[Ready] = []
    found = started(monkeypatch, *parts, on_ready=ready.append)
    found.join()
    assert Told.asked == [["philox usual", "philox rare", "caffe usual"]]
    assert kernels.run == ["philox plain", "philox usual", "caffe usual", "philox rare"]
    assert [(part.name, part.is_compiled) for part in ready] == [
        ("philox plain", True),
        ("philox usual", True),
        ("caffe usual", False),
        ("philox rare", True),
    ]
    assert ready[1].seconds == 7.5
    assert Told.were_nice == [True]


def test_with_more_cores_caffes_streams_have_a_process_of_their_own(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    Told.asked, Told.were_nice = [], []
    monkeypatch.setattr(compilation, "CompilerProcess", Told)
    monkeypatch.setattr(compiled, "threads", lambda: 4)
    names = [("philox usual", Group.COMMON), ("philox rare", Group.FURTHER), ("caffe usual", Group.CAFFE)]
    found = started(monkeypatch, *(kernels.part(name, group, is_cached=False) for name, group in names))
    found.join()
    assert Told.asked == [["philox usual", "philox rare"], ["caffe usual"]]


def test_where_no_process_can_be_started_or_nothing_is_kept_all_is_compiled_here(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(compilation, "CompilerProcess", refuse)
    part = kernels.part("philox usual", Group.COMMON, is_cached=False)
    started(monkeypatch, part).join()
    monkeypatch.setattr(compiled, "_uncached", {"kernel"})
    started(monkeypatch, part).join()
    assert kernels.run == ["philox usual"] * 2
    with pytest.raises(Unavailable, match="compiled kernels cannot be kept"):
        compilation.warm_up()


def test_what_the_process_of_another_server_has_compiled_is_loaded(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    class Silent:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.close = closed.set

    monkeypatch.setattr(compilation, "CompilerProcess", Silent)
    monkeypatch.setattr(compilation, "_LOAD_SECONDS", 0.05)
    cached = threading.Event()

    def run() -> None:
        if not cached.is_set():
            assert compiled._local.is_cached_only
            cached.set()
            raise compiled.NotCached

    ready: list[Ready] = []
    started(monkeypatch, Part("philox usual", Group.COMMON, run), on_ready=ready.append).join()
    assert [(part.name, part.is_compiled) for part in ready] == [("philox usual", False)]
    assert closed.is_set()


def test_who_waits_for_all_parts_gets_them_as_fast_as_can_be(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    Told.asked, Told.were_nice = [], []
    monkeypatch.setattr(compilation, "CompilerProcess", Told)
    monkeypatch.setattr(compiled, "threads", lambda: 2)
    use(monkeypatch, kernels.part("philox rare", Group.FURTHER, is_cached=False))
    compilation.warm_up()
    assert Told.were_nice == [False]


@pytest.mark.parametrize(("is_nice", "times"), [(True, 1), (False, 0)])
def test_a_process_lets_others_go_first_where_nobody_waits(
    is_nice: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(os, "nice", given.append)
    monkeypatch.setattr(Part, "compile", lambda part: None)
    compilers._compile(["philox msra", "philox bilinear", "caffe msra"], is_nice=is_nice)
    assert len(given) == times


def test_a_process_waits_for_another_one_with_the_same_parts(tmp_path: Path) -> None:
    told: list[str | None] = []
    with (tmp_path / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = CompilerProcess(tmp_path / "lock", ["registered here alone"], lambda name, _: told.append(name))
        time.sleep(0.5)
        assert not told
    until(lambda: told == ["registered here alone", None])
    process.close()


def test_a_process_tells_of_each_part_and_of_its_end(tmp_path: Path) -> None:
    told: list[str | None] = []
    ended = threading.Event()

    def on_told(name: str | None, seconds: float) -> None:
        told.append(name)
        assert seconds >= 0
        if name is None:
            ended.set()

    process = CompilerProcess(tmp_path / "lock", ["registered here alone", "philox constant"], on_told)
    assert ended.wait(120)
    process.close()
    assert told == ["registered here alone", "philox constant", None]


def test_a_process_ends_with_its_server(tmp_path: Path) -> None:
    ended = threading.Event()
    process = CompilerProcess(tmp_path / "lock", ["philox constant"], lambda name, _: None if name else ended.set())
    assert process._process.stdin is not None
    process._process.stdin.close()
    assert ended.wait(120)


def test_parts_have_all_fillers() -> None:
    names = {part.name: part.group for part in warmup.parts()}
    assert len(names) == len(warmup.parts())
    assert names["philox gaussian"] is names["philox xavier"] is Group.COMMON
    assert names["philox orthogonal"] is Group.FURTHER
    assert names["caffe-1.55 gaussian"] is Group.CAFFE
    assert "caffe orthogonal" not in names


EACH = """
import os
from filler_server.service.warmup import import_kernels, parts

import_kernels()
for part in parts():
    process = os.fork()
    if not process:
        part.run()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, part.name
"""


def test_each_part_is_complete_without_the_others() -> None:
    """Code that lacks a symbol would end the process."""
    done = subprocess.run([sys.executable, "-c", EACH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def blob(kind: str, stream: int = filler_pb2.PHILOX) -> filler_pb2.FillRequest:
    spec = filler_pb2.BlobSpec(filler=FillerParameter(type=kind), shape=BlobShape(dim=(2, 3)))
    return filler_pb2.FillRequest(blobs=[spec], stream=stream)  # type: ignore[arg-type]


NET = """
input: "x"
input_shape { dim: 1 dim: 3 }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
"""


def draws() -> filler_pb2.PlanNetRequest:
    request = filler_pb2.PlanNetRequest(net=NET.encode())
    request.draws.stream = filler_pb2.CAFFE
    return request


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Fill", blob("orthogonal")),
        ("Fill", blob("gaussian", filler_pb2.CAFFE)),
        ("Digest", filler_pb2.DigestRequest(fill=blob("orthogonal"))),
        ("PlanNet", draws()),
    ],
)
def test_calls_wait_for_their_kernels_and_hold_no_place_meanwhile(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch, method: str, request_: Any
) -> None:
    rare = kernels.part("philox orthogonal", Group.FURTHER, waits=True)
    use(monkeypatch, kernels.part("philox gaussian", Group.COMMON), rare, kernels.part("caffe xavier", Group.CAFFE))
    limits = Limits(streams=1, peer_streams=1, sequential_streams=1, peer_sequential_streams=1)
    server = FillerServer(Settings(listen=["localhost:0"], limits=limits, metrics_listen="localhost:0"))
    server.start()
    value = server._metrics.registry.get_sample_value
    try:
        with grpc.insecure_channel(server.addresses[0]) as channel:
            stub = filler_pb2_grpc.FillerServiceStub(channel)
            status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60).status
            assert status == health_pb2.HealthCheckResponse.SERVING

            def ask(timeout: float) -> Any:
                answer = getattr(stub, method)(request_, timeout=timeout)
                return answer if method == "PlanNet" else list(answer)

            with pytest.raises(grpc.RpcError) as caught:
                ask(0.3)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            until(lambda: server._compilation._places._value == WAITING)
            answers: list[Any] = []
            asking = threading.Thread(target=lambda: answers.append(ask(60)))
            asking.start()
            until(lambda: server._compilation._places._value < WAITING)
            # The one place of all streams is free.
            assert list(stub.Fill(blob("gaussian"), timeout=60))
            assert value("filler_kernels_pending") == 2
            assert not answers
            until(lambda: server._servicer._streams._held == 0)
            kernels.may_go.set()
            asking.join(60)
            assert answers[0]
        server._compilation.join()
        assert value("filler_kernels_pending") == 0
        assert not server.is_compiling
    finally:
        server.stop(0)
