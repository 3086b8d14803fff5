"""The server as a process: signals, memory, and a graceful end."""

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from filler_server import compiled
from filler_server.service.server import FillerServer
from filler_server.service.settings import Settings


def serve(settings: Settings, *, announce: Callable[[str], None] = print) -> int:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status."""
    keep_freed_memory()
    server = FillerServer(settings)
    stopping = threading.Event()
    at_once = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        (at_once if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    announce(f"compiling kernels for {compiled.threads()} threads ({compiled.threading_layer()})")
    began = time.monotonic()

    def on_compiled(name: str) -> None:
        nonlocal began
        seconds, began = time.monotonic() - began, time.monotonic()
        if seconds > 1:
            announce(f"compiled {name} ({seconds:.1f} s)")

    server.start(on_compiled)
    for address in server.addresses:
        announce(f"serving on {address}")
    stopping.wait()
    announce(f"stopping: running calls have {settings.grace:g} s")
    done = threading.Thread(target=server.stop)
    done.start()
    while done.is_alive():
        done.join(0.05)
        if at_once.is_set():
            server.stop(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A signal that comes while the interpreter winds up would make a failure of a graceful end.
        signal.signal(number, signal.SIG_IGN)
    announce("stopped")
    return 0


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory of freed messages instead of returning it to the kernel.

    Every message is a fresh buffer of a megabyte; page faults for these took half of the time of a stream. Elsewhere
    than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_threshold = -1, -3
        mallopt(m_trim_threshold, 256 << 20)
        mallopt(m_mmap_threshold, 32 << 20)
