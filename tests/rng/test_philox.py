"""The philox stream against its contract."""

import math
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument, RegionError
from filler_server import compiled
from filler_server.rng import philox_kernels as kernels
from filler_server.rng import vectors
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.philox_kernels import COUNTERS
from filler_server.rng.stream import Runs
from tests.rng import philox_reference as reference

DTYPES = [np.float32, np.float64]
LONG = 1 << 18
"""Long enough for several threads."""

seeds = st.integers(0, 2**64 - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
dtypes = st.sampled_from(DTYPES)
starts = st.one_of(st.integers(0, 5000), st.integers(0, 2**63 - 3000))
finite = {
    np.float32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    np.float64: st.floats(allow_nan=False, allow_infinity=False),
}


def fill(stream: PhiloxStream, kind: str, start: int, count: int, *params: float, dtype: Any = np.float32) -> Any:
    out = np.empty(count, dtype)
    getattr(stream, kind)(out, Runs.contiguous(start, count), *params)
    return out


def same_bytes(got: Any, want: Any) -> bool:
    assert got.dtype == want.dtype
    return bool(got.tobytes() == want.tobytes())


@compiled.serial
def draw_words(out: Any, low: Any, table: Any) -> None:
    a, b = kernels.philox(vectors.load(low, 0, COUNTERS), table)
    vectors.store(out, 0, a)
    vectors.store(out, 2 * COUNTERS, b)


def words_of(low: int, high: int, key: tuple[int, int], stream: tuple[int, int]) -> Any:
    """The words of a group of counters from `low` on, uint32 [counters, 4]."""
    table, out = np.zeros(18, np.uint64), np.zeros((2, COUNTERS, 2), np.int32)
    kernels.schedule(table, np.uint64(high), *key, *stream)
    draw_words(out.reshape(-1), (low + np.arange(COUNTERS).astype(np.uint64)) & np.uint64(0xFFFFFFFF), table)
    return out.view(np.uint32).transpose(1, 2, 0).reshape(-1, 4)


@compiled.serial
def make_normals(out: Any, a: Any, b: Any) -> None:
    for i in range(0, a.size, 8):
        first, second = kernels.normals(vectors.load(a, i, 8), vectors.load(b, i, 8))
        vectors.store(out, i, first)
        vectors.store(out, a.size + i, second)


@compiled.serial
def make_normals_double(out: Any, a: Any, b: Any) -> None:
    for i in range(0, a.size, 8):
        first, second = kernels.normals_double(vectors.load(a, i, 8), vectors.load(b, i, 8))
        vectors.store(out, i, first)
        vectors.store(out, a.size + i, second)


def normals_of(a: Any, b: Any) -> Any:
    """Two normal values of each pair of words, [pairs, 2]."""
    padding = -a.size % 8
    make, dtype = (make_normals, np.float32) if a.dtype == np.int32 else (make_normals_double, np.float64)
    out = np.empty((2, a.size + padding), dtype)
    make(out.reshape(-1), np.pad(a, (0, padding)), np.pad(b, (0, padding)))
    return out[:, : a.size].T.copy()


@pytest.mark.parametrize(
    ("counter", "key", "want"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers_of_random123(counter: str, key: str, want: str) -> None:
    c, k, w = ([int(word, 16) for word in text.split()] for text in (counter, key, want))
    assert words_of(c[0], c[1], (k[0], k[1]), (c[2], c[3]))[0].tolist() == w
    assert [int(word[0]) for word in reference.philox([np.array([x], np.uint64) for x in c], (k[0], k[1]))] == w


def test_many_counters_at_once() -> None:
    low = np.arange(2**32 - COUNTERS, 2**32, dtype=np.uint64)
    want = reference.philox([low, low * 0 + 5, low * 0 + 3, low * 0 + 4], (1, 2))
    assert (words_of(int(low[0]), 5, (1, 2), (3, 4)) == np.array(want).T).all()


@settings(max_examples=60, deadline=None)
@given(seeds, names, starts, st.integers(0, 5200), dtypes, st.data())
def test_every_distribution_gives_the_bytes_of_the_reference(
    seed: int, name: str, start: int, count: int, dtype: Any, data: st.DataObject
) -> None:
    stream, index = PhiloxStream(seed, name), np.arange(start, start + count, dtype=np.uint64)
    mean, std = data.draw(finite[dtype].filter(lambda x: abs(x) < 1e30)), data.draw(st.floats(2**-20, 2**20, width=32))
    low, high = sorted([data.draw(finite[dtype]), data.draw(finite[dtype])])
    p = data.draw(st.floats(0, 1))
    got = fill(stream, "gaussian", start, count, mean, std, dtype=dtype)
    assert same_bytes(got, reference.gaussian(seed, name, index, mean, std, dtype))
    got = fill(stream, "uniform", start, count, low, high, dtype=dtype)
    assert same_bytes(got, reference.uniform(seed, name, index, low, high, dtype))
    got = fill(stream, "bernoulli", start, count, p, dtype=np.bool_)
    assert same_bytes(got, reference.bernoulli(seed, name, index, p))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_long_blob_gives_the_bytes_of_the_reference(dtype: Any) -> None:
    stream, index = PhiloxStream(1701, "conv1/0"), np.arange(3, LONG + 3)
    got = fill(stream, "gaussian", 3, LONG, 0.5, 2.0, dtype=dtype)
    assert same_bytes(got, reference.gaussian(1701, "conv1/0", index, 0.5, 2.0, dtype))
    got = fill(stream, "uniform", 3, LONG, -1.0, 0.3, dtype=dtype)
    assert same_bytes(got, reference.uniform(1701, "conv1/0", index, -1.0, 0.3, dtype))
    got = fill(stream, "bernoulli", 3, LONG, 0.3, dtype=np.bool_)
    assert same_bytes(got, reference.bernoulli(1701, "conv1/0", index, 0.3))


EXTREMES = [0, 1, 2, 3, 0x34FFFFFF, 0x35000000, 0x5A827999, 0x5A82799A, 0x7FFFFFBF, 0x7FFFFFC0, 0x7FFFFFFF]
EXTREME_WORDS = [word | sign for word in EXTREMES for sign in (0, 0x80000000)]


@pytest.mark.parametrize("low", [0, 1, 0xFFFFFFFF])
def test_extreme_words_give_the_values_of_the_reference(low: int) -> None:
    pairs = np.array([(a, b) for a in EXTREME_WORDS for b in EXTREME_WORDS], np.uint32)
    a, b = pairs.T.copy().view(np.int32)
    got, want = normals_of(a, b), np.stack(reference.normals(a, b, np.float32), axis=1)
    assert got.tobytes() == want.tobytes()
    assert np.abs(want).max() <= math.sqrt(62 * math.log(2)) * (1 + 2e-7)

    wide = (pairs.astype(np.uint64) << np.uint64(32)) | np.uint64(low)
    a, b = wide.T.copy().view(np.int64)
    got, want = normals_of(a, b), np.stack(reference.normals(a, b, np.float64), axis=1)
    assert got.tobytes() == want.tobytes()
    assert np.isfinite(want).all()
    assert np.abs(want).max() <= math.sqrt(126 * math.log(2)) * (1 + 1e-15)


def true_normals(a: Any, b: Any, dtype: Any) -> tuple[Any, Any, Any]:
    """Radius, cosine and sine in long double, of the numbers that `dtype` makes of the words."""
    n = 31 if dtype is np.float32 else 63
    u = ((a & np.iinfo(a.dtype).max) | 1).astype(dtype).astype(np.longdouble) * np.longdouble(2) ** -n
    angle = b.astype(dtype).astype(np.longdouble) * np.longdouble(2) ** -n * (np.arctan(np.longdouble(1)) * 2)
    return np.sqrt(-2 * np.log(u)), np.where(a < 0, -1, 1) * np.cos(angle), np.sin(angle)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double has no more digits than double here")
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 6.0), (np.float64, 6.0)])
@pytest.mark.parametrize("region", ["all", "near one", "tail"])
def test_normals_are_accurate(dtype: Any, bound: float, region: str) -> None:
    """Errors in units of half the spacing at 1, relative to the radius."""
    integer: Any = np.int32 if dtype is np.float32 else np.int64
    most, rng = np.iinfo(integer).max, np.random.default_rng(5)
    a = rng.integers(-most - 1, most, 1_000_000, dtype=integer, endpoint=True)
    b = rng.integers(-most - 1, most, a.size, dtype=integer, endpoint=True)
    if region == "near one":
        a = most - (a & most) // (most >> 12)
    if region == "tail":
        a = (a & most) // (most >> 12)
    first, second = reference.normals(a, b, dtype)
    radius, cosine, sine = true_normals(a, b, dtype)
    unit = np.finfo(dtype).eps / 2
    away = radius > 0
    assert (first[~away] == 0).all()
    scale = radius[away] * unit
    assert np.abs((first[away] - radius[away] * cosine[away]) / scale).max() < bound
    assert np.abs((second[away] - radius[away] * sine[away]) / scale).max() < bound
    assert np.abs(np.hypot(first[away], second[away]) / radius[away] - 1).max() < bound * unit


def test_float64_refines_float32() -> None:
    stream, count = PhiloxStream(7, "ip1/0"), 400_000
    single, double = (fill(stream, "uniform", 0, count, -3.0, 5.0, dtype=dtype) for dtype in DTYPES)
    assert np.abs(single - double).max() <= 4 * 2 * 2**-23
    single, double = (fill(stream, "gaussian", 0, count, 0.0, 1.0, dtype=dtype) for dtype in DTYPES)
    # 31 bits make the radius of float32: in the tail they are the coarser grid.
    odd = (reference.signed_words(7, "ip1/0", np.arange(0, count, 2), np.float32) & 0x7FFFFFFF) | 1
    radius = np.repeat(np.sqrt(-2 * np.log(np.minimum(odd * 2.0**-31, 1 - 2.0**-25))), 2)
    grid = np.repeat(1.0 / odd, 2) / radius
    assert (np.abs(single - double) <= 4 * 2**-23 * (1 + radius) + grid + 2**-24 / radius).all()
    assert np.median(np.abs(single - double)) < 2**-23


@st.composite
def intervals(draw: st.DrawFn) -> tuple[Any, float, float]:
    """A dtype and two of its numbers, often neighbours."""
    dtype = draw(dtypes)
    low, high = draw(finite[dtype]), draw(finite[dtype])
    if draw(st.booleans()):
        high = float(np.nextafter(dtype(low), dtype(high)))
    return dtype, *sorted([low, high])


@settings(max_examples=200, deadline=None)
@given(intervals())
@example((np.float32, -3.4028234663852886e38, 3.4028234663852886e38))
@example((np.float64, -1.7976931348623157e308, 1.7976931348623157e308))
@example((np.float64, -1.7976931080746011e308, 1.7976931348623155e308))
def test_uniform_values_stay_inside(interval: tuple[Any, float, float]) -> None:
    dtype, low, high = interval
    values = fill(PhiloxStream(1, "x"), "uniform", 0, 64, low, high, dtype=dtype)
    assert ((values >= dtype(low)) & (values <= dtype(high))).all()
    middle, step = reference.uniform_parameters(low, high, dtype)
    ends = np.array([-1, 1], dtype) * dtype(2.0 ** (31 if dtype is np.float32 else 63))
    first, last = reference.fma(ends, step, middle)
    assert dtype(low) <= first <= last <= dtype(high)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-40, 3e38])
def test_an_interval_of_one_value_gives_that_value(dtype: Any, value: float) -> None:
    values = fill(PhiloxStream(1, "x"), "uniform", 0, 100, value, value, dtype=dtype)
    assert (values == dtype(value)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.25, 0.25), (-3e38, 3e38), (0.0, 3e38), (1.0, 3.0)])
def test_uniform_reaches_both_ends(dtype: Any, low: float, high: float) -> None:
    middle, step = reference.uniform_parameters(low, high, dtype)
    end = step * dtype(2.0 ** (31 if dtype is np.float32 else 63))
    assert (middle - end, middle + end) == (dtype(low), dtype(high))


def test_bernoulli_of_probability_0_and_1() -> None:
    stream = PhiloxStream(1, "x")
    assert not fill(stream, "bernoulli", 0, 100_000, 0.0, dtype=np.bool_).any()
    assert fill(stream, "bernoulli", 0, 100_000, 1.0, dtype=np.bool_).all()
    assert fill(stream, "bernoulli", 0, 100_000, 1 - 2**-34, dtype=np.bool_).all()


@st.composite
def any_runs(draw: st.DrawFn, total: int) -> Runs:
    """Ascending runs of 0 to `total`, also empty and adjoining ones."""
    edges = sorted(draw(st.lists(st.integers(0, total), min_size=2, max_size=12)))
    begins, ends = np.array(edges[: len(edges) // 2 * 2]).reshape(-1, 2).T.astype(np.int64)
    return Runs(begins.copy(), np.append(np.int64(0), np.cumsum(ends - begins)))


@settings(deadline=None)
@given(st.data(), st.sampled_from(["uniform", "gaussian"]), dtypes)
def test_any_runs_give_the_values_of_the_whole(data: st.DataObject, kind: str, dtype: Any) -> None:
    stream, total = PhiloxStream(3, "res2a/0"), 5000
    whole, mask = (
        fill(stream, kind, 0, total, 1.0, 2.0, dtype=dtype),
        fill(stream, "bernoulli", 0, total, 0.5, dtype=bool),
    )
    runs = data.draw(any_runs(total))
    index = np.concatenate([np.arange(s, s + n) for s, n in zip(runs.starts, np.diff(runs.bounds), strict=True)])
    out, bits = np.empty(runs.count, dtype), np.empty(runs.count, np.bool_)
    getattr(stream, kind)(out, runs, 1.0, 2.0)
    stream.bernoulli(bits, runs, 0.5)
    assert same_bytes(out, whole[index])
    assert same_bytes(bits, mask[index])


def test_many_runs_shared_among_threads_give_the_values_of_the_whole() -> None:
    stream, total = PhiloxStream(3, "res2a/0"), 1 << 20
    whole = fill(stream, "gaussian", 0, total, 0.0, 1.0)
    lengths = np.random.default_rng(1).integers(0, 40, 30_000)
    lengths[1000] = 300_000
    starts = np.minimum(np.cumsum(lengths + 3) - lengths, total - lengths)
    runs = Runs(starts, np.append(np.int64(0), np.cumsum(lengths)))
    out = np.full(runs.count, np.nan, np.float32)
    stream.gaussian(out, runs, 0.0, 1.0)
    for begin, start, length in zip(runs.bounds, starts, lengths, strict=False):
        assert same_bytes(out[begin : begin + length], whole[start : start + length])


def test_threads_may_launch_at_once() -> None:
    want = fill(PhiloxStream(9, "0"), "gaussian", 0, LONG, 0.0, 1.0)
    with ThreadPoolExecutor(16) as pool:
        for got in pool.map(lambda _: fill(PhiloxStream(9, "0"), "gaussian", 0, LONG, 0.0, 1.0), range(64)):
            assert same_bytes(got, want)


def test_a_few_values_are_made_without_giving_up_the_gil() -> None:
    turns = 0
    ends = threading.Event()

    def count() -> None:
        nonlocal turns
        while not ends.wait(0.001):
            turns += 1

    stream, out = PhiloxStream(9, "0"), np.empty(512, np.float32)
    runs = Runs(np.array([0]), np.array([0, 512]))
    stream.gaussian(out, runs, 0.0, 1.0)
    interval, other = sys.getswitchinterval(), threading.Thread(target=count)
    other.start()
    try:
        # Nobody is asked to give it up meanwhile, so that who has it then has given it up.
        sys.setswitchinterval(1000.0)
        time.sleep(0.02)
        before = turns
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            stream.gaussian(out, runs, 0.0, 1.0)
        after = turns
    finally:
        sys.setswitchinterval(interval)
        ends.set()
        other.join()
    assert 0 < before == after


def test_streams_are_equal_by_seed_and_name() -> None:
    assert PhiloxStream(1, "a") == PhiloxStream(1, "a")
    assert len({PhiloxStream(1, "a"), PhiloxStream(1, "a"), PhiloxStream(2, "a"), PhiloxStream(1, "b")}) == 3


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
def test_a_seed_has_64_bits(seed: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: seed="):
        PhiloxStream(seed, "x")


@pytest.mark.parametrize("name", ["\ud800", b"conv1", None, 3])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"UTF-8.* Received: name="):
        PhiloxStream(1, name)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("uniform", (1.0, 0.0)),
        ("uniform", (0.0, math.nan)),
        ("uniform", (-math.inf, 0.0)),
        ("uniform", (0.0, 1e39)),
        ("gaussian", (0.0, 0.0)),
        ("gaussian", (0.0, -1.0)),
        ("gaussian", (0.0, 1e-50)),
        ("gaussian", (0.0, math.inf)),
        ("gaussian", (math.nan, 1.0)),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_distributions_without_values_are_refused(kind: str, params: tuple[float, float]) -> None:
    with pytest.raises(InvalidArgument, match="Received: "):
        fill(PhiloxStream(1, "x"), kind, 0, 4, *params)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_probabilities_lie_between_0_and_1(probability: float) -> None:
    with pytest.raises(InvalidArgument, match="Received: probability="):
        fill(PhiloxStream(1, "x"), "bernoulli", 0, 4, probability, dtype=np.bool_)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(4, np.float16),
        np.zeros(4, ">f4"),
        np.zeros(8, np.float32)[::2],
        np.zeros((2, 2), np.float32),
        np.zeros(17, np.uint8)[1:].view(np.float32),
        np.frombuffer(bytes(16), np.float32),
    ],
    ids=["dtype", "byte order", "strided", "two axes", "unaligned", "read-only"],
)
def test_arrays_that_kernels_cannot_write_are_refused(out: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: "):
        PhiloxStream(1, "x").uniform(out, Runs.contiguous(0, 4), 0.0, 1.0)


@pytest.mark.parametrize(
    ("run_starts", "bounds"),
    [
        ([0], [1, 4]),
        ([0], [0, -4]),
        ([-1], [0, 4]),
        ([2**63 - 3], [0, 4]),
        ([0, 9], [0, 5, 4]),
        ([0, 2**63 - 2], [0, 1, 4]),
        ([0, 1], [0, 4]),
    ],
)
def test_runs_that_do_not_fit_are_refused(run_starts: list[int], bounds: list[int]) -> None:
    with pytest.raises(RegionError):
        Runs(np.array(run_starts, np.int64), np.array(bounds, np.int64))


def test_runs_of_another_dtype_are_refused() -> None:
    with pytest.raises(RegionError, match="Received: starts int32"):
        Runs(np.zeros(1, np.int32), np.array([0, 4]))  # type: ignore[arg-type]


def test_an_array_of_another_length_than_the_runs_is_refused() -> None:
    with pytest.raises(RegionError, match=r"bounds=0\.\.5, out\.size=4"):
        PhiloxStream(1, "x").uniform(np.zeros(4, np.float32), Runs.contiguous(0, 5), 0.0, 1.0)


def test_no_runs_give_nothing() -> None:
    none = Runs(np.empty(0, np.int64), np.zeros(1, np.int64))
    PhiloxStream(1, "x").gaussian(np.empty(0, np.float32), none, 0.0, 1.0)
