"""Caffe's loops over Boost's mt19937, compiled here where there are a compiler and Boost's headers."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.buffers import buffer

SOURCE = Path(__file__).with_suffix(".cpp")


def about() -> str:
    """Return the versions of Boost and of the compiler."""
    compiler = subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    return f"Boost {_load().caffe_boost_version().decode()}, {compiler.splitlines()[0]} -O3"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`normal`, `uniform` or `positive_unitball`; one thread, as the stream is sequential."""
    if threads != 1:
        raise ValueError("a sequential stream has one thread")
    library, out = _load(), buffer(nbytes)
    engine = ctypes.c_void_p(library.caffe_new_engine(1701))
    address, count = ctypes.c_void_p(out.ctypes.data), ctypes.c_long(out.size)
    number = ctypes.c_float
    if work == "positive_unitball":
        rows, columns = ctypes.c_long(out.size // 1024), ctypes.c_long(1024)
        return lambda: library.caffe_positive_unitball(engine, rows, columns, address)
    if work == "normal":
        return lambda: library.caffe_rng_gaussian(engine, count, number(0), number(0.01), address)
    return lambda: library.caffe_rng_uniform(engine, count, number(-0.01), number(0.01), address)


def _compiler() -> str:
    compiler = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if compiler is None:
        raise ImportError("there is no C++ compiler")
    return compiler


@cache
def _load() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "caffe_boost.so"
        command = [_compiler(), "-O3", "-shared", "-fPIC", str(SOURCE), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            error = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
            raise ImportError(f"it does not compile: {error}")
        loaded: Any = ctypes.CDLL(str(library))
    loaded.caffe_boost_version.restype = ctypes.c_char_p
    loaded.caffe_new_engine.restype = ctypes.c_void_p
    return loaded
