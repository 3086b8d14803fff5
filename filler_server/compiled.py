"""Compilation of kernels, and the number of threads that they run on.

Kernels are compiled without fastmath and so without contraction: every operation is one IEEE operation, in the order
written, and the bytes are the same on every CPU and with every C library. The compiled code is kept in Numba's cache,
which must be nobody else's: what lies there is run.
"""

import ctypes
import fcntl
import importlib.metadata
import platform
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaWarning
from numba.core.runtime import rtsys
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, Unavailable
from caffe_filler.ownership import stranger

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

TASK = 1 << 15
"""About so many values are one thread's work at a time."""

_SERIAL = 1 << 16
"""Fewer values than this are computed by the calling thread alone: sharing them costs more than it saves."""

_LAYERS = ("tbb", "omp")
"""The threading layers of Numba that bear launches from many threads at once. The third, workqueue, aborts the
process."""

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


class NotCached(Exception):
    """A kernel is wanted from the cache alone, and is not there."""


_numba: Any = numba
_lock = threading.Lock()
_local = threading.local()
_layer: str | None = None
_threads: int | None = None
_folders: set[Path] = set()
_uncached: set[str] = set()


def serial(function: Kernel) -> Kernel:
    """Compile `function` at its first call, to run on the calling thread and without the GIL."""
    return _compile(function, parallel=False)


def brief(function: Kernel) -> Kernel:
    """Compile `function` at its first call, to run on the calling thread and with the GIL.

    For what takes microseconds: a thread that gives up the GIL waits until it has it again, behind all others.
    """
    return _compile(function, parallel=False, nogil=False)


def parallel(function: Kernel) -> Kernel:
    """Compile `function` at its first call, its `prange` loops to run on many threads.

    Call `is_serial` or `threads` before each launch.
    """
    return _compile(function, parallel=True)


def inlined(function: Kernel) -> Kernel:
    """Compile `function` into each kernel that calls it."""
    kernel: Kernel = _numba.njit(forceinline=True, **_OPTIONS)(function)
    return kernel


def expanded(function: Kernel) -> Kernel:
    """Put the statements of `function` into each kernel that calls it; nothing of it is compiled alone."""
    kernel: Kernel = _numba.njit(inline="always", **_OPTIONS)(function)
    return kernel


class Routine:
    """A function that kernels call by its address: its code is compiled once, and no kernel for each such function.

    It is compiled, or loaded, when its address is first asked for. It must not fail: nobody would hear of it.

    Args:
        function: what to compile.
        arguments: Numba's types of its arguments; it gives nothing back.
    """

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._lock = threading.Lock()
        compiled: Any = CFunc(function, (arguments, _numba.void), {}, {**_OPTIONS, "nopython": True})
        self._compiled = compiled
        try:
            compiled.enable_caching()
        except RuntimeError:
            # No directory for the cache can be written.
            _uncached.add(function.__qualname__)
            return
        _guard_cache(compiled._cache, function)

    @property
    def is_loaded(self) -> bool:
        """Whether its code comes from the cache."""
        return bool(self._compiled.cache_hits)

    @cached_property
    def address(self) -> int:
        """The place of its code; the caller waits until it is there."""
        with self._lock:
            if self._compiled.address is None:
                self._compiled.compile()
        address: int = self._compiled.address
        return address


def has_long_vectors() -> bool:
    """Return whether kernels are compiled for 32 registers of 64 bytes each (AVX-512)."""
    _, _, features = _numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    return "+avx512f" in features.split(",")


def set_threads(count: int | None) -> None:
    """Let kernels of this process run on `count` threads; None: one for each CPU that the process may use.

    Raises:
        InvalidArgument: Numba does not have so many threads.
        Unavailable: no threading layer that bears concurrent launches can be loaded.
    """
    global _threads
    most = _numba.config.NUMBA_NUM_THREADS
    if count is not None and not 1 <= count <= most:
        raise InvalidArgument(
            f"kernels run on 1 to {most} threads; the environment variable NUMBA_NUM_THREADS sets the most. "
            f"Received: threads={count}"
        )
    threading_layer()
    _threads = count


def threads() -> int:
    """Return the number of threads of the kernels, and have the calling thread launch on so many.

    Numba keeps that number for each launching thread, not for the process.

    Raises:
        Unavailable: no threading layer that bears concurrent launches can be loaded.
    """
    threading_layer()
    count: int = _threads or _numba.config.NUMBA_NUM_THREADS
    if _numba.get_num_threads() != count:
        _numba.set_num_threads(count)
    return count


@contextmanager
def alone() -> Iterator[None]:
    """Let the calling thread compute everything alone within the block, however much it is."""
    before = getattr(_local, "is_alone", False)
    _local.is_alone = True
    try:
        yield
    finally:
        _local.is_alone = before


def has_cache() -> bool:
    """Return whether what is compiled is kept, for all kernels that are imported."""
    return not _uncached


def cache_folders() -> list[Path]:
    """Return the folders in which compiled kernels are kept, of all that are imported."""
    return sorted(_folders)


def cpu() -> str:
    """Return the name, as LLVM has it, of the CPU for which kernels are compiled."""
    name: str = _numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[1]
    return name


@contextmanager
def cached_only() -> Iterator[None]:
    """Let the calling thread load kernels within the block, but compile none.

    Raises:
        NotCached: one that is needed is not in the cache.
    """
    _local.is_cached_only = True
    try:
        yield
    finally:
        _local.is_cached_only = False


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Let one process at a time, of those that share a cache, run a block of this name; others wait."""
    if not _folders:
        yield
        return
    with lock_file(name).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lock_file(name: str) -> Path:
    """Return the file that a process locks to do what this name stands for; there is a cache."""
    return min(_folders) / f"{name.replace(' ', '-')}.lock"


def is_serial(count: int) -> bool:
    """Return whether the calling thread should compute `count` values alone; if not, it is set to launch.

    Raises:
        Unavailable: no threading layer that bears concurrent launches can be loaded.
    """
    return count < _SERIAL or _threads == 1 or getattr(_local, "is_alone", False) or threads() == 1


def tasks(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the first piece of each task, and at the end that of all pieces.

    Args:
        bounds: int64 [pieces + 1], ascending from 0; piece k has `bounds[k + 1] - bounds[k]` values.
    """
    return np.append(np.searchsorted(bounds[:-1], np.arange(0, bounds[-1], TASK)), bounds.size - 1)


def threading_layer() -> str:
    """Return the threading layer, "tbb" or "omp"; the first call starts it.

    The environment variable NUMBA_THREADING_LAYER may name one of the two.

    Raises:
        Unavailable: none of the two can be loaded, or another library has started workqueue.
    """
    global _layer
    if _layer is None:
        with _lock:
            _layer = _layer or _start()
    return _layer


def _start() -> str:
    wanted = str(_numba.config.THREADING_LAYER).lower()
    if wanted == "workqueue":
        raise Unavailable(
            "Numba's workqueue layer aborts when two threads launch kernels at once; kernels need tbb or omp. "
            "Received: NUMBA_THREADING_LAYER=workqueue"
        )
    causes = []
    for layer in (wanted,) if wanted in _LAYERS else _LAYERS:
        if layer == "tbb":
            _load_tbb()
        _numba.config.THREADING_LAYER = layer
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NumbaWarning)
                _numba.set_num_threads(_numba.config.NUMBA_NUM_THREADS)
        except ValueError as error:
            causes.append(f"{layer}: {' '.join(str(error).split())}")
            continue
        started: str = _numba.threading_layer()
        if started in _LAYERS:
            return started
        raise Unavailable(f"kernels need the threading layer tbb or omp, and this process has started {started}")
    _numba.config.THREADING_LAYER = wanted
    raise Unavailable(
        "kernels need a threading layer that many threads can use at once, and none can be loaded: "
        f"{_remedy()}. Received: {'; '.join(causes)}"
    )


def _remedy() -> str:
    """Return what makes a threading layer available on this kind of machine."""
    if sys.platform == "darwin":
        return "install LLVM's OpenMP runtime (brew install libomp)"
    openmp = "install GNU's OpenMP runtime, libgomp (apt-get install libgomp1, or yum install libgomp)"
    return f"pip install tbb, or {openmp}" if platform.machine() == "x86_64" else openmp


def _load_tbb() -> None:
    """Load the libtbb of the PyPI package `tbb`, which lies where the loader of shared libraries does not look."""
    try:
        files = importlib.metadata.files("tbb") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name in ("libtbb.so.12", "libtbb.12.dylib"):
            try:
                ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
            except OSError:
                # A library for another system, or a broken one; Numba then says that tbb cannot be loaded.
                return


def _compile(function: Kernel, *, parallel: bool, nogil: bool = True) -> Kernel:
    options = {**_OPTIONS, "nogil": nogil, "parallel": parallel}
    try:
        kernel: Any = _numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # No directory for the cache can be written.
        _uncached.add(function.__qualname__)
        kernel = _numba.njit(**options)(function)
    else:
        _guard_cache(kernel._cache, function)
    compiled: Kernel = kernel
    return compiled


def _guard_cache(kernel_cache: Any, function: Callable[..., Any]) -> None:
    """Make sure that a cache is nobody else's, before anything is read from there, and that it is well kept."""
    folder = Path(kernel_cache.cache_path)
    _check_cache(folder, Path(function.__code__.co_filename))
    _folders.add(folder)
    _save_alone(kernel_cache)

    def load_overload(signature: Any, context: Any) -> Any:
        # Numba would first declare all that kernels may be compiled of, which takes most of the time of loading one. It
        # does so before it compiles, too.
        rtsys.initialize(context)
        found = None
        with kernel_cache._guard_against_spurious_io_errors():
            found = kernel_cache._load_overload(signature, context)
        if found is None and getattr(_local, "is_cached_only", False):
            raise NotCached
        return found

    kernel_cache.load_overload = load_overload


def _save_alone(kernel_cache: Any) -> None:
    """Let one process at a time save what it has compiled.

    Numba numbers the files of a kernel. Two processes that compile it for different types would take the same number,
    and one type would be given the code of the other.
    """
    save = kernel_cache.save_overload

    def save_overload(signature: Any, compiled: Any) -> None:
        with (Path(kernel_cache.cache_path) / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            save(signature, compiled)

    kernel_cache.save_overload = save_overload


@cache
def _check_cache(folder: Path, source: Path) -> None:
    """Make sure that nobody but who could change the kernels' source can put code into their cache.

    Raises:
        InvalidArgument: others can.
    """
    cause = stranger(folder, trusted=source)
    if cause is not None:
        raise InvalidArgument(
            f"others could run code through the cache of compiled kernels, {folder}. {cause}, or set NUMBA_CACHE_DIR "
            f"to a folder of your own. Received: NUMBA_CACHE_DIR={_numba.config.CACHE_DIR or None}"
        )
