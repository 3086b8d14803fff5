"""Mixed load for a soak: clients of every kind, what they should get, and what is done to their servers meanwhile."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import psutil
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, FillerClient, Flat, RetryPolicy, _requests
from tests.proxy import flip
from tests.service.faults.http2 import Connection
from tests.service.hostile.calls import CLEAN, call
from tests.service.hostile.connections import ATTACKS
from tests.service.hostile.requests import HOSTILE

SMALL = (64, 3, 7, 7)
LARGE = (2**11, 2**12)
SEEDS = 4
BROKEN = {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"}
"""Statuses of calls to a server that is attacked by others at the same time, or takes its time."""

POLICY = RetryPolicy(attempts=200, longest_delay=0.5, patience=600, keepalive=2.0, keepalive_timeout=2.0)


class Tally:
    """Counts of all that has happened so far, kept by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.bytes = 0
        self.wrong = 0
        self.failures: list[str] = []

    def answered(self, kind: str, got: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> None:
        """Compare an answer with what it should be."""
        wrong = sum(a.shape != b.shape or a.tobytes() != b.tobytes() for a, b in zip(got, expected, strict=True))
        with self._lock:
            self.requests[kind] += 1
            self.bytes += sum(array.nbytes for array in got)
            self.wrong += wrong

    def inject(self, kind: str) -> None:
        """Count a fault."""
        with self._lock:
            self.injected[kind] += 1

    def failed(self, kind: str, error: BaseException) -> None:
        """Count an error that a caller got to see."""
        with self._lock:
            self.failures.append(f"{kind}: {type(error).__name__}: {error}")


class Expected:
    """The answers that are right, computed here."""

    def __init__(self, net: str) -> None:
        with FillerClient.embedded() as here:
            self.small = [here.fill("msra", SMALL, seed=seed) for seed in range(SEEDS)]
            self.large = [here.fill("xavier", LARGE, seed=seed) for seed in range(SEEDS)]
            self.net = list(here.init_net(net, seed=5).values())
            self.caffe = list(here.init_net(net, seed=5, stream="caffe").values())
            self.parameters = here.plan_net(net).parameters


def clients(
    tally: Tally, expected: Expected, net: str, targets: list[str], damaged: str
) -> dict[str, Callable[[], None]]:
    """One turn of each kind of client, by name."""
    several = FillerClient(targets, retry=POLICY)
    over_damage = FillerClient(damaged, retry=POLICY)
    chance = random.Random(1)

    def small() -> None:
        for _ in range(20):
            seed = chance.randrange(SEEDS)
            tally.answered("Fill, 37 KB", [several.fill("msra", SMALL, seed=seed)], [expected.small[seed]])

    def large() -> None:
        seed = chance.randrange(SEEDS)
        tally.answered("Fill, 32 MiB", [several.fill("xavier", LARGE, seed=seed)], [expected.large[seed]])

    def over_a_bad_network() -> None:
        seed = chance.randrange(SEEDS)
        array = over_damage.fill("xavier", LARGE, seed=seed)
        tally.answered("Fill, 32 MiB, bad network", [array], [expected.large[seed]])

    def shard() -> None:
        seed, start = chance.randrange(SEEDS), chance.randrange(1 << 20)
        region = Flat(start, start + 100_000)
        array = several.fill("xavier", LARGE, seed=seed, region=region)
        tally.answered("Fill, flat region", [array], [expected.large[seed].reshape(-1)[start : start + 100_000]])

    def whole_net() -> None:
        tally.answered("FillNet", list(several.init_net(net, seed=5).values()), expected.net)

    def caffe_net() -> None:
        arrays = list(several.init_net(net, seed=5, stream="caffe").values())
        tally.answered("FillNet, caffe stream", arrays, expected.caffe)

    def plan() -> None:
        plan = several.plan_net(net)
        tally.answered("PlanNet", [], [])
        if plan.parameters != expected.parameters:
            tally.failed("PlanNet", AssertionError(plan.parameters))
        several.upgrade_net(net)
        tally.answered("UpgradeNet", [], [])
        several.list_fillers()
        tally.answered("ListFillers", [], [])

    def asynchronous() -> None:
        async def run() -> list[NDArray[np.float32]]:
            async with AsyncFillerClient(targets, retry=POLICY) as client:
                return await asyncio.gather(*(client.fill("msra", SMALL, seed=seed) for seed in range(SEEDS)))

        tally.answered("4 Fills, asyncio", asyncio.run(run()), expected.small)

    def gives_up() -> None:
        pieces = several.pieces(_requests.fill_request("xavier", (2**14, 2**16)))
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        tally.inject("streams given up")

    turns = (small, large, over_a_bad_network, shard, whole_net, caffe_net, plan, asynchronous, gives_up)
    return {turn.__name__: turn for turn in turns}


def nonsense(tally: Tally, address: str) -> None:
    """Send what makes no request, and make sure that the answer says so."""
    chance = random.Random(time.monotonic_ns())
    with Connection(address, preface=chance.random() < 0.5) as connection:
        connection.send(chance.randbytes(chance.randrange(10_000)))
    tally.inject("connections with random bytes")
    too_large = filler_pb2.BlobSpec(filler=FillerParameter(type="msra"), shape=BlobShape(dim=[2**40, 2**19]))
    requests = {
        "requests of random bytes": (b"\x07" + chance.randbytes(50), {"INVALID_ARGUMENT"}),
        "requests over a limit": (
            filler_pb2.FillRequest(blobs=[too_large]).SerializeToString(),
            {"RESOURCE_EXHAUSTED"},
        ),
    }
    for kind, (request, wanted) in requests.items():
        with grpc.insecure_channel(address) as channel:
            try:
                list(channel.unary_stream("/caffe_filler.v1.FillerService/Fill")(request, timeout=60))
            except grpc.RpcError as error:
                if error.code().name not in wanted:
                    tally.failed(kind, error)
            else:
                tally.failed(kind, AssertionError("answered"))
        tally.inject(kind)


def harm(tally: Tally, address: str) -> None:
    """Send a hostile request, or let hostile connections be for a second; make sure that the answer is a clean one."""
    chance = random.Random(time.monotonic_ns())
    if chance.random() < 0.2:
        name = chance.choice(sorted(ATTACKS))
        steps = ATTACKS[name](address)
        end = time.monotonic() + 1
        for _ in steps:
            if time.monotonic() > end:
                break
        steps.close()  # type: ignore[attr-defined]
        tally.inject("seconds of hostile connections")
        return
    request = chance.choice(HOSTILE)
    status, _ = call(address, request, request.build())
    if status not in CLEAN | BROKEN:
        tally.failed(request.name, AssertionError(status))
    tally.inject("hostile requests")


def bad_network(tally: Tally) -> Callable[[bytes, int], bytes | None]:
    """Cut a connection, or flip a bit, now and then."""
    chance = random.Random(7)

    def damage(data: bytes, _: int) -> bytes | None:
        dice = chance.random() * 60e6 / len(data)
        if dice < 1:
            tally.inject("connections cut")
            return None
        if dice < 3:
            tally.inject("bits flipped")
            return flip(data, chance.randrange(len(data)))
        return data

    return damage


class SoakedServer:
    """A server that is killed, stopped and started again at the same address, and writes its log to a file."""

    def __init__(self, tally: Tally, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.address = f"127.0.0.1:{unused.getsockname()[1]}"
        self._tally = tally
        self._log = log
        self.process = self._start()

    @property
    def log(self) -> str:
        """Everything that its processes have written."""
        return self._log.read_text()

    def kill(self) -> None:
        """SIGKILL, and a new process."""
        self.process.kill()
        self.process.wait()
        self._tally.inject("servers killed")
        self.process = self._start()

    def pause(self, seconds: float) -> None:
        """SIGSTOP for a while."""
        self.process.send_signal(signal.SIGSTOP)
        self._tally.inject("servers stopped for longer than the keepalive")
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "filler_client.cli", "serve", "--listen", self.address]
        with self._log.open("ab") as log:
            process = subprocess.Popen([*command, "--max-ping-seconds", "1", "--log-level", "warning"], stderr=log)
        with FillerClient(self.address, retry=RetryPolicy(attempts=1000, longest_delay=0.1)) as client:
            client.list_fillers()
        return process


@contextmanager
def running(turns: dict[str, Callable[[], None]], tally: Tally) -> Iterator[None]:
    """Take turn after turn, each kind in a thread of its own, while the block runs."""
    over = threading.Event()

    def run(kind: str, turn: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                turn()
            except Exception as error:
                tally.failed(kind, error)

    threads = [threading.Thread(target=run, args=entry) for entry in turns.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def memory(pid: int | None = None) -> float:
    """Resident memory of a process, by default of this one, in MiB."""
    return float(psutil.Process(pid or os.getpid()).memory_info().rss / (1 << 20))
