"""The limit: memset and memcpy of libc."""

import ctypes
import platform
from collections.abc import Callable

from tests.benchmarks.peers.buffers import buffer, divided, together


def about() -> str:
    """Return the libc."""
    return " ".join(platform.libc_ver())


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """memset of the buffer, or memcpy from another.

    Bytes are set to 1, as some CPUs have a way to write zeros that no other value can take.
    """
    libc = ctypes.CDLL(None)
    call = getattr(libc, work)
    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_void_p, ctypes.c_int if work == "memset" else ctypes.c_void_p, ctypes.c_size_t]
    parts = divided(buffer(nbytes), threads)
    sources = divided(buffer(nbytes, "source"), threads) if work == "memcpy" else [None] * len(parts)

    def one(index: int) -> Callable[[], object]:
        part, source = parts[index], sources[index]
        second = 1 if source is None else source.ctypes.data
        address, length = part.ctypes.data, part.nbytes
        return lambda: call(address, second, length)

    return together([one(index) for index in range(len(parts))])
