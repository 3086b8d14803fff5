"""Workers from outside: one process for each peer, kept alive, paused while others run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.benchmarks import processes
from tests.benchmarks.results import Run
from tests.benchmarks.statistics import NotAvailable

ROOT = Path(__file__).resolve().parents[2]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of the processes that are compared: no library is told which CPU to be for."""
    return {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"} | changes


class WorkerProcess:
    """One process that runs the works of one peer.

    Args:
        module: the peer, below `tests.benchmarks`.
        env: what the environment has besides.
        server: the process that serves this one, measured and paused along with it.
        cpus: the number of CPUs that the process may use from its start; None: all.

    Raises:
        NotAvailable: the peer cannot be imported.
    """

    def __init__(
        self,
        module: str,
        *,
        env: Mapping[str, str] | None = None,
        server: int | None = None,
        cpus: int | None = None,
    ) -> None:
        self._server = server
        options = [] if cpus is None else [str(cpus)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", f"tests.benchmarks.{module}", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            cwd=ROOT,
            env=environment(**(env or {})),
        )
        try:
            self.about: str = self._ask({})["about"]
        except NotAvailable:
            self.close()
            raise
        self._pause()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def prepare(self, work: str, at_least: float = 0.0, **case: Any) -> Callable[[], Run]:
        """Make a work ready; return what runs one repetition of it.

        Raises:
            NotAvailable: the peer cannot do it.
        """
        self._resume()
        self._ask({"do": "prepare", "work": work, "case": case, "at_least": at_least})
        self._pause()
        return lambda: self._run(work)

    def release(self) -> None:
        """Free what is prepared."""
        self._resume()
        self._ask({"do": "release"})
        self._pause()

    def _run(self, work: str) -> Run:
        request = {"do": "run", "work": work}
        self._resume()
        try:
            if self._server is None:
                return Run(**self._ask(request))
            processes.reset_peak(self._server)
            before = processes.cpu_seconds(self._server)
            client = self._ask(request)
            cpu = processes.cpu_seconds(self._server) - before
            return Run(**client, server_cpu=cpu, server_peak=processes.peak(self._server))
        finally:
            self._pause()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise NotAvailable(f"its process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotAvailable(answer["error"])
        return answer

    def _pause(self) -> None:
        if self._process.poll() is not None:
            return
        for pid in filter(None, (self._process.pid, self._server)):
            processes.pause(pid)

    def _resume(self) -> None:
        for pid in filter(None, (self._server, self._process.pid)):
            processes.resume(pid)

    def close(self) -> None:
        """End the process; the server is left as it is, not paused."""
        if self._process.poll() is None:
            self._resume()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
