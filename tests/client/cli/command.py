"""`filler` as a process."""

import os
import subprocess
import sys


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "filler_client.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})}, timeout=120, check=False)


def succeed(*arguments: object, env: dict[str, str] | None = None) -> bytes:
    done = run(*arguments, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def fail(status: int, *arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()
