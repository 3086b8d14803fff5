"""Harm: what hostile requests and connections take, and how long a small call takes beside them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from filler_client import FillerClient
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Results
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import NotAvailable
from tests.benchmarks.tables import MIB, Table, digits
from tests.service.hostile.calls import call
from tests.service.hostile.connections import ATTACKS
from tests.service.hostile.requests import HOSTILE
from tests.service.hostile.watched import WatchedProcess

SECTION = "Harm"

_DEADLINE = 60.0
_SETTLE = 10.0
_KEPT = 32 * MIB


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Measure what each request takes, then the latency of a small caller alone and beside each of them."""
    try:
        with Server(*OURS) as server:
            results.tables.append((SECTION, _costs(server, say)))
            results.tables.append((SECTION, _latencies(server, effort.calls, results, say)))
    except OSError as error:
        raise NotAvailable(f"the memory of a process cannot be looked at: {error}") from error


def _costs(server: Server, say: Callable[[str], None]) -> Table:
    table = Table(
        "Hostile requests: MB sent, MB of memory at most and kept, seconds of processors, MB answered",
        ["request", "calls", "sent", "peak", "kept", "CPU s", "answer", "next call, ms", "status"],
        notes=["Memory is that beyond what the server has before; sent and answer are those of one call."],
    )
    for request in HOSTILE:
        say(request.name)
        data = request.build()
        watched = WatchedProcess(server.pid)
        with ThreadPoolExecutor(request.at_once) as pool:
            calls = [
                pool.submit(call, server.address, request, data, timeout=_DEADLINE) for _ in range(request.at_once)
            ]
            answers = [answer.result() for answer in calls]
        next_call = _milliseconds(server.address, 1)[0]
        taken = watched.taken(settle=_SETTLE, most=_KEPT)
        table.add(
            request.name.replace("_", " "),
            str(request.at_once),
            digits(len(data) / 1e6),
            digits(taken.peak / 1e6),
            digits(max(taken.kept, 0) / 1e6),
            digits(taken.cpu),
            digits(max(answer for _, answer in answers) / 1e6),
            digits(next_call),
            " ".join(sorted({status for status, _ in answers})),
        )
    return table


def _latencies(server: Server, calls: int, results: Results, say: Callable[[str], None]) -> Table:
    table = Table(
        "Milliseconds of a Fill of 2 KiB, alone and beside harm",
        ["beside", "p50", "p99", "longest"],
        notes=["Whoever does the harm takes of the same processors, with as much as it can."],
    )

    def measure(name: str) -> None:
        say(f"beside {name}")
        taken = _milliseconds(server.address, calls // 4)
        p50, p99 = (float(value) for value in np.quantile(taken, (0.5, 0.99)))
        table.add(name, digits(p50), digits(p99), digits(max(taken)))
        results.values |= {f"harm/{name}/p50_ms": p50, f"harm/{name}/p99_ms": p99}

    measure("nothing")
    for request in HOSTILE:
        data = request.build()
        with _again(lambda: call(server.address, request, data, timeout=_DEADLINE), request.at_once):  # noqa: B023
            measure(request.name.replace("_", " "))
    for name, attack in ATTACKS.items():
        steps = attack(server.address)
        with _again(lambda: next(steps), 1):  # noqa: B023
            measure(name.replace("_", " "))
        steps.close()  # type: ignore[attr-defined]
    measure("nothing, afterwards")
    return table


def _milliseconds(address: str, calls: int) -> list[float]:
    with FillerClient(address, timeout=_DEADLINE) as client:
        client.list_fillers()
        taken = []
        for _ in range(calls):
            begun = time.perf_counter()
            client.fill("msra", (32, 16), seed=1701, name="small/0")
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


@contextmanager
def _again(work: Callable[[], object], at_once: int) -> Iterator[None]:
    """Do the work again and again, so often at once, while the block runs."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            work()

    threads = [threading.Thread(target=run) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
