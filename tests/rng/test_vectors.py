"""Vectors against the same operations of NumPy."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import types

from filler_server import compiled
from filler_server.rng import vectors
from filler_server.rng.vectors import load, store
from tests.rng import philox_reference as reference

FLOATS = [np.float32, np.float64]
INTEGERS = [np.int32, np.uint32, np.int64, np.uint64]

reversed_lanes = vectors.shuffle(range(7, -1, -1))
interleaved = vectors.shuffle([lane // 2 + lane % 2 * 8 for lane in range(16)])
primes = vectors.constant([2, 3, 5, 7, 11, 13, 17, 19])


def numbers(dtype: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(8).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, 8, dtype, endpoint=True)


@compiled.serial
def arithmetic(out: Any, x: Any, y: Any, z: Any) -> None:
    a, b = load(x, 0, 8), load(y, 0, 8)
    store(out, 0, a + b)
    store(out, 8, a - b)
    store(out, 16, a * b)
    store(out, 24, a * z)
    store(out, 32, z - a)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_arithmetic(dtype: Any) -> None:
    x, y = numbers(dtype, 1), numbers(dtype, 2)
    z, out = x[3], np.empty(40, dtype)
    arithmetic(out, x, y, z)
    with np.errstate(over="ignore"):
        assert out.tobytes() == np.concatenate([x + y, x - y, x * y, x * z, z - x]).tobytes()


@compiled.serial
def functions(out: Any, x: Any, y: Any, z: Any) -> None:
    a, b = load(x, 0, 8), load(y, 0, 8)
    store(out, 0, a / b)
    store(out, 8, vectors.root(a * a))
    store(out, 16, vectors.fused(a, b, z))
    store(out, 24, vectors.fused(a, z, b))


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_of_floats(dtype: Any) -> None:
    x, y = numbers(dtype, 3), numbers(dtype, 4)
    z, out = dtype(0.3), np.empty(32, dtype)
    functions(out, x, y, z)
    want = [x / y, np.sqrt(x * x), reference.fma(x, y, z), reference.fma(x, z, y)]
    assert out.tobytes() == np.concatenate(want).tobytes()


@compiled.serial
def held_and_stored(out: Any, x: Any) -> None:
    vectors.align_stack()
    store(out, 1, vectors.held(load(x, 0, 8)))
    store(out, 9, vectors.held(load(x, 8, 32)))
    store(out, 41, vectors.held(load(x, 40, 128)))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_vectors_of_several_registers_are_held_and_stored(dtype: Any) -> None:
    x = np.concatenate([numbers(dtype, seed) for seed in range(21)])
    out = np.zeros(170, dtype)
    held_and_stored(out, x)
    assert out.tolist() == [0, *x.tolist(), 0]


@compiled.serial
def bits(out: Any, x: Any, y: Any, shift: Any) -> None:
    a, b = load(x, 0, 8), load(y, 0, 8)
    store(out, 0, a & b)
    store(out, 8, a | b)
    store(out, 16, a ^ b)
    store(out, 24, a << shift)
    store(out, 32, a >> shift)
    store(out, 40, reversed_lanes(a, b))
    store(out, 48, interleaved(a, b))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_and_lanes(dtype: Any) -> None:
    x, y = numbers(dtype, 5), numbers(dtype, 6)
    shift, out = dtype(7), np.empty(64, dtype)
    bits(out, x, y, shift)
    want = [x & y, x | y, x ^ y, x << shift, x >> shift, x[::-1], np.stack([x, y], axis=1).ravel()]
    assert out.tobytes() == np.concatenate(want).tobytes()


@compiled.serial
def compared(out: Any, x: Any, y: Any) -> None:
    store(out, 0, vectors.at_most(load(x, 0, 8), load(y, 0, 8)))
    store(out, 8, vectors.at_most(load(x, 0, 8), y[0]))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_comparison(dtype: Any) -> None:
    x, y = numbers(dtype, 7), numbers(dtype, 8)
    x[2] = y[2]
    out = np.empty(16, np.bool_)
    compared(out, x, y)
    assert out.tolist() == [*(x <= y), *(x <= y[0])]


@compiled.serial
def choices(out: Any, x: Any, y: Any, number: Any, there: Any) -> None:
    a, b = load(x, 0, 8), load(y, 0, 8)
    store(out, 0, vectors.select(vectors.below(a, b), a, b))
    store(out, 8, vectors.select(vectors.below(a, number), number, b))
    store(out, 16, vectors.select(vectors.below(number, a), a, number))
    store(out, 24, vectors.select(vectors.below(a, b), number, number + number))
    there[0] = vectors.any_lane(vectors.below(a, b))
    there[1] = vectors.any_lane(vectors.below(a, a))


@pytest.mark.parametrize("dtype", FLOATS)
def test_choices(dtype: Any) -> None:
    x, y = numbers(dtype, 11), numbers(dtype, 12)
    x[3] = y[3] = number = dtype(0.125)
    x[5] = np.nan
    out, there = np.empty(32, dtype), np.empty(2, np.bool_)
    for where in range(8):
        # One lane alone, or none, in which x < y.
        ordered = np.where(np.arange(8) == where, -1, 1).astype(dtype)
        choices(out, ordered, np.zeros(8, dtype), number, there)
        assert there.tolist() == [True, False]
    choices(out, x, y, number, there)
    want = [np.minimum(y, np.where(np.isnan(x), y, x)), np.where(x < number, number, y)]
    want += [np.where(x > number, x, number), np.where(x < y, number, 2 * number)]
    assert out.tobytes() == np.concatenate(want).astype(dtype).tobytes()
    assert there.tolist() == [True, False]


@compiled.serial
def conversions(single: Any, double: Any, words: Any, x: Any, y: Any) -> None:
    store(single, 0, vectors.rounded(load(x, 0, 8), types.float32))
    store(double, 0, vectors.rounded(load(y, 0, 8), types.float64))
    store(words, 0, vectors.bitcast(load(y, 0, 8), types.uint32))
    store(y, 0, primes())
    store(y, 8, vectors.spread(np.uint64(23), 8))


@pytest.mark.parametrize(("narrow", "wide"), [(np.int32, np.int64), (np.uint32, np.uint64)])
def test_conversions(narrow: Any, wide: Any) -> None:
    x, y = numbers(narrow, 9), np.tile(numbers(wide, 10), 2)
    single, double, words, before = np.empty(8, np.float32), np.empty(8), np.empty(16, np.uint32), y.copy()
    conversions(single, double, words, x, y.view(np.uint64) if wide is np.uint64 else y)
    assert single.tobytes() == x.astype(np.float32).tobytes()
    assert double.tobytes() == before[:8].astype(np.float64).tobytes()
    assert words.tobytes() == before[:8].tobytes()
    assert y.tolist() == [2, 3, 5, 7, 11, 13, 17, 19] + [23] * 8


def test_without_the_instruction_fma_is_rounded_once_too() -> None:
    test = f"{__file__}::test_functions_of_floats"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", test],
        env={**os.environ, "NUMBA_CPU_NAME": "generic"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
