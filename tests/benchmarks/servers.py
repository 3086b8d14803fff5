"""Servers of the comparisons, each a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from tests.benchmarks import processes
from tests.benchmarks.statistics import NotAvailable
from tests.benchmarks.workers import ROOT, environment

OURS = ("filler_client.cli", "serve", "--listen", "127.0.0.1:0")
"""Module and arguments of this project's server."""


class Server:
    """A server that tells on standard error where it is `serving on`.

    Args:
        command: module and arguments.
        env: what the environment has besides.
        until: what it writes when it is ready.

    Raises:
        NotAvailable: it ended before it served.
    """

    def __init__(self, *command: str, env: Mapping[str, str] | None = None, until: str = "serving on ") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment(**(env or {})),
        )
        assert self._process.stderr is not None
        last = ""
        for line in self._process.stderr:
            if found := re.search(r"serving on (\S+)", line):
                self.address = found[1]
            if re.search(until, line):
                # A line a call would fill the pipe, and stop the server.
                threading.Thread(target=self._process.stderr.read, daemon=True).start()
                return
            last = line.strip() or last
        self._process.stderr.close()
        raise NotAvailable(f"the server ended with {self._process.wait()}: {last[:200]}")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let a server run that workers leave paused."""
        processes.resume(self._process.pid)
        try:
            yield
        finally:
            processes.pause(self._process.pid)

    def close(self) -> None:
        """End the process, also where it is paused."""
        self._process.terminate()
        processes.resume(self._process.pid)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
