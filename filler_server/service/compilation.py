"""The kernels of a server: which of them it has, and how it comes by the others."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from caffe_filler.errors import Unavailable
from caffe_filler.printable import counted
from filler_server import compiled
from filler_server.api.caffe_requests import PROFILES
from filler_server.cancellation import checkpoint
from filler_server.engine.computed import ComputedTensor
from filler_server.fillers import registered
from filler_server.service.compilers import CompilerProcess
from filler_server.service.warmup import Group, Part, import_kernels, part_name, parts

WAITING = 64
"""Calls that wait for kernels at once."""

_LOOK_SECONDS = 0.1
"""Seconds between two looks at what a waiting call hears of no other way: that nobody wants it any more."""

_LOAD_SECONDS = 1.0
"""Seconds between two attempts to load what a process is to compile: that of another server may have done so."""

_WORTH_TELLING = 1.0
"""Seconds."""

_STACK_BYTES = 16 << 20
"""Of the thread that may have to compile: LLVM calls itself deeply."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """A part whose kernels are there.

    Attributes:
        name: name of the part.
        is_compiled: whether it was compiled now; else it was in the cache.
        seconds: time that it took, in this process or another.
    """

    name: str
    is_compiled: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Warm:
    """A cache that has all kernels.

    Attributes:
        cpu: name of the kind of CPU that they are for, as LLVM has it.
        folders: where they lie.
        parts: what became of each part, in this order.
    """

    cpu: str
    folders: Sequence[Path]
    parts: Sequence[Ready]


def warm_up(on_ready: Callable[[Ready], None] = lambda ready: None) -> Warm:
    """Compile all kernels that are not cached.

    Args:
        on_ready: called for each part when its kernels are there.

    Raises:
        Unavailable: what is compiled cannot be kept, or some cannot be compiled.
        InvalidArgument: others could run code through the cache.
    """
    import_kernels()
    if not compiled.has_cache():
        raise Unavailable(
            "compiled kernels cannot be kept: Numba can write neither to NUMBA_CACHE_DIR nor beside the sources. "
            f"Received: NUMBA_CACHE_DIR={os.environ.get('NUMBA_CACHE_DIR')}"
        )
    done: list[Ready] = []

    def note(ready: Ready) -> None:
        done.append(ready)
        on_ready(ready)

    compilation = Compilation(note, is_awaited=True)
    try:
        compilation.start()
        compilation.join()
    finally:
        compilation.close()
    return Warm(compiled.cpu(), compiled.cache_folders(), done)


class Compilation:
    """The kernels of this process, part by part.

    What is cached is loaded. Of the rest, this process compiles what it can compile beside one or two processes of its
    own, which have the others; what they have compiled is loaded from the cache. Where there is no cache, all is
    compiled here.

    Args:
        on_ready: called for each part that is there.
        is_awaited: whether somebody waits for all parts, and not for those of common fillers alone.
    """

    def __init__(self, on_ready: Callable[[Ready], None] = lambda ready: None, *, is_awaited: bool = False) -> None:
        self._on_ready = on_ready
        self._is_awaited = is_awaited
        self._parts: Sequence[Part] = ()
        self._pending: set[str] = set()
        self._told: dict[str, float] = {}
        self._given: set[str] = set()
        self._expected: set[str] = set()
        self._processes: list[CompilerProcess] = []
        self._changed = threading.Condition()
        self._places = threading.BoundedSemaphore(WAITING)
        self._closed = False
        self._thread: threading.Thread | None = None
        self.is_complete = False
        """Whether all kernels are there."""

    @property
    def is_running(self) -> bool:
        """Whether a thread of it is at work."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def pending(self) -> int:
        """Number of parts that are not there."""
        return len(self._pending)

    def start(self) -> None:
        """Return when the kernels of common fillers are there; the others come in a thread.

        Raises:
            Unavailable: it was closed meanwhile.
        """
        began = time.monotonic()
        import_kernels()
        self._parts = parts()
        self._pending = {part.name for part in self._parts}
        self._make([part for part in self._parts if part.group.comes_first])
        if self._pending:
            _log.info("kernels of common fillers are there (%.1f s)", time.monotonic() - began)
        before = threading.stack_size(_STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._finish, args=(began,), name="kernels", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(before)

    def join(self) -> None:
        """Wait until all kernels are there.

        Raises:
            Unavailable: some could not be compiled.
        """
        if self._thread is not None:
            self._thread.join()
        if not self.is_complete:
            raise Unavailable("not all kernels could be compiled")

    def wait_for_stream(self, stream: int) -> None:
        """Wait for all that fills blobs with the random numbers of a stream of Caffe, given as on the wire.

        Raises:
            Unavailable, Cancelled: as in `wait`.
        """
        profile = PROFILES.get(stream)
        if profile is not None and self._pending:
            self.wait({part_name(profile, kind) for kind in registered()})

    def wait_for_tensors(self, tensors: Iterable[ComputedTensor]) -> None:
        """Wait for all that fills blobs over the philox stream.

        Raises:
            Unavailable, Cancelled: as in `wait`.
        """
        self.wait({part_name("philox", tensor.filler_type) for tensor in tensors if tensor.filler_type is not None})

    def wait(self, names: Set[str]) -> None:
        """Wait for the parts of these names; there may be others, such as fillers registered later, which have none.

        Raises:
            Unavailable: too many wait already, or it was closed.
            Cancelled: nobody wants the result any more.
        """
        if self._pending.isdisjoint(names):
            return
        if not self._places.acquire(blocking=False):
            raise Unavailable("the server is still compiling kernels of this call, and many wait for them already")
        try:
            with self._changed:
                while not self._pending.isdisjoint(names):
                    if self._closed:
                        raise Unavailable("the server stops before it has compiled the kernels of this call")
                    self._changed.wait(_LOOK_SECONDS)
                    checkpoint()
        finally:
            self._places.release()

    def close(self) -> None:
        """End the processes; the thread ends after the part that it is at."""
        with self._changed:
            self._closed = True
            processes, self._processes = self._processes, []
            self._changed.notify_all()
        for process in processes:
            process.close()

    def _finish(self, began: float) -> None:
        try:
            self._make([part for part in self._parts if not part.group.comes_first])
        except Unavailable:
            return
        except Exception:
            _log.exception("compiling kernels failed; the calls that need them try again")
            with self._changed:
                self._pending.clear()
                self._changed.notify_all()
            return
        self.is_complete = True
        self.close()
        _log.info("all kernels are there (%.1f s)", time.monotonic() - began)

    def _make(self, wanted: Sequence[Part]) -> None:
        """Load parts, and have those compiled that are not cached."""
        missing = [part for part in wanted if not self._load(part)]
        if missing and not self._processes:
            self._start_processes([part for part in self._parts if part.name in self._pending])
        # First what nobody else compiles: meanwhile the others come.
        for part in sorted(missing, key=lambda part: part.name in self._given):
            if self._arrives(part):
                continue
            began = time.monotonic()
            part.compile()
            self._done(part, self._told.get(part.name) or time.monotonic() - began)

    def _load(self, part: Part) -> bool:
        """Load a part; return whether it was cached."""
        if not compiled.has_cache():
            return False
        began = time.monotonic()
        try:
            with compiled.cached_only():
                part.run()
        except compiled.NotCached:
            return False
        self._done(part, time.monotonic() - began, is_compiled=False)
        return True

    def _done(self, part: Part, seconds: float, *, is_compiled: bool = True) -> None:
        with self._changed:
            self._pending.discard(part.name)
            self._changed.notify_all()
        if seconds > _WORTH_TELLING:
            _log.info("compiled %s (%.1f s)", part.name, seconds)
        self._on_ready(Ready(part.name, is_compiled, seconds))

    def _start_processes(self, todo: Sequence[Part]) -> None:
        if not (compiled.has_cache() and sys.executable):
            return
        shares = [[Group.COMMON, Group.FURTHER, Group.CAFFE]]
        if compiled.threads() > len(shares) + 1:
            shares = [[Group.COMMON, Group.FURTHER], [Group.CAFFE]]
        for groups in shares:
            lock = compiled.lock_file(f"compiler of {groups[0].name}")
            names = [part.name for group in groups for part in todo if part.group is group]
            with suppress(OSError):
                self._start_process(lock, names)

    def _start_process(self, lock: Path, names: list[str]) -> None:
        def on_told(name: str | None, seconds: float) -> None:
            with self._changed:
                if name is None:
                    self._expected.difference_update(names)
                else:
                    self._expected.discard(name)
                    self._told[name] = seconds
                self._changed.notify_all()

        with self._changed:
            if not names or self._closed:
                return
            self._given.update(names)
            self._expected.update(names)
            try:
                self._processes.append(CompilerProcess(lock, names, on_told, is_nice=not self._is_awaited))
            except OSError:
                self._expected.difference_update(names)
                raise

    def _arrives(self, part: Part) -> bool:
        """Wait for what processes compile; return whether the part was loaded, and is not to be compiled here."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or part.name not in self._expected, _LOAD_SECONDS)
                if self._closed:
                    raise Unavailable(f"compiling was ended with {counted(len(self._pending), 'part')} to go")
                if part.name not in self._expected:
                    return False
            if self._load(part):
                return True
