from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from filler_server.rng.stream import Runs


@st.composite
def some_runs(draw: st.DrawFn) -> Runs:
    lengths = np.array(draw(st.lists(st.integers(0, 40), max_size=5)), np.int64)
    gaps = np.array(draw(st.lists(st.integers(0, 9), min_size=lengths.size, max_size=lengths.size)), np.int64)
    ends = np.cumsum(gaps + lengths)
    return Runs(ends - lengths, np.append(np.int64(0), np.cumsum(lengths)))


def indices(runs: Runs) -> NDArray[Any]:
    lengths = np.diff(runs.bounds)
    return np.repeat(runs.starts - runs.bounds[:-1], lengths) + np.arange(runs.count)


@given(some_runs(), st.integers(1, 50))
def test_parts_are_the_same_elements_in_shorter_runs(runs: Runs, longest: int) -> None:
    parts = runs.split(longest)
    # Making them anew checks them.
    assert Runs(parts.starts, parts.bounds).count == parts.count == runs.count
    np.testing.assert_array_equal(indices(parts), indices(runs))
    assert (np.diff(parts.bounds) <= longest).all()


@given(st.integers(0, 2**62), st.integers(0, 200), st.integers(1, 50))
def test_parts_of_one_run_are_as_long_as_they_may_be(start: int, count: int, longest: int) -> None:
    parts = Runs.contiguous(start, count).split(longest)
    assert (np.diff(parts.bounds)[:-1] == longest).all()
    assert parts.starts[0] == start
    assert parts.starts.size == max(-(-count // longest), 1)
