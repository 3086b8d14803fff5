"""Real processes for the tests of the service."""

import os
import re
import subprocess
import sys
from typing import IO


class ServerProcess:
    """A `filler serve` in a process of its own, on a port of its own."""

    def __init__(self, *options: str, listen: str = "127.0.0.1:0", env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "filler_client.cli", "serve", "--listen", listen, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.log = ""
        self.address = self._wait_for(r"serving on (\S+)")

    def _wait_for(self, pattern: str) -> str:
        stderr: IO[str] | None = self.process.stderr
        assert stderr is not None
        while line := stderr.readline():
            self.log += line
            if found := re.search(pattern, line):
                return found[1]
        stderr.close()
        raise AssertionError(f"the server ended with {self.process.wait()}:\n{self.log}")

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        _, rest = self.process.communicate(timeout=60)
        self.log += rest
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate(timeout=60)
