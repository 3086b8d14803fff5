"""`filler` as a process."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import IO


def run(
    *arguments: object, env: dict[str, str] | None = None, file_limit: int = -1
) -> subprocess.CompletedProcess[bytes]:
    """Run `filler` in a process forked from a prepared one, since most commands take less time than Python's start.

    Args:
        arguments: its arguments.
        env: what its environment has beyond that of the tests.
        file_limit: the most bytes of a file that it may write; -1 for any number.
    """
    (read_out, out), (read_err, err) = os.pipe(), os.pipe()
    with open(read_out, "rb") as output, open(read_err, "rb") as errors:  # noqa: PTH123 - a descriptor, not a path
        try:
            command = [*map(str, arguments)]
            request = {
                "arguments": command,
                "environment": {**os.environ, **(env or {})},
                "folder": str(Path.cwd()),
                "file_limit": file_limit,
            }
            prepared = _prepared()
            socket.send_fds(prepared, [json.dumps(request).encode()], [out, err])
        finally:
            os.close(out)
            os.close(err)
        process = int(prepared.recv(100))
        stop = threading.Timer(120, os.kill, (process, signal.SIGKILL))
        stop.start()
        try:
            stdout, stderr = _read_both(output, errors)
            status = int(prepared.recv(100))
        finally:
            stop.cancel()
            stop.join()
    return subprocess.CompletedProcess(["filler", *command], status, stdout, stderr)


def run_anew(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run `filler` in an interpreter of its own."""
    command = [sys.executable, "-m", "filler_client.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False)


def succeed(*arguments: object, env: dict[str, str] | None = None) -> bytes:
    done = run(*arguments, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def fail(status: int, *arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


@cache
def _prepared() -> socket.socket:
    """Start the process that forks, which ends with the tests; return the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.client.cli.prepared", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    theirs.close()

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours


def _read_both(output: IO[bytes], errors: IO[bytes]) -> tuple[bytes, bytes]:
    """Read two pipes to their ends."""
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(errors.read()))
    reader.start()
    stdout = output.read()
    reader.join()
    return stdout, read[0]
