"""Processes of `filler`, forked from one that has imported everything: Python's start is most of a command's time."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

_one_at_a_time = threading.Lock()


class ForkedProcess:
    """A process of `filler`, with what tests need of `subprocess.Popen`.

    Args:
        arguments: the arguments of `filler`.
        stdout: the descriptor that is its standard output.
        stderr: the descriptor that is its standard error.
        environment: its environment; what the interpreter reads at its start has no effect.
        file_limit: the most bytes of a file that it may write; None for any number.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        stdout: int,
        stderr: int,
        environment: dict[str, str],
        file_limit: int | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._reading = threading.Lock()
        self._ended, status_to = os.pipe()
        request = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(Path.cwd()),
            "file_limit": file_limit,
        }
        with _one_at_a_time:
            prepared = _prepared()
            socket.send_fds(prepared, [json.dumps(request).encode()], [stdout, stderr, status_to])
            self.pid = int(prepared.recv(100))
        os.close(status_to)

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit status."""
        if self.returncode is None:
            over = select.poll()
            over.register(self._ended, select.POLLIN)
            if not over.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("filler", timeout or 0)
        with self._reading:
            if self.returncode is None:
                self.returncode = int(os.read(self._ended, 100))
                os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


@cache
def _prepared() -> socket.socket:
    """Start the process that forks, which ends with the tests; return the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.prepared", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.DEVNULL,
        # Pipes, so that what is forked buffers as it does in a pipe.
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONFAULTHANDLER": "1", "GRPC_VERBOSITY": "NONE"},
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours
