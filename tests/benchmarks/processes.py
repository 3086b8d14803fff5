"""Processes under measurement: paused while others run, their CPU time and their memory."""

import os
import re
import signal
import time
from pathlib import Path


def pause(pid: int) -> None:
    """Stop a process, so that threads of its that spin take nothing from others."""
    os.kill(pid, signal.SIGSTOP)


def resume(pid: int) -> None:
    """Let a paused process go on."""
    os.kill(pid, signal.SIGCONT)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all its threads, those that have ended too.

    The number of its clock is made as by clock_getcpuclockid(3) on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


def reset_peak(pid: int | str = "self") -> None:
    """Let `peak` count from now on; see clear_refs in proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def peak(pid: int | str = "self") -> int:
    """Return the most memory, in bytes, that a process held since `reset_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0
