"""log, cos and sin of the kernels: frozen, near the truth, and those of glibc where it has the same ones."""

import ctypes
import ctypes.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filler_server import compiled
from filler_server.rng.caffe import libm
from tests.rng.caffe import golden
from tests.rng.caffe.reference import FUNCTIONS

ROOT = Path(__file__).resolve().parents[3]
DIGEST = json.loads((ROOT / "tests" / "golden" / "caffe_v1.json").read_text())["libm"]
REALS = [np.float32, np.float64]


def of_c(name: str, real: Any) -> Callable[[Any], Any]:
    """A function of this C library for float or double, of and to numpy's scalars."""
    library = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
    single = real is np.float32
    function = library[f"{name}f" if single else name]
    function.restype = ctypes.c_float if single else ctypes.c_double
    function.argtypes = [function.restype]
    return lambda value: real(function(float(value)))


def test_they_are_the_frozen_ones() -> None:
    assert golden.libm_digest() == DIGEST


def uniforms(real: Any) -> Any:
    """Return the values that Boost makes of outputs: each some times, and the least and the greatest ones."""
    outputs = np.concatenate([np.arange(300), np.arange(2**32 - 600, 2**32), np.linspace(0, 2**32 - 1, 20_011)])
    values = outputs.astype(np.uint32).astype(real) * real(2.0**-32)
    return values[values < 1]


@pytest.mark.parametrize("real", REALS)
def test_they_are_those_of_glibc(real: Any) -> None:
    if golden.libm_digest(of_c) != DIGEST:
        pytest.skip("this C library has others")
    log, cos, sin = (of_c(name, real) for name in ("log", "cos", "sin"))
    for value in uniforms(real):
        argument, angle = real(1) - value, real(2) * real(np.pi) * value
        assert FUNCTIONS["log"](argument) == log(argument), argument
        assert FUNCTIONS["cos"](angle) == cos(angle), angle
        assert FUNCTIONS["sin"](angle) == sin(angle), angle


def true_sine(x: Decimal, n: int) -> Decimal:
    """The sine of x + n pi / 2, by its series."""
    term, total, k = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -60 or k < 20:
        if (k + n) % 2:
            total += -term if (k + n) % 4 == 3 else term
        k += 1
        term *= x / k
    return total


@pytest.mark.parametrize("real", REALS)
def test_they_are_near_the_truth(real: Any) -> None:
    """0.82 units in the last place is the worst of logf, 0.56 that of the rest."""
    with localcontext(prec=80):
        for value in uniforms(real)[::47]:
            argument, angle = real(1) - value, real(2) * real(np.pi) * value
            x = Decimal(float(angle))
            truths = {
                "log": (argument, Decimal(float(argument)).ln()),
                "cos": (angle, true_sine(x, 1)),
                "sin": (angle, true_sine(x, 0)),
            }
            for name, (at, truth) in truths.items():
                got = real(FUNCTIONS[name](at))
                unit = Decimal(float(np.spacing(max(abs(got), np.finfo(real).tiny))))
                assert abs(Decimal(float(got)) - truth) < Decimal("0.9") * unit, (name, at)


def test_they_keep_the_dtype() -> None:
    @compiled.serial
    def are_kept(x: Any, results: Any) -> Any:
        results[0], results[1], results[2] = libm.log(x), libm.cos(x), libm.sin(x)
        return libm.log(x) == results[0], libm.cos(x) == results[1], libm.sin(x) == results[2]

    # A float64 would not equal what a float32 array keeps of it.
    for real in REALS:
        assert are_kept(real(0.3), np.empty(3, real)) == (True, True, True)


def test_a_c_library_without_fused_operations_changes_nothing() -> None:
    program = (
        "from tests.rng.caffe import golden, test_libm\nprint(golden.libm_digest(), golden.libm_digest(test_libm.of_c))"
    )
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours, of_the_library = done.stdout.split()
    assert ours == DIGEST
    if of_the_library == DIGEST:
        pytest.skip("this C library cannot be told to do without them")
