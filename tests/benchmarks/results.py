"""Measurements of a run, and the files that hold them."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.statistics import Spread, paired_ratio, spread
from tests.benchmarks.tables import Table


@dataclass(frozen=True, slots=True)
class Run:
    """One repetition of one contender.

    Attributes:
        seconds: wall time of one call.
        client_cpu: CPU seconds of the process that called, all its threads.
        server_cpu: CPU seconds of the process that served; 0 without one.
        client_peak: the most memory that the caller held meanwhile, in bytes.
        server_peak: the same of the server.
    """

    seconds: float
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    client_peak: int = 0
    server_peak: int = 0


def timed(work: Callable[[], object], calls: int = 1) -> Callable[[], Run]:
    """Return what does the work so often, in this process, and says how long it took on the average."""

    def run() -> Run:
        begun = time.perf_counter()
        for _ in range(calls):
            work()
        return Run((time.perf_counter() - begun) / calls)

    return run


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders that were alternated in one work.

    Attributes:
        section: the section that ran it.
        case: what was done, e.g. `("normal", "4 MiB", "1 thread")`.
        amount: bytes, or another unit, that one call gives; rates are amount / seconds.
        runs: the repetitions of each contender, in rounds.
        unavailable: why a contender did not take part.
    """

    section: str
    case: tuple[str, ...]
    amount: float
    runs: Mapping[str, Sequence[Run]]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def seconds(self, contender: str) -> Spread:
        """Return the spread of seconds per call."""
        return spread([run.seconds for run in self.runs[contender]])

    def rate(self, contender: str) -> Spread:
        """Return the spread of `amount` per second."""
        return spread([self.amount / run.seconds for run in self.runs[contender]])

    def faster(self, contender: str, than: str) -> Spread | None:
        """Return how many times as fast a contender is as another; None where one of them did not run."""
        if contender not in self.runs or than not in self.runs:
            return None
        return paired_ratio(*([run.seconds for run in self.runs[name]] for name in (than, contender)))


@dataclass(slots=True)
class Results:
    """All that one run has measured and printed."""

    machine: Mapping[str, str]
    comparisons: list[Comparison] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    tables: list[tuple[str, Table]] = field(default_factory=list)

    def find(self, section: str, *case: str) -> Comparison | None:
        """Return the comparison of a case; None where it was not run."""
        return next((found for found in self.comparisons if (found.section, found.case) == (section, case)), None)

    def markdown(self) -> str:
        """Return the whole report."""
        parts = [
            "# Benchmarks of caffe-filler\n",
            "".join(f"- {name}: {value}\n" for name, value in self.machine.items()),
        ]
        section = ""
        for name, table in self.tables:
            if name != section:
                parts.append(f"## {name}\n")
                section = name
            parts.append(table.markdown())
        return "\n".join(parts)

    def document(self) -> dict[str, Any]:
        """Return every sample, for programs."""
        return {
            "machine": dict(self.machine),
            "comparisons": [
                {
                    "section": one.section,
                    "case": list(one.case),
                    "amount": one.amount,
                    "runs": {
                        name: [{key: getattr(run, key) for key in Run.__slots__} for run in runs]
                        for name, runs in one.runs.items()
                    },
                    "unavailable": dict(one.unavailable),
                }
                for one in self.comparisons
            ],
            "values": self.values,
        }

    def write(self, stem: Path) -> list[Path]:
        """Write `<stem>.md` and `<stem>.json`; return the two paths."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        paths = [stem.with_suffix(".md"), stem.with_suffix(".json")]
        for path, text in zip(paths, (self.markdown(), json.dumps(self.document(), indent=1)), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths
