"""All benchmarks, or some; `make bench` sets up what they need and runs them."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import (
    callers,
    generation,
    growth,
    hostile,
    latency,
    machine,
    modules,
    nets,
    planning,
    startup,
    streaming,
    targets,
)
from tests.benchmarks.effort import FULL, QUICK, Effort
from tests.benchmarks.results import Results
from tests.benchmarks.statistics import NotAvailable
from tests.benchmarks.tables import Table
from tests.benchmarks.workers import ROOT

Section = Callable[[Effort, Results, Callable[[str], None]], None]

SECTIONS: dict[str, Section] = {
    "generation": generation.run,
    "streaming": streaming.run,
    "nets": nets.run,
    "modules": modules.run,
    "latency": latency.run,
    "callers": callers.run,
    "planning": planning.run,
    "startup": startup.run,
    "growth": growth.run,
    "hostile": hostile.run,
}


def main() -> None:
    """Run the sections, print the tables and write them to a file."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no gibibytes: under five minutes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="these sections")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="folder of the reports")
    given = parser.parse_args()
    # An end like any other: what was started is ended, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    effort = QUICK if given.quick else FULL
    stem = given.output / datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    results = Results(machine.describe())
    begun = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - begun:6.1f} s  {text}", file=sys.stderr, flush=True)

    for name in given.only:
        say(name)
        try:
            SECTIONS[name](effort, results, say)
        except NotAvailable as error:
            say(f"{name} is not available: {error}")
            results.tables.append((name, Table("Not available", ["reason"], [[str(error)]])))
        # What is measured is kept, whatever becomes of the rest.
        results.write(stem)
    targets.run(effort, results, say)
    print(results.markdown())
    paths = results.write(stem)
    print(f"{time.perf_counter() - begun:.0f} s. Written: {', '.join(map(str, paths))}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
