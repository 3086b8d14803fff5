import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filler_server import compiled
from filler_server.fillers import backend
from filler_server.rng.stream import Runs, Values
from tests.fillers.streams import STREAM, GivenStream, fill, prepared
from tests.regions import regions

TEXT = 'type: "positive_unitball"'
DTYPES = [np.float32, np.float64]


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that small blobs have many."""
    monkeypatch.setattr(backend, "_BLOCK", 64)
    monkeypatch.setattr(compiled, "_SERIAL", 32)
    monkeypatch.setattr(compiled, "TASK", 16)


def uniforms(shape: tuple[int, ...], dtype: Any) -> Any:
    out = np.empty(prod(shape), dtype)
    STREAM.uniform(out, Runs.contiguous(0, out.size), 0.0, 1.0)
    return out


def by_caffe(values: Any, shape: tuple[int, ...]) -> Any:
    """Rows divided by their sums; a cumulative sum adds one by one in index order."""
    rows = values.reshape(shape[0], -1)
    return rows / np.cumsum(rows, axis=1, dtype=values.dtype)[:, -1:]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [(1,), (7,), (1, 1), (3, 100), (20, 3, 5, 5), (1000, 9), (300, 1000), (3, 150_000), (1, 1_100_000), (300_000, 2)],
)
def test_rows_are_divided_by_sequential_sums(shape: tuple[int, ...], dtype: Any) -> None:
    got = fill(TEXT, shape, dtype)
    assert got.tobytes() == by_caffe(uniforms(shape, dtype), shape).tobytes()


@pytest.mark.usefixtures("_small_blocks")
@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 200), st.sampled_from(DTYPES))
def test_any_region_in_any_pieces_on_small_blocks(data: Any, rows: int, length: int, dtype: Any) -> None:
    shape = (rows, length)
    region = data.draw(regions(shape, smallest=1))
    window = tuple(slice(s, s + n) for s, n in zip(region.starts, region.shape, strict=True))
    want = by_caffe(uniforms(shape, dtype), shape).reshape(region.dims)[window].ravel()
    fill_runs, got = prepared(TEXT, shape, dtype), np.empty(region.count, dtype)
    step = data.draw(st.integers(1, region.count))
    pieces = [(begin, min(begin + step, region.count)) for begin in range(0, region.count, step)]
    for begin, end in data.draw(st.one_of(st.just(pieces), st.permutations(pieces))):
        fill_runs(got[begin:end], region.runs(begin, end - begin), STREAM)
    assert got.tobytes() == want.tobytes()


def test_given_values() -> None:
    random = GivenStream([1, 2, 3, 4, 1, 1, 1, 1])
    got = fill(TEXT, (2, 4), random=random)
    assert (got == np.array([[0.1, 0.2, 0.3, 0.4], [0.25] * 4], np.float32)).all()
    assert random.calls == [("uniform", 0.0, 1.0)]


def test_one_axis_gives_ones() -> None:
    assert (fill(TEXT, (1000,)) == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_zeros_is_shared_out(dtype: Any) -> None:
    values = np.array([[0, 0, 0], [0, 0, 2]])
    assert (fill(TEXT, (2, 3), dtype, GivenStream(values))[0] == dtype(1) / dtype(3)).all()
    out = np.empty(1, dtype)
    prepared(TEXT, (2, 3), dtype)(out, Runs.contiguous(1, 1), GivenStream(values))
    assert out[0] == dtype(1) / dtype(3)


@pytest.mark.usefixtures("_small_blocks")
def test_pieces_of_a_long_row_sum_it_once() -> None:
    shape = (3, 1000)
    random = GivenStream(uniforms(shape, np.float32))
    fill_runs = prepared(TEXT, shape)
    for start in range(0, 3000, 24):
        fill_runs(np.empty(24, np.float32), Runs.contiguous(start, 24), random)
    assert random.drawn == 3000 + 3 * 1000


def test_a_remembered_sum_is_that_of_its_stream_and_type() -> None:
    shape = (2, 100)
    fill_runs = prepared(TEXT, shape)
    for dtype in (np.float32, np.float64, np.float32):
        for values in (np.arange(1, 201), np.arange(200, 0, -1)):
            out = np.empty(10, dtype)
            fill_runs(out, Runs.contiguous(5, 10), GivenStream(values))
            assert (out == by_caffe(values.astype(dtype), shape).ravel()[5:15]).all()


def test_threads_may_share_the_remembered_sum() -> None:
    shape = (5, 30_000)
    want = by_caffe(uniforms(shape, np.float32), shape).ravel()
    fill_runs, got = prepared(TEXT, shape), np.empty(want.size, np.float32)
    starts = np.random.default_rng(3).permutation(range(0, want.size, 1000)).tolist()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda s: fill_runs(got[s : s + 1000], Runs.contiguous(s, 1000), STREAM), starts))
    assert got.tobytes() == want.tobytes()


class HalvesStream(GivenStream):
    """One half everywhere, so that blobs may be of any size."""

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        self.drawn += out.size
        out.fill(0.5)


def test_a_piece_costs_only_its_rows() -> None:
    out, random = np.empty(1000, np.float32), HalvesStream(())
    prepared(TEXT, (10**9, 10**3))(out, Runs.contiguous(2_500_000_300, 1000), random)
    assert random.drawn == 1000 + 2 * 1000
    assert (out == np.float32(1e-3)).all()


def test_a_piece_of_a_long_row_takes_little_memory() -> None:
    out, random = np.empty(1000, np.float32), HalvesStream(())
    tracemalloc.start()
    prepared(TEXT, (10**3, 2**24))(out, Runs.contiguous(2**33, 1000), random)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert random.drawn == 1000 + 2**24
    assert peak < 5 << 20
