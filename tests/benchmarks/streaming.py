"""Streaming: one blob over loopback TCP into one array, from a process that serves to one that receives."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import NotAvailable, alternate, spread
from tests.benchmarks.tables import MIB, Table, digits, size, with_quartiles
from tests.benchmarks.workers import WorkerProcess

SECTION = "Streaming"

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
"""Big buffers stay with the process."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to stream.

    Attributes:
        name: as it is printed.
        peer: module of `tests.benchmarks.streams`; the client's, and the server's too unless it is ours.
        work: what the peer calls it.
        env: environment of both processes.
    """

    name: str
    peer: str
    work: str
    env: Mapping[str, str] = field(default_factory=dict)


CONTENDERS = [
    Contender("ours: constant", "ours", "constant"),
    Contender("ours: msra", "ours", "msra"),
    Contender("raw TCP", "raw_tcp", "send"),
    Contender("Flight", "arrow_flight", "one batch"),
    Contender("Flight, tuned", "arrow_flight", "tuned", {**MALLOC, "ARROW_DEFAULT_MEMORY_POOL": "system"}),
    Contender("gRPC, bytes", "usual_grpc", "bytes"),
    Contender("gRPC, repeated float", "usual_grpc", "floats"),
]

NOTES = [
    "Peers send memory that exists already; ours generates while it sends, and checks every byte (CRC-32C).",
    "Flight: do_get of one batch, whose memory becomes the array. Flight, tuned: batches of 1 MiB copied into an array "
    "that exists, glibc's trim and mmap thresholds at 1 GiB on both sides, Arrow over malloc.",
    "gRPC, bytes: chunks of 1 MiB, joined; repeated float: messages of as many values. Both end in a new array.",
    "Peak: the most memory of the process during a transfer, the array itself and what a peer sends included.",
]


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Compare all ways of streaming at each size."""
    with ExitStack() as stack:
        workers: dict[str, WorkerProcess] = {}
        unavailable: dict[str, str] = {}
        for contender in CONTENDERS:
            try:
                workers[contender.name] = _start(stack, contender)
            except NotAvailable as error:
                unavailable[contender.name] = str(error)
        about = dict.fromkeys(worker.about for worker in workers.values())
        for nbytes, rounds in effort.stream_sizes.items():
            say(f"{size(nbytes)} by {', '.join(workers)}")
            comparison = _compare(workers, unavailable, nbytes, rounds)
            results.comparisons.append(comparison)
            results.tables += [(SECTION, table) for table in _tables(comparison, [*NOTES, *about])]


def _start(stack: ExitStack, contender: Contender) -> WorkerProcess:
    command = OURS if contender.peer == "ours" else (f"tests.benchmarks.streams.{contender.peer}",)
    server = stack.enter_context(Server(*command, env=contender.env))
    env = {**contender.env, "BENCHMARK_SERVER": server.address}
    return stack.enter_context(WorkerProcess(f"streams.{contender.peer}", env=env, server=server.pid))


def _compare(
    workers: Mapping[str, WorkerProcess], unavailable: Mapping[str, str], nbytes: int, rounds: int
) -> Comparison:
    ready: dict[str, Callable[[], Run]] = {}
    failed: dict[str, str] = {}
    for contender in CONTENDERS:
        if contender.name in workers:
            try:
                ready[contender.name] = workers[contender.name].prepare(contender.work, nbytes=nbytes)
            except NotAvailable as error:
                failed[contender.name] = str(error)
    runs, ended = alternate(ready, rounds)
    for name in ready:
        if name not in ended:
            workers[name].release()
    return Comparison(SECTION, (size(nbytes),), nbytes, runs, {**unavailable, **failed, **ended})


def _tables(comparison: Comparison, notes: list[str]) -> list[Table]:
    gigabytes = comparison.amount / 1e9
    table = Table(
        f"{comparison.case[0]} into one array",
        ["contender", "GB/s", "client CPU s/GB", "server CPU s/GB", "client peak MiB", "server peak MiB"],
        notes=notes,
    )
    ratios = Table(f"ours / peer, {comparison.case[0]}, ratio of speeds", ["peer", "constant", "msra"])
    for contender in CONTENDERS:
        runs = comparison.runs.get(contender.name)
        if runs is None:
            table.add(contender.name, *["not available"] * 5)
            table.notes.append(f"{contender.name}: not available: {comparison.unavailable[contender.name]}")
            continue
        table.add(
            contender.name,
            with_quartiles(comparison.rate(contender.name).scaled(1e-9)),
            with_quartiles(spread([run.client_cpu / gigabytes for run in runs])),
            with_quartiles(spread([run.server_cpu / gigabytes for run in runs])),
            digits(max(run.client_peak for run in runs) / MIB),
            digits(max(run.server_peak for run in runs) / MIB),
        )
        found = [comparison.faster(f"ours: {filler}", contender.name) for filler in ("constant", "msra")]
        if contender.peer != "ours":
            ratios.add(contender.name, *("-" if ratio is None else with_quartiles(ratio) for ratio in found))
    return [table, ratios]
