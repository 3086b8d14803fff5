"""Intel MKL's vector statistics (VSL), by ctypes from the PyPI package `mkl`.

The numbers of generators and methods are those of mkl_vsl_defines.h, the signatures those of mkl_vsl_functions.h, with
the 32-bit integers of MKL's default interface.
"""

import ctypes
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.buffers import buffer, divided, together

_GENERATORS = {"ARS5": 15 << 20, "Philox": 16 << 20}
"""VSL_BRNG_ARS5 and VSL_BRNG_PHILOX4X32X10."""

_UNIFORM_STD = 0
_GAUSSIAN_ICDF = 2


class _Version(ctypes.Structure):
    """MKLVersion of mkl_types.h."""

    _fields_ = (
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
        ("update", ctypes.c_int),
        ("status", ctypes.c_char_p),
        ("build", ctypes.c_char_p),
        ("processor", ctypes.c_char_p),
        ("platform", ctypes.c_char_p),
    )


def about() -> str:
    """Return the version, and for which CPU MKL has chosen its code, by its own word and by what it has loaded."""
    mkl = _load()
    found = _Version()
    mkl.MKL_Get_Version(ctypes.byref(found))
    prepare("normal Philox", 1 << 12, 1)()
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    kernels = sorted({Path(line).name for line in maps.split() if "libmkl_vml" in line})
    return (
        f"mkl {importlib.metadata.version('mkl')}, which says it runs on '{found.processor.decode()}' "
        f"and has loaded {', '.join(kernels)}"
    )


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`<distribution> <generator>`, as `normal ARS5`; with two threads one call for each half, its stream skipped."""
    distribution, generator = work.split()
    mkl = _load()

    def one(part: NDArray[np.float32], first: int) -> Callable[[], object]:
        stream = ctypes.c_void_p()
        _check(mkl.vslNewStream(ctypes.byref(stream), _GENERATORS[generator], ctypes.c_uint(1701)))
        _check(mkl.vslSkipAheadStream(stream, ctypes.c_longlong(first)))
        fill, method = (
            (mkl.vsRngGaussian, _GAUSSIAN_ICDF) if distribution == "normal" else (mkl.vsRngUniform, _UNIFORM_STD)
        )
        # Mean and standard deviation, or the two ends.
        first_parameter, second_parameter = (0.0, 0.01) if distribution == "normal" else (-0.01, 0.01)
        address, count = part.ctypes.data, part.size
        return lambda: _check(fill(method, stream, count, address, first_parameter, second_parameter))

    start = 0
    calls = []
    for part in divided(buffer(nbytes), threads):
        calls.append(one(part, start))
        start += part.size
    return together(calls)


def _load() -> Any:
    """MKL's single library, its own threads off: VSL fills with the calling thread alone."""
    os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL"
    files = importlib.metadata.files("mkl") or []
    names = [str(file.locate()) for file in files if file.name.startswith("libmkl_rt.so")]
    if not names:
        raise ImportError("the package mkl has no libmkl_rt.so")
    mkl = ctypes.CDLL(names[0])
    for name in ("vsRngGaussian", "vsRngUniform"):
        getattr(mkl, name).argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_float, ctypes.c_float,
        ]  # fmt: skip
    return mkl


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"MKL answers with status {status}")
