"""The processors that a server may use."""

import os


def cpus() -> int:
    """Return their number: that of the environment variable NUMBA_NUM_THREADS, or one for each this process may use."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
