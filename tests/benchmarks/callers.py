"""Calls a second of many callers at once, from servers of one and two processes, against gRPC that does nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.benchmarks import caller
from tests.benchmarks.effort import Effort
from tests.benchmarks.latency import BLOBS
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import NotAvailable, alternate
from tests.benchmarks.tables import Table, digits, with_quartiles
from tests.benchmarks.workers import ROOT, environment

SECTION = "Callers"

CALLERS = (1, 8, 32)
PROCESSES = (1, 2)

FILLS, NETS = "Fill of 2 KiB", f"FillNet of {BLOBS} blobs"
_KINDS = {FILLS: (caller.FILL, caller.BARE_SMALL), NETS: (caller.FILL_NET, caller.BARE_LARGE)}

_CLIENTS = 8
"""Processes that call, at most: each has one connection, which one process of a server has."""


def ours(processes: int) -> str:
    """Return the name of this project's server as a contender."""
    return f"ours, {processes} process{'es' if processes > 1 else ''}"


def bare(processes: int) -> str:
    """Return the name of a server of plain gRPC as a contender."""
    return f"bare gRPC, {processes} process{'es' if processes > 1 else ''}"


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Measure each kind of call with each number of callers, all servers in turn."""
    with ExitStack() as stack:
        servers: dict[str, tuple[Server, int]] = {}
        for count in PROCESSES:
            options = () if count == 1 else ("--processes", str(count))
            until = "serving on " if count == 1 else f"{count} processes serve"
            servers[ours(count)] = stack.enter_context(Server(*OURS, *options, until=until)), 0
            servers[bare(count)] = stack.enter_context(Server("tests.benchmarks.streams.bare_grpc", str(count))), 1
        clients = [stack.enter_context(_client()) for _ in range(_CLIENTS)]
        for name, kinds in _KINDS.items():
            for callers in CALLERS:
                say(f"{name}, callers: {callers}")
                ways = {
                    server: partial(_measure, clients, address.address, kinds[way], callers, effort.caller_seconds)
                    for server, (address, way) in servers.items()
                }
                runs, failed = alternate(ways, effort.caller_rounds)
                results.comparisons.append(Comparison(SECTION, (name, f"{callers}"), 1, runs, failed))
        results.tables.append((SECTION, _table(results)))


@contextmanager
def _client() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", caller.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _measure(clients: "list[subprocess.Popen[str]]", address: str, kind: str, callers: int, seconds: float) -> Run:
    """Return the seconds that a call takes on the average, of all callers together."""
    used = clients[: min(callers, len(clients))]
    order = {"address": address, "kind": kind, "callers": callers // len(used), "seconds": seconds}
    # What is connected and warm is so at the first call.
    for client in used:
        _tell(client, {**order, "callers": 1, "seconds": 0.0})
    for client in used:
        _answer(client)
    begun = time.perf_counter()
    for client in used:
        _tell(client, order)
    calls = sum(_answer(client) for client in used)
    return Run((time.perf_counter() - begun) / max(calls, 1))


def _tell(client: "subprocess.Popen[str]", order: dict[str, object]) -> None:
    assert client.stdin is not None
    client.stdin.write(json.dumps(order) + "\n")
    client.stdin.flush()


def _answer(client: "subprocess.Popen[str]") -> int:
    assert client.stdout is not None
    line = client.stdout.readline()
    if not line:
        raise NotAvailable(f"a process of callers ended with {client.wait()}")
    return int(json.loads(line))


def _table(results: Results) -> Table:
    table = Table(
        "Calls per second of all callers together",
        ["call", "callers", *(f"{who(count)}" for count in PROCESSES for who in (ours, bare)), "of bare"],
        notes=[
            f"Callers are threads of up to {_CLIENTS} processes; clients and servers share the CPUs.",
            "Bare gRPC answers a unary call with as many bytes, which are there already. "
            "The last column is the ratio with one process, and with as many as were measured at most.",
        ],
    )
    for name in _KINDS:
        for callers in CALLERS:
            comparison = results.find(SECTION, name, f"{callers}")
            if comparison is None:
                continue
            cells = [
                digits(1 / comparison.seconds(who(count)).median)
                for count in PROCESSES
                for who in (ours, bare)
                if who(count) in comparison.runs
            ]
            ratios = [comparison.faster(ours(count), bare(count)) for count in PROCESSES]
            table.add(
                name, str(callers), *cells, ", ".join("-" if one is None else with_quartiles(one) for one in ratios)
            )
    return table
