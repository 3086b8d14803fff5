"""Every distribution against the plain reference, value by value and draw by draw."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument
from filler_server.rng.caffe import boost
from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.stream import Runs
from tests.rng.caffe.reference import Reference

DTYPES = [np.float32, np.float64]
FLOAT_MAX = float(np.finfo(np.float32).max)


def drawn(kind: str, params: tuple[float, ...], dtype: Any, profile: Profile, seed: int, count: int) -> Any:
    """Values of a stream and of the reference, and the draws of both."""
    stream = CaffeStream(EngineState.seeded(seed), count, np.dtype(dtype), profile)
    values = np.empty(count, np.bool_ if kind == "bernoulli" else dtype)
    getattr(stream, kind)(values, Runs.contiguous(0, count), *params)
    reference = Reference(seed, dtype, profile)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.array(list(islice(getattr(reference, kind)(*params), count)), values.dtype)
    return values, expected, stream.end_state().draws, reference.draws


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian(profile: Profile, dtype: Any) -> None:
    values, expected, draws, of_reference = drawn("gaussian", (0.1, 0.3), dtype, profile, 1701, 20_001)
    assert values.tobytes() == expected.tobytes()
    # The reference has drawn one pair, and wasted the second of it, as Caffe does.
    assert draws == of_reference


@pytest.mark.parametrize("dtype", DTYPES)
def test_profiles_differ(dtype: Any) -> None:
    found = {drawn("gaussian", (0, 1), dtype, profile, 1701, 20_000)[0].tobytes() for profile in Profile}
    assert len(found) == 3


ranges = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=60, deadline=None)
@given(low=ranges, ulps=st.integers(0, 5), wide=ranges, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 9))
@example(low=0.0, ulps=0, wide=0.0, dtype=np.float32, seed=1701)
@example(low=0.0, ulps=0, wide=1.0, dtype=np.float32, seed=1701)
def test_uniform(low: float, ulps: int, wide: float, dtype: Any, seed: int) -> None:
    """Ranges of a few units in the last place, where many outputs are rejected, and wide ones."""
    high = dtype(low)
    for _ in range(ulps):
        high = np.nextafter(high, dtype(np.inf))
    for end in (float(high), low + abs(wide)):
        values, expected, draws, of_reference = drawn("uniform", (low, end), dtype, Profile.CAFFE, seed, 300)
        assert values.tobytes() == expected.tobytes()
        assert draws == of_reference


@pytest.mark.parametrize(
    ("low", "high"), [(-3e38, 3e38), (0, FLOAT_MAX), (-FLOAT_MAX, FLOAT_MAX), (1e-40, 2e-40), (0, 0), (-1e-45, 0)]
)
def test_uniform_at_the_ends_of_float(low: float, high: float) -> None:
    values, expected, draws, of_reference = drawn("uniform", (low, high), np.float32, Profile.CAFFE, 1701, 500)
    assert values.tobytes() == expected.tobytes()
    assert draws == of_reference
    assert (values >= np.float32(low)).all()
    assert (values <= np.float32(high)).all()


def test_half_of_the_outputs_are_rejected_where_the_range_is_one_number() -> None:
    values, _, draws, _ = drawn("uniform", (1.0, 1.0), np.float32, Profile.CAFFE, 1701, 10_000)
    assert (values == 1).all()
    assert 19_000 < draws < 21_000


def test_rejected_outputs_are_found_however_rare() -> None:
    """128 of 2^32 outputs round up to the end of the range in float32; one at a time is looked for here."""
    distribution = boost.uniform(0.0, 1.0, np.dtype(np.float32))
    assert int(distribution.last) == 2**32 - 129
    position, state = 0, EngineState.seeded(0)
    while not (outputs := state.outputs(2**22) > distribution.last).any():
        position, state = position + outputs.size, state.skip(outputs.size)
    position += int(outputs.argmax())
    stream = CaffeStream(EngineState.seeded(0), position + 10, np.dtype(np.float32))
    values = np.empty(20, np.float32)
    stream.uniform(values, Runs.contiguous(position - 10, 20), 0.0, 1.0)
    kept = np.delete(EngineState.seeded(0).skip(position - 10).outputs(21), 10)
    np.testing.assert_array_equal(values, kept.astype(np.float32) / np.float32(2**32) * np.float32(1.0000001))
    assert stream.end_state().draws == position + 11


@pytest.mark.parametrize(
    ("low", "high", "profile"),
    [
        (-3e38, 3e38, Profile.CAFFE_1_55),
        (FLOAT_MAX, FLOAT_MAX, Profile.CAFFE),
        (FLOAT_MAX, FLOAT_MAX, Profile.CAFFE_1_55),
    ],
)
def test_a_range_in_which_caffe_would_draw_for_ever_is_refused(low: float, high: float, profile: Profile) -> None:
    with pytest.raises(InvalidArgument, match=r"draw forever.* Received: low="):
        boost.uniform(low, high, np.dtype(np.float32), profile)


@settings(max_examples=30, deadline=None)
@given(p=st.floats(1e-3, 1), dtype=st.sampled_from(DTYPES))
@example(p=1.0, dtype=np.float32)
@example(p=1.0, dtype=np.float64)
@example(p=2.0**-40, dtype=np.float32)
@example(p=1 / 3, dtype=np.float32)
def test_bernoulli(p: float, dtype: Any) -> None:
    values, expected, draws, of_reference = drawn("bernoulli", (p,), dtype, Profile.CAFFE, 5, 3000)
    np.testing.assert_array_equal(values, expected)
    assert draws == of_reference == 3000
    distribution = boost.bernoulli(p, np.dtype(dtype))
    assert distribution is not None
    last = int(distribution.last)
    limit = dtype(p) * dtype(4294967295)
    assert dtype(last) <= limit
    assert last == 2**32 - 1 or dtype(last + 1) > limit


def test_bernoulli_of_0_draws_nothing() -> None:
    stream = CaffeStream(EngineState.seeded(1), 10, np.dtype(np.float32))
    values = np.ones(10, np.bool_)
    stream.bernoulli(values, Runs.contiguous(0, 10), 0.0)
    assert not values.any()
    assert stream.end_state().draws == 0


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("uniform", (1.0, 0.0)),
        ("uniform", (float("nan"), 0.0)),
        ("uniform", (0.0, float("inf"))),
        ("gaussian", (0.0, 0.0)),
        ("gaussian", (0.0, 1e-50)),
        ("gaussian", (float("nan"), 1.0)),
        ("bernoulli", (1.5,)),
        ("bernoulli", (float("nan"),)),
    ],
)
def test_parameters_that_no_distribution_has_are_refused(kind: str, params: tuple[float, ...]) -> None:
    stream = CaffeStream(EngineState.seeded(1), 4, np.dtype(np.float32))
    out: Any = np.empty(4, np.bool_ if kind == "bernoulli" else np.float32)
    with pytest.raises(InvalidArgument, match="Received: "):
        getattr(stream, kind)(out, Runs.contiguous(0, 4), *params)
