"""Memory and time that a server's process takes while something is done to it."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil


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
    """A process whose memory and processor time are looked at; Linux tells the peak."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._folder = Path(f"/proc/{pid}")
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        (self._folder / "clear_refs").write_text("5")
        self._before, self._cpu = self._status("VmRSS"), self._seconds()

    def taken(self, *, settle: float = 0.0, most: int = 0) -> Taken:
        """Return what was taken; `settle`: wait so many seconds for what is kept to be at most `most`."""
        peak = self._status("VmHWM") - self._before
        deadline = time.monotonic() + settle
        while (kept := self._status("VmRSS") - self._before) > most and time.monotonic() < deadline:
            time.sleep(0.1)
        return Taken(max(peak, kept), kept, self._seconds() - self._cpu)

    @property
    def address_space(self) -> int:
        """Bytes of virtual memory."""
        return self._status("VmSize")

    def limit_address_space(self, more: int) -> None:
        """Let the process have no more than so much beyond what it has."""
        limit = self.address_space + more
        self._process.rlimit(psutil.RLIMIT_AS, (limit, limit))

    def _status(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(f"the process has ended, or tells no {name}")

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
