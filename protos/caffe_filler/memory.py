"""Setting of the allocator for memory that a stream of messages frees and needs again at once."""

import ctypes
import os
import sys
from functools import cache

_MMAP_BYTES = 32 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
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
