"""Places of the processes of a server, and what is said between them and their supervisor."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

BOUND, SERVES, COMPILED, FAILED = "bound", "serves", "compiled", "failed"
"""Events that a process tells: it has its addresses; it answers calls; it has all kernels; it cannot serve."""

COMMAND = ("-m", "filler_server.service.worker")
"""Arguments of the interpreter that runs a process."""

_END_SECONDS = 10.0
"""Time that a process may take to end after it has closed its connection."""


class Place:
    """One of the processes, and those that take its place when it ends.

    Attributes:
        number: of the place.
        process: the process, None while there is none.
        channel: connection to it.
        serves: whether it answers calls.
        due: when the next process is to be started.
        ends: how often it has ended at once, one time after the other.
        fault: what the process says that it cannot serve for, empty where it says nothing.
        served: when the process began to serve, None before.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.serves = False
        self.due: float | None = None
        self.ends = 0
        self.fault = ""
        self.served: float | None = None
        self._received = b""

    def start(self, order: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Start a process, which is a new program: what runs here does not bear being forked."""
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unless_started:
            unless_started.callback(ours.close)
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of this package
                # Without the current folder among those that modules are imported from.
                [sys.executable, "-P", *COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
                # Ctrl-C is for this process alone, which passes it on.
                start_new_session=True,
            )
            unless_started.pop_all()
        # One that has died already is noticed by its end.
        with suppress(OSError):
            ours.sendall(json.dumps({**order, "number": self.number}).encode() + b"\n")
        self.channel, self.due, self.served, self.fault, self._received = ours, None, None, "", b""

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what the process has told; nothing more comes when it has ended."""
        assert self.channel is not None  # noqa: S101 - it is read from while there is one
        with suppress(ConnectionError):
            while data := self.channel.recv(1 << 16):
                *lines, self._received = (self._received + data).split(b"\n")
                for line in lines:
                    yield json.loads(line)
                if not self._received:
                    return
        self.channel.close()
        self.channel = None

    def wait(self) -> int:
        """Return the exit status of the process, which has ended or is killed; the place is empty then."""
        assert self.process is not None  # noqa: S101 - it is waited for while there is one
        try:
            status = self.process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process, self.serves = None, False
        return status

    @property
    def pid(self) -> int:
        """The process, 0 while there is none."""
        process = self.process
        return 0 if process is None else process.pid
