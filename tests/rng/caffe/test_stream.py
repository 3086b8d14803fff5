"""Reading of a stream: any ascending windows give the same values as the whole."""

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument, RegionError
from filler_server.rng.caffe import kernels
from filler_server.rng.caffe import stream as module
from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.stream import RandomStream, Runs

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
START = EngineState.seeded(1701).skip(5)

DISTRIBUTIONS: dict[str, tuple[str, tuple[float, ...], Profile]] = {
    "uniform": ("uniform", (-0.1, 0.3), Profile.CAFFE),
    "uniform of one number": ("uniform", (1.0, 1.0), Profile.CAFFE),
    "gaussian": ("gaussian", (0.5, 0.1), Profile.CAFFE),
    "gaussian of 1.56": ("gaussian", (0.5, 0.1), Profile.CAFFE_1_56),
    "gaussian of 1.55": ("gaussian", (0.5, 0.1), Profile.CAFFE_1_55),
    "bernoulli": ("bernoulli", (0.3,), Profile.CAFFE),
}


def new(count: int, dtype: Any = F32, profile: Profile = Profile.CAFFE, start: EngineState = START) -> CaffeStream:
    return CaffeStream(start, count, dtype, profile)


def read(stream: CaffeStream, kind: str, params: tuple[float, ...], runs: Runs, dtype: Any) -> Any:
    out = np.empty(runs.count, np.bool_ if kind == "bernoulli" else dtype)
    getattr(stream, kind)(out, runs, *params)
    return out


def runs_of(mask: Any) -> Runs:
    """The runs of a mask's true elements."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    starts, ends = edges[::2].astype(np.int64), edges[1::2].astype(np.int64)
    return Runs(starts, np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64))


def test_it_is_a_random_stream() -> None:
    stream: RandomStream = new(1)
    assert isinstance(stream, CaffeStream)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_runs_in_any_order_give_the_values_of_the_whole(name: str, dtype: Any, data: st.DataObject) -> None:
    kind, params, profile = DISTRIBUTIONS[name]
    count = data.draw(st.integers(1, 9000), label="count")
    whole_stream = new(count, dtype, profile)
    whole = read(whole_stream, kind, params, Runs.contiguous(0, count), dtype)
    stream = new(count, dtype, profile)
    for _ in range(data.draw(st.integers(1, 4), label="calls")):
        cuts = sorted(data.draw(st.lists(st.integers(0, count), min_size=1, max_size=7), label="cuts"))
        mask = np.zeros(count, np.bool_)
        for start, end in zip(cuts, [*cuts[1:], count], strict=True):
            mask[start : end if data.draw(st.booleans()) else start + (end - start) // 2] = True
        if mask.any():
            got = read(stream, kind, params, runs_of(mask), dtype)
            assert got.tobytes() == whole[mask].tobytes()
    read(stream, kind, params, Runs.contiguous(count - 1, 1), dtype)
    assert stream.end_state().draws == whole_stream.end_state().draws
    assert stream.end_state().outputs(1) == whole_stream.end_state().outputs(1)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_going_back_over_more_places_than_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_APART", 10)
    monkeypatch.setattr(module, "_MOST_PLACES", 5)
    kind, params, profile = DISTRIBUTIONS[name]
    count = 5003
    whole = read(new(count, profile=profile), kind, params, Runs.contiguous(0, count), F32)
    stream = new(count, profile=profile)
    for start in [*range(0, count, 61), *range(count - 61, 0, -307), *range(0, count, 501)]:
        runs = Runs.contiguous(start, min(61, count - start))
        np.testing.assert_array_equal(read(stream, kind, params, runs, F32), whole[start : start + 61])


def test_going_back_is_cheap_once_a_place_near_was_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    count, window = 30_000_000, 1 << 20
    stream = new(count)
    out = np.empty(window, np.float32)
    for start in range(0, count - window, window):
        stream.uniform(out, Runs.contiguous(start, window), 0, 1)
    skipped = []
    fill = kernels.fill

    def watched(window: Any, out: Any, starts: Any, bounds: Any, index: int, distribution: kernels.Distribution) -> int:
        skipped.append(int(starts[0]) - index)
        return fill(window, out, starts, bounds, index, distribution)

    monkeypatch.setattr(kernels, "fill", watched)
    for start in (count // 2, count // 3, count // 2 + 5, 0):
        stream.uniform(out, Runs.contiguous(start, window), 0, 1)
    assert len(skipped) == 4
    assert max(skipped) <= window


def test_the_mask_is_drawn_after_all_gaussians() -> None:
    count = 3000
    gaussians = new(count)
    values = np.empty(count, np.float32)
    gaussians.gaussian(values, Runs.contiguous(0, count), 0, 1)
    mask = np.empty(count, np.bool_)
    CaffeStream(gaussians.end_state(), count, F32).bernoulli(mask, Runs.contiguous(0, count), 0.25)
    stream = new(count)
    for start in (0, 1000, 2000, 500):
        runs = Runs.contiguous(start, 1000)
        part, kept = np.empty(1000, np.float32), np.empty(1000, np.bool_)
        stream.gaussian(part, runs, 0, 1)
        stream.bernoulli(kept, runs, 0.25)
        np.testing.assert_array_equal(part, values[start : start + 1000])
        np.testing.assert_array_equal(kept, mask[start : start + 1000])
    assert stream.end_state().draws == gaussians.end_state().draws + count


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_box_and_muller_waste_the_second_value_of_an_odd_blob(dtype: Any) -> None:
    for count, draws in ((1, 2), (2, 2), (7, 8)):
        stream = new(count, dtype, Profile.CAFFE_1_55)
        stream.gaussian(np.empty(1, dtype), Runs.contiguous(0, 1), 0, 1)
        assert stream.end_state().draws - START.draws == draws


def test_nothing_asked_for_is_nothing_drawn() -> None:
    stream = new(10)
    assert stream.end_state() is START
    empty = Runs(np.zeros(0, np.int64), np.zeros(1, np.int64))
    stream.uniform(np.empty(0, np.float32), empty, 0, 1)
    assert stream.end_state().draws == START.draws + 10


def test_the_start_is_asked_for_when_the_first_number_is_drawn() -> None:
    calls = []

    def start() -> EngineState:
        calls.append(1)
        return START

    stream = CaffeStream(start, 10, F32)
    assert not calls
    for _ in range(3):
        stream.uniform(np.empty(2, np.float32), Runs.contiguous(0, 2), 0, 1)
    assert len(calls) == 1
    assert stream.end_state().draws == START.draws + 10
    assert len(calls) == 1


def test_memory_is_bounded() -> None:
    count = 60_000_000
    stream = new(count)
    out = np.empty(1 << 16, np.float32)
    stream.gaussian(out[:1], Runs.contiguous(0, 1), 0, 1)
    stream.bernoulli(np.empty(1, np.bool_), Runs.contiguous(0, 1), 0.5)
    tracemalloc.start()
    try:
        for start in range(0, count - out.size, 40 * out.size):
            stream.gaussian(out, Runs.contiguous(start, out.size), 0, 1)
        stream.end_state()
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


def test_streams_of_many_threads_do_not_disturb_each_other() -> None:
    count = 200_000
    expected = read(new(count), "gaussian", (0, 1), Runs.contiguous(0, count), F32)
    found: list[Any] = []

    def work() -> None:
        found.append(read(new(count), "gaussian", (0, 1), Runs.contiguous(0, count), F32))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(values.tobytes() == expected.tobytes() for values in found)


@pytest.mark.parametrize(
    "runs",
    [
        Runs.contiguous(8, 3),
        Runs.contiguous(11, 0),
        Runs(np.array([5, 0]), np.array([0, 2, 3])),
        Runs(np.array([0, 1]), np.array([0, 2, 3])),
    ],
    ids=["beyond", "after", "descending", "overlapping"],
)
def test_runs_outside_the_blob_or_out_of_order_are_refused(runs: Runs) -> None:
    with pytest.raises(RegionError, match="Received: starts="):
        new(10).uniform(np.empty(runs.count, np.float32), runs, 0, 1)


def test_another_dtype_than_the_blob_s_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Received: dtype=float64"):
        new(10).uniform(np.empty(3), Runs.contiguous(0, 3), 0, 1)
    with pytest.raises(InvalidArgument, match="Received: dtype=float16"):
        new(10, np.dtype(np.float16))


def test_a_blob_without_values_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Received: count=0"):
        new(0)
