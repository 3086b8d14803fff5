"""`filler` as a process."""

import os
import subprocess
import sys
import threading
from typing import IO

from tests.forking import ForkedProcess


def run(
    *arguments: object, env: dict[str, str] | None = None, file_limit: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `filler` in a process that is forked from a prepared one.

    Args:
        arguments: its arguments.
        env: what its environment has beyond that of the tests.
        file_limit: the most bytes of a file that it may write; None for any number.
    """
    command = [*map(str, arguments)]
    (read_out, out), (read_err, err) = os.pipe(), os.pipe()
    with open(read_out, "rb") as output, open(read_err, "rb") as errors:  # noqa: PTH123 - a descriptor, not a path
        try:
            environment = {**os.environ, **(env or {})}
            process = ForkedProcess(command, stdout=out, stderr=err, environment=environment, file_limit=file_limit)
        finally:
            os.close(out)
            os.close(err)
        stop = threading.Timer(120, process.kill)
        stop.start()
        try:
            stdout, stderr = _read_both(output, errors)
            status = process.wait()
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


def _read_both(output: IO[bytes], errors: IO[bytes]) -> tuple[bytes, bytes]:
    """Read two pipes to their ends."""
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(errors.read()))
    reader.start()
    stdout = output.read()
    reader.join()
    return stdout, read[0]
