"""Modules of PyTorch, initialized in place: by rules, and by torch.nn.init on the same tensors, at one thread."""

from collections.abc import Callable

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results
from tests.benchmarks.statistics import alternate
from tests.benchmarks.tables import Table, digits, with_quartiles
from tests.benchmarks.workers import WorkerProcess

SECTION = "Modules of PyTorch"
OURS, TORCH = "ours", "torch.nn.init"
GPT2, RESNET, TRUNCATED = "GPT-2 (124 M)", "ResNet-50", "truncated normal, 64 MiB"

TARGETS = {GPT2: 5.0, RESNET: 5.0, TRUNCATED: 8.0}
"""Speed that each should have, as a multiple of that of torch.nn.init."""


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Compare both on each module."""
    table = Table(
        "Modules initialized in place, at one thread",
        ["module", "MB", "ours, ms", "torch.nn.init, ms", "ratio"],
        notes=[
            "Ours is initialize_ with its report, embedded, of the rules as text; torch.nn.init is called for each "
            "parameter, with the same distributions. The tensors are the same, float32, and warm.",
        ],
    )
    for case in TARGETS:
        say(case)
        with WorkerProcess("peers.torch_modules", env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}) as worker:
            ready = {name: worker.prepare(name, case=case) for name in (OURS, TORCH)}
            runs, failed = alternate(ready, effort.module_rounds)
        comparison = Comparison(SECTION, (case,), AMOUNTS[case], runs, failed)
        results.comparisons.append(comparison)
        ratio = comparison.faster(OURS, TORCH)
        table.add(
            case,
            digits(comparison.amount / 1e6),
            *(with_quartiles(comparison.seconds(name).scaled(1000)) for name in (OURS, TORCH)),
            "-" if ratio is None else with_quartiles(ratio),
        )
    results.tables.append((SECTION, table))


AMOUNTS = {GPT2: 4 * 124_439_808, RESNET: 4 * 25_557_032, TRUNCATED: 64 << 20}
"""Bytes of the parameters."""
