"""Memory and answer are bounded by the length of what is sent, and the server goes on serving.

The server has 1 GiB of address space more than it takes when it idles.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from tests.processes import ServerProcess
from tests.service.faults.conftest import check_serves
from tests.service.hostile.calls import CLEAN, call
from tests.service.hostile.connections import ATTACKS, Attack
from tests.service.hostile.requests import (
    ANSWER_TIMES,
    HOSTILE,
    MEMORY_TIMES,
    MIB,
    MOST_ANSWER,
    MOST_KEPT,
    MOST_MEMORY,
    Hostile,
)
from tests.service.hostile.watched import WatchedProcess

GIB = 1 << 30
SETTLE = 30
"""Seconds in which what is kept must go back."""


@pytest.fixture(scope="module")
def confined() -> Iterator[ServerProcess]:
    """A server that has little more address space than it needs."""
    process = ServerProcess("--health-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", anew=True)
    for _ in range(20):
        check_serves(process)
    WatchedProcess(process.process.pid).limit_address_space(GIB)
    yield process
    check_serves(process)
    assert process.stop() == 0, process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize("request_", HOSTILE, ids=lambda request: request.name)
def test_a_hostile_request(confined: ServerProcess, request_: Hostile) -> None:
    data = request_.build()
    watched = WatchedProcess(confined.process.pid)
    with ThreadPoolExecutor(request_.at_once) as pool:
        calls = [pool.submit(call, confined.address, request_, data) for _ in range(request_.at_once)]
        answers = [answer.result() for answer in calls]
    check_serves(confined)
    taken = watched.taken(settle=SETTLE, most=MOST_KEPT)
    assert {status for status, _ in answers} <= CLEAN
    assert max(received for _, received in answers) <= ANSWER_TIMES * len(data) + MOST_ANSWER
    assert taken.peak <= MEMORY_TIMES * request_.at_once * len(data) + MOST_MEMORY
    assert taken.kept <= MOST_KEPT


@contextmanager
def attacked(address: str, attack: Attack, seconds: float) -> Iterator[None]:
    """Let an attack run for a while before the block, and while it runs."""
    over, begun = threading.Event(), threading.Event()

    def run() -> None:
        timer = threading.Timer(seconds, begun.set)
        timer.start()
        steps = attack(address)
        for _ in steps:
            if over.is_set():
                break
        steps.close()  # type: ignore[attr-defined]
        timer.join()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join(60)


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_connections(confined: ServerProcess, attack: str) -> None:
    watched = WatchedProcess(confined.process.pid)
    with attacked(confined.address, ATTACKS[attack], 4):
        check_serves(confined)
    taken = watched.taken(settle=SETTLE, most=MOST_KEPT)
    # Eight requests may come late, of up to 65 MB each; that is what the server lets clients of any kind hold.
    assert taken.peak <= 8 * 65 * MIB + MOST_MEMORY
    assert taken.kept <= MOST_KEPT


@pytest.mark.parametrize("attack", ["half_sent_health_checks", "health_checks_without_a_body", "idle_connections"])
def test_the_port_of_probes(confined: ServerProcess, attack: str) -> None:
    address = confined.wait_for(r"health checks alone on ([^\s\"]+)")
    watched = WatchedProcess(confined.process.pid)
    with attacked(address, ATTACKS[attack], 4), grpc.insecure_channel(address) as channel:
        for _ in range(20):
            assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30) == b"\x08\x01"
    assert watched.taken().peak <= MOST_MEMORY


def test_the_port_of_metrics(confined: ServerProcess) -> None:
    from tests.service.scraping import scrape

    address = confined.wait_for(r"metrics on http://([^/]+)/")
    with attacked(address, ATTACKS["idle_connections"], 2):
        assert scrape(confined)["filler_serving", ()] == 1
    check_serves(confined)
