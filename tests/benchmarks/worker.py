"""The program of a worker: prepares works of one peer, and runs one repetition when told to.

`python -m tests.benchmarks.worker MODULE [CPUS]` keeps to so many CPUs, reads a line of JSON from standard input and
answers with one, again and again. A peer is a module with

    about() -> str                            what it is, with the version; imports its libraries
    prepare(work: str, **case) -> Callable    what one call does, with everything warm

Whatever a peer prints goes to standard error.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

from tests.benchmarks import processes


class Peer(Protocol):
    """Interface of a module of peers."""

    def about(self) -> str:
        """Return what it is."""
        ...

    def prepare(self, work: str, **case: Any) -> Callable[[], object]:
        """Return what one call does."""
        ...


class Worker:
    """The works that are prepared, and how often each is called in one repetition."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._works: dict[str, tuple[Callable[[], object], int]] = {}

    def prepare(self, work: str, case: dict[str, Any], at_least: float) -> dict[str, Any]:
        """Make a work ready, and find out how many calls take `at_least` seconds."""
        call = self._peer.prepare(work, **case)
        call()
        calls = 1
        while at_least and (seconds := _timed(call, calls)) < at_least:
            calls = min(max(2 * calls, int(calls * at_least / max(seconds, 1e-9))), 16 * calls)
        self._works[work] = call, calls
        return {"calls": calls}

    def run(self, work: str) -> dict[str, Any]:
        """Run one repetition: the mean time of one of its calls; the first, untimed, warms what others have cooled."""
        call, calls = self._works[work]
        if calls > 1:
            call()
        processes.reset_peak()
        cpu = _cpu()
        seconds = _timed(call, calls)
        return {"seconds": seconds / calls, "client_cpu": (_cpu() - cpu) / calls, "client_peak": processes.peak()}

    def release(self) -> dict[str, Any]:
        """Forget what is prepared."""
        self._works.clear()
        return {}


def _timed(call: Callable[[], object], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - begun


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(module: str, cpus: str = "") -> None:
    """Serve until standard input ends."""
    if cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cpus)])
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    worker: Worker | None = None
    for line in sys.stdin:
        try:
            if worker is None:
                peer = cast("Peer", importlib.import_module(module))
                answer: dict[str, Any] = {"about": peer.about()}
                worker = Worker(peer)
            else:
                request = json.loads(line)
                answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever a peer cannot do is an entry of the table
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
