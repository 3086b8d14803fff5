"""Processes that compile kernels into the cache that they share with the server, while that goes on with its work.

Numba compiles one kernel at a time in a process, and holds the interpreter meanwhile. A process of its own takes a file
to lock and the names of parts as arguments, and tells of each part when it is done, on a line of standard output. Of
the processes that have the same to compile one is at work; the others have imported nothing yet.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_NICENESS = 10
"""Of the compilation of what the server does not wait for, beside calls."""

_NICE, _AWAITED = "nice", "awaited"
"""Whether anybody waits for all parts, as an argument of the process."""

_END_SECONDS = 5.0
"""Seconds that a process has to end by itself."""


class CompilerProcess:
    """A process that compiles parts, one after the other.

    Args:
        lock: a file that other processes for the same parts lock, too.
        names: those of the parts.
        on_told: called in a thread of its own with the name and the seconds of each part that is done, and with no name
            when no more come.
        is_nice: whether it lets others of this machine go first once it has what a server starts with.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self,
        lock: Path,
        names: Iterable[str],
        on_told: Callable[[str | None, float], None],
        *,
        is_nice: bool = True,
    ) -> None:
        manner = _NICE if is_nice else _AWAITED
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with the names of parts
            [sys.executable, "-P", "-m", __name__, str(lock), manner, *names],
            # It has the modules of this process, and no others.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._on_told = on_told
        self._reader = threading.Thread(target=self._read, name="compiler", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._reader.join(_END_SECONDS)

    def _read(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                name, _, seconds = line.decode(errors="replace").rstrip("\n").partition("\t")
                with contextlib.suppress(ValueError):
                    self._on_told(name, float(seconds))
        self._on_told(None, 0.0)


def main(lock: str, manner: str, *names: str) -> None:
    """Compile parts and tell of each; the process ends when nobody listens any more."""
    # Ctrl-C is meant for the server, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_server, daemon=True).start()
    with Path(lock).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _compile(names, is_nice=manner == _NICE)


def _compile(names: Iterable[str], *, is_nice: bool) -> None:
    from filler_server.service.warmup import parts

    by_name = {part.name: part for part in parts()}
    is_early = True
    for name in names:
        part = by_name.get(name)
        if part is None:
            # A filler that was registered in the server.
            print(f"{name}\t0", flush=True)
            continue
        if is_nice and is_early and not part.group.comes_first:
            os.nice(_NICENESS)
            is_early = False
        began = time.monotonic()
        part.compile()
        print(f"{part.name}\t{time.monotonic() - began:.3f}", flush=True)


def _end_with_server() -> None:
    """End the process when its standard input does, which the server holds."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
