"""The targets of this project, judged by what the same run has measured."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks import callers, generation, latency, modules, nets, planning, startup, streaming
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results
from tests.benchmarks.tables import MIB, Table, digits

SECTION = "Targets"

CAFFE_UNITBALL = 0.37
"""GB/s of Caffe's own positive_unitball on the machine that the targets were set on."""


@dataclass(frozen=True, slots=True)
class Target:
    """One number that should be reached.

    Attributes:
        work: what is done.
        measure: what the number is.
        bound: the number.
        at_most: it is the largest allowed, not the smallest.
    """

    work: str
    measure: str
    bound: float
    at_most: bool = False

    def met_by(self, value: float) -> bool:
        """Return whether a value reaches it."""
        return value <= self.bound if self.at_most else value >= self.bound


Found = tuple[str, float]
"""A case, and the median that was measured in it."""


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Judge every target of which something was measured."""
    table = Table(
        "Targets of the project (medians of this run)",
        ["work", "measure", "target", "worst case", "at", "best case", "verdict"],
        notes=[
            "Ratios are ours / peer in speed, medians of the rounds; 'best' of several is the fastest in that case.",
            "CaffeNet: in a process that has imported what it needs; the table of whole nets has the commands, too.",
            "MKL chooses its code by the maker of the CPU; the notes of the first table tell which it has loaded here.",
        ],
    )
    for target, found in judged(results):
        worst, best = (extreme(target, found) for extreme in (_worst, _best))
        met = sum(target.met_by(value) for _, value in found)
        verdict = "met" if met == len(found) else f"not met ({met} of {len(found)})" if met else "not met"
        bound = f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
        table.add(target.work, target.measure, bound, digits(worst[1]), worst[0], digits(best[1]), verdict)
    if table.rows:
        results.tables.append((SECTION, table))


def judged(results: Results) -> Iterator[tuple[Target, Sequence[Found]]]:
    """Yield each target with what was found for it, where anything was."""
    for target, found in _all(results):
        values = list(found)
        if values:
            yield target, values


def _worst(target: Target, found: Sequence[Found]) -> Found:
    return (max if target.at_most else min)(found, key=lambda case: case[1])


def _best(target: Target, found: Sequence[Found]) -> Found:
    return (min if target.at_most else max)(found, key=lambda case: case[1])


def _all(results: Results) -> Iterator[tuple[Target, Iterable[Found]]]:
    yield from _generation(results)
    yield from _streaming(results)
    yield from _calls(results)
    yield from _rest(results)


NUMPY = ("NumPy PCG64", "NumPy SFC64", "NumPy Philox")


def _generation(results: Results) -> Iterator[tuple[Target, Iterable[Found]]]:
    def ratios(distribution: str, fillers: Sequence[str], *peers: str) -> Iterator[Found]:
        for comparison in _fills(results, distribution):
            for filler in fillers:
                yield from _ratio(comparison, f"ours: {filler}", peers, f"{filler}, {', '.join(comparison.case[1:])}")

    normals, uniforms = ("gaussian", "msra"), ("uniform", "xavier")
    work = "gaussian, msra"
    yield Target(work, "x MKL Philox (icdf)", 1.3), ratios("normal", normals, "MKL Philox")
    yield Target(work, "x MKL ARS5 (icdf)", 1.0), ratios("normal", normals, "MKL ARS5")
    yield Target(work, "x NumPy's best", 12), ratios("normal", normals, *NUMPY)
    yield Target(work, "x PyTorch's best", 5), ratios("normal", normals, "PyTorch normal_", "PyTorch kaiming_normal_")
    work = "uniform, xavier"
    yield Target(work, "x MKL Philox", 1.0), ratios("uniform", uniforms, "MKL Philox")
    yield Target(work, "x NumPy's best", 6), ratios("uniform", uniforms, *NUMPY)
    yield Target(work, "x memset", 0.4), ratios("uniform", uniforms, "memset")
    yield Target("constant", "x memset", 0.95), ratios("other", ["constant"], "memset")
    yield Target("bilinear", "x memset", 0.5), ratios("other", ["bilinear"], "memset")
    work = "positive_unitball"
    yield (
        Target(work, "GB/s", 3 * CAFFE_UNITBALL),
        (
            (", ".join(comparison.case[1:]), comparison.rate(f"ours: {work}").median / 1e9)
            for comparison in _fills(results, "other")
            if f"ours: {work}" in comparison.runs
        ),
    )
    yield Target(work, "x Caffe's loop here", 3), ratios("other", [work], "Caffe's positive_unitball (Boost)")


def _streaming(results: Results) -> Iterator[tuple[Target, Iterable[Found]]]:
    comparisons = [one for one in results.comparisons if one.section == streaming.SECTION]
    ours = "ours: msra"

    def ratios(than: str) -> Iterator[Found]:
        for comparison in comparisons:
            yield from _ratio(comparison, ours, (than,), comparison.case[0])

    def cpu(side: str) -> Iterator[Found]:
        for comparison in comparisons:
            seconds = [getattr(run, f"{side}_cpu") for run in comparison.runs.get(ours, ())]
            if seconds:
                yield comparison.case[0], median(seconds) / comparison.amount * 1e9

    work = "one stream of msra over TCP"
    yield Target(work, "x Flight do_get", 1.5), ratios("Flight")
    yield Target(work, "x Flight, tuned", 0.7), ratios("Flight, tuned")
    yield Target(work, "x usual gRPC (bytes)", 2.5), ratios("gRPC, bytes")
    yield Target(work, "x raw TCP", 0.42), ratios("raw TCP")
    yield Target(work, "client CPU s/GB", 1.0, at_most=True), cpu("client")
    yield Target(work, "server CPU s/GB", 0.7, at_most=True), cpu("server")
    yield Target(work, "x constant (generation hidden)", 0.9), ratios("ours: constant")


def _calls(results: Results) -> Iterator[tuple[Target, Iterable[Found]]]:
    def of_bare(name: str) -> Iterator[Found]:
        for count in callers.CALLERS:
            comparison = results.find(callers.SECTION, name, f"{count}")
            if comparison is None:
                continue
            for processes in callers.PROCESSES:
                case = f"{count} callers, {callers.ours(processes)}"
                yield from _ratio(comparison, callers.ours(processes), (callers.bare(processes),), case)

    def of_one_caller(name: str) -> Iterator[Found]:
        one, *_, many = (results.find(callers.SECTION, name, f"{count}") for count in callers.CALLERS)
        if one is None or many is None:
            return
        for processes in callers.PROCESSES:
            server = callers.ours(processes)
            if server in one.runs and server in many.runs:
                yield server, one.seconds(server).median / many.seconds(server).median

    yield Target(callers.FILLS, "x bare gRPC", 0.6), of_bare(callers.FILLS)
    yield Target(f"32 callers of a {callers.NETS}", "x one caller", 1.0), of_one_caller(callers.NETS)


def _rest(results: Results) -> Iterator[tuple[Target, Iterable[Found]]]:
    def ratio(section: str, case: str, ours: str, than: str, *, inverse: bool = False) -> Iterator[Found]:
        comparison = results.find(section, case)
        if comparison is not None:
            for name, value in _ratio(comparison, ours, (than,), case):
                yield name, 1 / value if inverse else value

    many = f"{latency.BLOBS} blobs"
    yield (
        Target(f"{many} in one FillNet", "x one call per blob", 60),
        ratio(latency.SECTION, many, latency.ONE_NET, latency.ONE_BY_ONE),
    )
    yield (
        Target("CaffeNet embedded to .safetensors", "time / cp's", 1.3, at_most=True),
        ratio(nets.SECTION, "CaffeNet", nets.EMBEDDED, nets.COPY, inverse=True),
    )
    for case, bound in modules.TARGETS.items():
        yield (
            Target(f"{case}, one thread", "x torch.nn.init", bound),
            ratio(modules.SECTION, case, modules.OURS, modules.TORCH),
        )
    for case, bound in planning.SIGNAL_TARGETS.items():
        planned = results.find(planning.SECTION, case)
        if planned is not None:
            yield (
                Target(f"signal of {case}, in theory", "ms", bound, at_most=True),
                [(case, planned.seconds(planning.SIGNAL).median * 1000)],
            )
    starts = results.find(startup.SECTION, "programs")
    if starts is None:
        return
    importing = median(startup.above_bare(starts, startup.IMPORT)) * 1000
    yield Target("client import", "ms above the interpreter", 150, at_most=True), [("programs", importing)]
    for work, name, unit, bound in (
        ("filler --help", startup.HELP, 1000, 300.0),
        ("filler init, LeNet", startup.INIT, 1000, 500.0),
        ("server to SERVING, cold", startup.COLD, 1, 10.0),
        ("server to SERVING, warm", startup.WARM, 1, 2.0),
    ):
        value = starts.seconds(name).median * unit
        yield Target(work, "ms" if unit == 1000 else "s", bound, at_most=True), [("programs", value)]


def _fills(results: Results, distribution: str) -> list[Comparison]:
    """The comparisons of generation that targets speak of: 64 KiB to 64 MiB."""
    sections = (one for one in results.comparisons if one.section == generation.SECTION)
    return [one for one in sections if one.case[0] == distribution and one.amount <= 64 * MIB]


def _ratio(comparison: Comparison, ours: str, peers: Sequence[str], case: str) -> Iterator[Found]:
    """The ratio to the fastest of the peers."""
    ran = [peer for peer in peers if peer in comparison.runs]
    if ran:
        fastest = min(ran, key=lambda peer: comparison.seconds(peer).median)
        ratio = comparison.faster(ours, fastest)
        if ratio is not None:
            yield case, ratio.median
