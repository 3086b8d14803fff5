"""Memory and time that a server's process takes while something is done to it."""

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.processes import cpu_seconds, peak, reset_peak


@dataclass(frozen=True, slots=True)
class Taken:
    """Memory and time that were taken.

    Attributes:
        peak: bytes of memory at most, beyond those of before.
        kept: the same at the end.
        cpu: seconds of processors.
    """

    peak: int
    kept: int
    cpu: float


class WatchedProcess:
    """A process whose memory and processor time are looked at, on Linux; it counts from its creation on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        reset_peak(pid)
        self._before, self._cpu = self._memory("VmRSS"), cpu_seconds(pid)

    def taken(self, *, settle: float = 0.0, most: int = 0) -> Taken:
        """Return what was taken; `settle`: wait so many seconds for what is kept to be at most `most`."""
        highest = peak(self._pid) - self._before
        deadline = time.monotonic() + settle
        while (kept := self._memory("VmRSS") - self._before) > most and time.monotonic() < deadline:
            time.sleep(0.1)
        return Taken(max(highest, kept), kept, cpu_seconds(self._pid) - self._cpu)

    def limit_address_space(self, more: int) -> None:
        """Let the process have no more virtual memory than so much beyond what it has."""
        limit = self._memory("VmSize") + more
        resource.prlimit(self._pid, resource.RLIMIT_AS, (limit, limit))

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8")
        found = re.search(rf"^{name}:\s*(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise ProcessLookupError(f"the process has ended. Received: pid={self._pid}")
        return int(found[1]) << 10
