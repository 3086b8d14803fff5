"""Real processes for the tests of the service."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from tests.forking import ForkedProcess


class ServerProcess:
    """A `filler serve` in a process of its own, on a port of its own.

    It is forked from a prepared process, unless it is to be an interpreter `anew`, or has an environment or a command
    of its own.

    Attributes:
        process: the process.
        address: where it serves, its first address where there are several; what `until` finds where that is given.
    """

    def __init__(
        self,
        *options: str,
        listen: str = "127.0.0.1:0",
        env: dict[str, str] | None = None,
        until: str = r"serving on ([^\s\"]+)",
        command: Sequence[str] = (),
        anew: bool = False,
    ) -> None:
        arguments = ["serve", "--listen", listen, *options]
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})}
        stderr_from, stderr = os.pipe()
        self._stderr = os.fdopen(stderr_from)
        self.process: ForkedProcess | subprocess.Popen[bytes]
        if anew or env or command:
            command = command or [sys.executable, "-m", "filler_client.cli", *arguments]
            self.process = subprocess.Popen(command, stderr=stderr, env=environment)
        else:
            self.process = ForkedProcess(arguments, stdout=stderr, stderr=stderr, environment=environment)
        os.close(stderr)
        self._lines: list[str] = []
        self._ended = False
        self._written = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.wait_for(until)

    @property
    def log(self) -> str:
        """Everything written so far."""
        return "".join(self._lines)

    def wait_for(self, pattern: str, seconds: float = 240) -> str:
        """Wait until the log has the pattern; return its first group."""
        with self._written:
            self._written.wait_for(lambda: self._ended or re.search(pattern, self.log), seconds)
            found = re.search(pattern, self.log)
        if found:
            return found[1] if found.groups() else found[0]
        if not self._ended:
            raise AssertionError(f"{pattern} does not come:\n{self.log}")
        raise AssertionError(f"the server ended with {self.process.wait()}:\n{self.log}")

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end; returns the exit status.

        Raises:
            AssertionError: it does not end; the message has its log, and where each of its threads is.
        """
        try:
            status = self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            status = None
        self._reader.join(timeout=60)
        if status is None:
            self.process.kill()
            raise AssertionError(f"the server does not end:\n{self.log}")
        return status

    def _read(self) -> None:
        with self._stderr as stderr:
            for line in stderr:
                with self._written:
                    self._lines.append(line)
                    self._written.notify_all()
        with self._written:
            self._ended = True
            self._written.notify_all()
