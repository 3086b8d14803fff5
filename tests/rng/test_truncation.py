"""Truncated normal values of the philox stream against their contract, SciPy, and frozen values."""

import hashlib
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from caffe_filler.errors import InvalidArgument
from filler_server import compiled
from filler_server.rng import philox_kernels as kernels
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import Runs
from filler_server.rng.truncation import Truncated, truncated, upper_tail
from filler_server.rng.vectors import load, store
from tests.rng import truncation_reference as reference

ROOT = Path(__file__).resolve().parents[2]
DTYPES = [np.float32, np.float64]
CASES = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 1.0, -1.0, 3.0),
    (0.5, 0.25, 0.5, 4.0),
    (0.0, 1.0, -inf, inf),
    (0.0, 1.0, -inf, 0.0),
    (0.0, 1.0, 3.0, inf),
    (1.0, 0.125, 2.0, 3.0),
    (0.0, 0.05, -0.5, -0.375),
    (-3.0, 2.0, -7.0, 1.0),
]
"""All of them numbers of float32."""


def fill(start: int, count: int, *params: float, dtype: Any = np.float32) -> Any:
    out = np.empty(count, dtype)
    PhiloxStream(1701, "conv1/0").truncated(out, Runs.contiguous(start, count), *params)
    return out


def theory_of(mean: float, std: float, low: float, high: float) -> Any:
    return stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)


@st.composite
def distributions(draw: st.DrawFn, dtype: Any) -> tuple[float, ...]:
    width = 32 if dtype is np.float32 else 64
    mean, std = draw(st.floats(-4, 4, width=width)), draw(st.floats(2**-6, 4, width=width))
    ends = [draw(st.floats(-8, 8, width=width)), draw(st.floats(-8, 8, width=width))]
    low, high = (dtype(mean) + dtype(std) * dtype(end) for end in sorted(ends))
    if draw(st.booleans()):
        low, high = draw(st.sampled_from([(-inf, high), (low, inf)]))
    try:
        truncated(np.dtype(dtype), mean, std, low, high)
    except InvalidArgument:
        return mean, std, -inf, inf
    return mean, std, float(low), float(high)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.integers(0, 5000), st.integers(0, 700))
def test_values_are_those_of_the_reference(data: st.DataObject, dtype: Any, start: int, count: int) -> None:
    params = data.draw(distributions(dtype))
    index = np.arange(start, start + count, dtype=np.uint64)
    want = reference.truncated(1701, "conv1/0", index, *params, dtype)  # type: ignore[arg-type]
    assert fill(start, count, *params, dtype=dtype).tobytes() == want.tobytes()


@compiled.serial
def make(out: Any, words: Any, numbers: Any) -> None:
    for i in range(0, words.size, 8):
        store(out, i, kernels.truncated(load(words, i, 8), numbers))


@compiled.serial
def make_double(out: Any, words: Any, numbers: Any) -> None:
    for i in range(0, words.size, 8):
        store(out, i, kernels.truncated_double(load(words, i, 8), numbers))


def of_words(words: Any, params: tuple[float, ...]) -> Any:
    dtype = np.dtype(np.float32 if words.dtype == np.int32 else np.float64)
    out = np.empty(words.size, dtype)
    (make if dtype == np.float32 else make_double)(out, words, truncated(dtype, *params))
    return out


def extremes(dtype: Any, numbers: Truncated) -> Any:
    """Words at the ends, at 0, and around the place where the sides meet."""
    integer: Any = np.int32 if dtype is np.float32 else np.int64
    least, most = np.iinfo(integer).min, np.iinfo(integer).max
    split = min(max(int(numbers.split), least), most)
    near = [place + step for place in (least, 0, split, most) for step in (-2, -1, 0, 1, 2, 1000, -1000)]
    words = [word for word in near if least <= word <= most]
    return np.array(words + [0] * (-len(words) % 8), integer)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("params", CASES)
def test_extreme_words(params: tuple[float, ...], dtype: Any) -> None:
    words = extremes(dtype, truncated(np.dtype(dtype), *params))
    got = of_words(words, params)
    assert got.tobytes() == reference.of_words(words, *params, dtype).tobytes()
    assert np.isfinite(got).all()
    assert (got >= params[2]).all()
    assert (got <= params[3]).all()
    order = np.argsort(words)
    # Rounding, and the two formulas where they meet, may change places by units in the last place.
    assert (np.diff(got[order]) >= -8 * np.spacing(np.abs(got[order][1:]))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("params", CASES)
def test_values_are_the_quantiles_of_their_words(params: tuple[float, ...], dtype: Any) -> None:
    """Errors in units of the spacing at the largest of the mean, the value without it, and std."""
    mean, std, low, high = params
    integer: Any = np.int32 if dtype is np.float32 else np.int64
    words = np.random.default_rng(3).integers(np.iinfo(integer).min, np.iinfo(integer).max, 40_000, integer)
    share = (words.astype(np.longdouble) + 0.5) / 2.0 ** (8 * words.dtype.itemsize) + 0.5
    a, b = (low - mean) / std, (high - mean) / std
    from_below = special.ndtr(a) + (special.ndtr(b) - special.ndtr(a)) * share
    from_above = special.ndtr(-b) + (special.ndtr(-a) - special.ndtr(-b)) * (1 - share)
    tail = np.asarray(np.minimum(from_below, from_above), np.float64)
    z = np.copysign(special.ndtri(np.minimum(tail, 0.5)), np.asarray(from_below - from_above, np.float64))
    unit = np.maximum(np.maximum(np.abs(z), 1) * std, abs(mean)) * np.finfo(dtype).eps
    error = np.abs(of_words(words, params) - np.clip(mean + std * z, low, high)) / unit
    # In float64 most of it is SciPy's own.
    assert error.max() < (5 if dtype is np.float32 else 30)


@pytest.mark.parametrize("x", [0.0, 0.1, 1.0, 2.0, 3.5, 8.0, 12.0, 17.5])
def test_the_upper_tail(x: float) -> None:
    for sign in (1, -1):
        assert float(upper_tail(Decimal(sign * x))) == pytest.approx(special.ndtr(-sign * x), rel=1e-13)
        assert abs(Fraction(upper_tail(Decimal(sign * x))) - reference.upper_tail(sign * x)) < Fraction(1, 10**75)
    assert upper_tail(Decimal(x)) + upper_tail(Decimal(-x)) == 1
    assert (upper_tail(Decimal("Infinity")), upper_tail(Decimal("-Infinity"))) == (0, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("params", CASES)
def test_the_distance_from_theory_is_that_of_chance_over_many_seeds(params: tuple[float, ...], dtype: Any) -> None:
    theory = theory_of(*params)
    out, distances = np.empty(3000, dtype), []
    for seed in range(40):
        PhiloxStream(seed, "w").truncated(out, Runs.contiguous(0, out.size), *params)
        distances.append(stats.kstest(out.astype(np.float64), theory.cdf, method="asymp").statistic * np.sqrt(out.size))
    assert stats.kstest(distances, stats.kstwobign.cdf).pvalue > 1e-3


def test_tails_are_as_full_as_they_should_be() -> None:
    values = fill(0, 1 << 23, 0.0, 1.0, -inf, inf)
    for sigma in (3.0, 4.0, 4.5):
        expected = special.ndtr(-sigma) * values.size
        for side in (values, -values):
            assert abs((side > sigma).sum() - expected) < 5 * np.sqrt(expected)


def test_float64_refines_float32() -> None:
    for params in CASES:
        single, double = (fill(0, 100_000, *params, dtype=dtype) for dtype in DTYPES)
        # The width of a word's share of the probability, and rounding.
        share = 2.0**-31 / theory_of(*params).pdf(double)
        assert (np.abs(single - double) <= share + 16 * params[1] * 2**-23 + 2 * np.spacing(np.abs(single))).all()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CASES), st.sampled_from(DTYPES), st.lists(st.integers(0, 3000), max_size=12), st.data())
def test_any_runs_give_the_values_of_the_whole(
    params: tuple[float, ...], dtype: Any, starts: list[int], data: st.DataObject
) -> None:
    lengths = [data.draw(st.integers(0, 300)) for _ in starts]
    bounds = np.cumsum([0, *lengths])
    out = np.empty(bounds[-1], dtype)
    PhiloxStream(1701, "conv1/0").truncated(out, Runs(np.array(starts, np.int64), bounds.astype(np.int64)), *params)
    whole = fill(0, 3300, *params, dtype=dtype)
    want = [whole[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    assert out.tobytes() == b"".join(part.tobytes() for part in want)


def test_a_long_run_shared_among_threads_gives_the_values_of_short_ones() -> None:
    whole = fill(5, 1 << 18, *CASES[1])
    parts = [fill(5 + start, 1 << 13, *CASES[1]) for start in range(0, 1 << 18, 1 << 13)]
    assert whole.tobytes() == b"".join(part.tobytes() for part in parts)


def test_a_negative_zero_is_zero() -> None:
    assert fill(0, 5000, -0.0, 1.0, -0.0, 2.0).tobytes() == fill(0, 5000, 0.0, 1.0, 0.0, 2.0).tobytes()


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ((0.0, 1.0, 2.0, 2.0), "low"),
        ((0.0, 1.0, 3.0, 2.0), "low"),
        ((0.0, 1.0, np.nan, 2.0), "low"),
        ((0.0, 1.0, -1.0, np.nan), "low"),
        ((0.0, 0.0, -1.0, 1.0), "std"),
        ((0.0, -1.0, -1.0, 1.0), "std"),
        ((np.inf, 1.0, -1.0, 1.0), "std"),
        ((0.0, 1.0, 8.5, 9.0), "mean"),
        ((0.0, 1.0, -10.0, -9.0), "mean"),
        ((0.0, 1.0, inf, inf), "low"),
        ((0.0, 1.0, 0.0, 2.0**-21), "high"),
    ],
)
def test_what_cannot_be_truncated_is_refused(params: tuple[float, ...], field: str) -> None:
    for dtype in DTYPES:
        with pytest.raises(InvalidArgument, match="Received: ") as caught:
            fill(0, 4, *params, dtype=dtype)
        assert caught.value.field == field


def test_caffe_has_no_such_values() -> None:
    stream = CaffeStream(EngineState.seeded(1), 4, np.dtype(np.float32))
    with pytest.raises(InvalidArgument, match="Caffe draws no truncated normal values"):
        stream.truncated(np.empty(4, np.float32), Runs.contiguous(0, 4), 0.0, 1.0, -2.0, 2.0)


FROZEN = {
    (0, "float32"): "299a81e68cc94bd1",
    (0, "float64"): "7c246d303a744da5",
    (1, "float32"): "a06f02d4c92cba93",
    (1, "float64"): "dc59fa15cf0b7336",
    (2, "float32"): "c4245da994a48a05",
    (2, "float64"): "55eab3d789311e16",
    (3, "float32"): "649c84821c71613f",
    (3, "float64"): "9733fb7498a6a4e1",
    (4, "float32"): "26b40e38bf7441a8",
    (4, "float64"): "77bd8f97c1a5bb90",
    (5, "float32"): "f5b56eff7c7f5801",
    (5, "float64"): "a198d237067f70a3",
    (6, "float32"): "a937341c0424f3fd",
    (6, "float64"): "a41222b631a63089",
    (7, "float32"): "dda6ab53ddc5a1b3",
    (7, "float64"): "e3434b03bde9cc94",
    (8, "float32"): "a8792a7692c39f5b",
    (8, "float64"): "41b40913aff16283",
}


def digests() -> dict[tuple[int, str], str]:
    """The first quarter of the digits of the SHA-256 of each case."""
    found = {}
    for number, params in enumerate(CASES):
        for dtype in DTYPES:
            values = fill(123, 5000, *params, dtype=dtype)
            little_endian = values.astype(values.dtype.newbyteorder("<"))
            found[number, np.dtype(dtype).name] = hashlib.sha256(little_endian.tobytes()).hexdigest()[:16]
    return found


def test_values_are_the_frozen_ones() -> None:
    assert digests() == FROZEN, "the contract with everybody who ever named a seed is broken"


def test_values_do_not_depend_on_the_cpu() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.rng.test_truncation import digests; print(digests())"],
        env={**os.environ, "NUMBA_CPU_NAME": "generic"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(FROZEN)
