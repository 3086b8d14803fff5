"""Setting of the allocator for memory that a stream of messages frees and needs again at once."""

import ctypes
import os
import sys
from functools import cache

_MMAP_BYTES = 32 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory(nbytes: int = 2 * _MMAP_BYTES) -> None:
    """Tell glibc to keep up to so many bytes of freed memory instead of giving them back to the kernel.

    Every message is a fresh buffer of a megabyte, and page faults for these take up to half of the time of a stream.
    The default is what glibc itself comes to when a block of 32 MiB has been freed. Nothing happens elsewhere than on
    glibc, and where the environment sets its allocator.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SETTINGS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, nbytes)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)


@cache
def few_arenas(count: int) -> None:
    """Let glibc serve all threads from so few arenas, each of which keeps what is freed in it for itself."""
    if sys.platform == "linux" and not any(name in os.environ for name in (*_SETTINGS, "MALLOC_ARENA_MAX")):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, count)


def give_back_freed_memory() -> None:
    """Give every whole page of freed memory back to the kernel; nothing happens elsewhere than on glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if malloc_trim is not None:
        malloc_trim(0)
