"""Generation: every filler into a warm float32 buffer, against the random numbers of others and against memory."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.statistics import NotAvailable, alternate
from tests.benchmarks.tables import Table, size, with_quartiles
from tests.benchmarks.workers import WorkerProcess

SECTION = "Generation"


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a table.

    Attributes:
        name: as it is printed.
        peer: module of `tests.benchmarks.peers`.
        work: what the peer calls it.
        threads: the largest number of threads that it can use.
    """

    name: str
    peer: str
    work: str
    threads: int = 2


LIMITS = [Contender("memset", "memory", "memset"), Contender("memcpy", "memory", "memcpy")]


def _ours(*fillers: str) -> list[Contender]:
    return [Contender(f"ours: {filler}", "ours", filler) for filler in fillers]


def _random(distribution: str, torch: list[str]) -> list[Contender]:
    return [
        *(
            Contender(f"NumPy {bits}", "numpy_generator", f"{distribution} {bits}")
            for bits in ("PCG64", "SFC64", "Philox")
        ),
        *(Contender(f"PyTorch {work}", "pytorch", work) for work in torch),
        *(
            Contender(f"JAX {generator}", "jax_random", f"{distribution} {generator}")
            for generator in ("threefry", "rbg")
        ),
        *(Contender(f"MKL {generator}", "mkl_vsl", f"{distribution} {generator}") for generator in ("Philox", "ARS5")),
        Contender("mkl_random (float64)", "mkl_random_state", f"{distribution} PHILOX4X32X10"),
        Contender("Caffe's loop (Boost)", "caffe_boost", distribution, threads=1),
    ]


DISTRIBUTIONS: dict[str, list[Contender]] = {
    "normal": [*_ours("gaussian", "msra"), *LIMITS, *_random("normal", ["normal_", "kaiming_normal_"])],
    "uniform": [*_ours("uniform", "xavier"), *LIMITS, *_random("uniform", ["uniform_", "xavier_uniform_"])],
    "other": [
        *_ours("constant", "bilinear", "positive_unitball"),
        *LIMITS,
        Contender("Caffe's positive_unitball (Boost)", "caffe_boost", "positive_unitball", threads=1),
    ],
}
"""The contenders of each table; ours come first."""

NOTES = [
    "GB/s of float32 (4 bytes a value): median [quartiles]. Buffers are warm; what a call needs exists already.",
    "Ours with 2 threads: the library decides by size whether both are used. NumPy, MKL, mkl_random, memset, memcpy "
    "with 2 threads: one half each, on two threads that exist, from 1 MiB on; PyTorch and JAX with their own threads.",
    "mkl_random gives float64 in new arrays only; its rate counts 4 bytes a value.",
]


def thread_case(threads: int) -> str:
    """Return the name of a number of threads in a case."""
    return f"{threads} thread" + "s" * (threads > 1)


class Workers:
    """The workers of one number of threads, started when first asked for."""

    def __init__(self, stack: ExitStack, threads: int) -> None:
        self._stack = stack
        self.threads = threads
        self.about: dict[str, str] = {}
        self._started: dict[str, WorkerProcess] = {}
        self._failed: dict[str, str] = {}

    def prepare(self, contender: Contender, nbytes: int, at_least: float) -> Callable[[], Run]:
        """Make a contender ready.

        Raises:
            NotAvailable: it cannot be had.
        """
        if self.threads > contender.threads:
            raise NotAvailable(f"{thread_case(contender.threads)} only")
        worker = self._worker(contender.peer)
        return worker.prepare(contender.work, at_least, nbytes=nbytes, threads=self.threads)

    def release(self) -> None:
        """Free what is prepared, in all workers."""
        for worker in self._started.values():
            worker.release()

    def _worker(self, peer: str) -> WorkerProcess:
        if peer in self._failed:
            raise NotAvailable(self._failed[peer])
        if peer not in self._started:
            env = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
            cpus = 1 if peer == "jax_random" and self.threads == 1 else None
            try:
                started = WorkerProcess(f"peers.{peer}", env=env, cpus=cpus)
            except NotAvailable as error:
                self._failed[peer] = str(error)
                raise
            self._started[peer] = self._stack.enter_context(started)
            self.about[peer] = started.about
        return self._started[peer]


def compare(workers: Workers, distribution: str, nbytes: int, rounds: int, at_least: float) -> Comparison:
    """Alternate all contenders of a distribution at one size."""
    ready, unavailable = {}, {}
    for contender in DISTRIBUTIONS[distribution]:
        try:
            ready[contender.name] = workers.prepare(contender, nbytes, at_least)
        except NotAvailable as error:
            unavailable[contender.name] = str(error)
    runs, failed = alternate(ready, rounds)
    workers.release()
    return Comparison(
        SECTION, (distribution, size(nbytes), thread_case(workers.threads)), nbytes, runs, unavailable | failed
    )


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Compare all distributions, sizes and numbers of threads."""
    about: dict[str, str] = {}
    for threads in (1, 2):
        with ExitStack() as stack:
            workers = Workers(stack, threads)
            for nbytes, rounds in effort.fill_sizes.items():
                for distribution in DISTRIBUTIONS:
                    say(f"{distribution}, {size(nbytes)}, {thread_case(threads)}")
                    results.comparisons.append(compare(workers, distribution, nbytes, rounds, effort.fill_seconds))
            about |= workers.about
    for distribution in DISTRIBUTIONS:
        for threads in (1, 2):
            found = [
                results.find(SECTION, distribution, size(nbytes), thread_case(threads)) for nbytes in effort.fill_sizes
            ]
            comparisons = [comparison for comparison in found if comparison is not None]
            notes = (
                [*NOTES, *(f"{peer}: {text}" for peer, text in sorted(about.items()))]
                if distribution == "normal"
                else []
            )
            results.tables.append((SECTION, rates(distribution, threads, comparisons, notes)))
            for contender in DISTRIBUTIONS[distribution]:
                if contender.peer == "ours":
                    results.tables.append((SECTION, ratios(contender.name, threads, comparisons)))


def rates(distribution: str, threads: int, comparisons: list[Comparison], notes: list[str]) -> Table:
    """Return the rates of one distribution: a row for each contender, a column for each size."""
    title = f"Values of distribution '{distribution}', {thread_case(threads)}, GB/s"
    table = Table(title, ["contender", *(comparison.case[1] for comparison in comparisons)], notes=notes)
    for contender in DISTRIBUTIONS[distribution]:
        table.add(contender.name, *(_rate(comparison, contender.name) for comparison in comparisons))
    reasons = {name: reason for comparison in comparisons for name, reason in comparison.unavailable.items()}
    table.notes += [f"{name}: not available: {reason}" for name, reason in reasons.items()]
    return table


def ratios(ours: str, threads: int, comparisons: list[Comparison]) -> Table:
    """Return how many times as fast one of ours is as each other contender, as median of the rounds."""
    title = f"{ours} / peer, {thread_case(threads)}, ratio of speeds"
    table = Table(title, ["peer", *(comparison.case[1] for comparison in comparisons)])
    names = dict.fromkeys(name for comparison in comparisons for name in comparison.runs)
    for name in names:
        if not name.startswith("ours"):
            found = (comparison.faster(ours, name) for comparison in comparisons)
            table.add(name, *("-" if ratio is None else with_quartiles(ratio) for ratio in found))
    return table


def _rate(comparison: Comparison, contender: str) -> str:
    if contender in comparison.unavailable:
        return "not available"
    return with_quartiles(comparison.rate(contender).scaled(1e-9))
