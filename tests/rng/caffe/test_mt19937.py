from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument
from filler_server.rng.caffe.mt19937 import EngineState


def numpys(seed: int, count: int) -> Any:
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)
    return generator.random_raw(count).astype(np.uint32)


@pytest.mark.parametrize("seed", [0, 1, 1701, 5489, 2**31, 2**32 - 1])
def test_outputs_are_those_of_numpy(seed: int) -> None:
    np.testing.assert_array_equal(EngineState.seeded(seed).outputs(7000), numpys(seed, 7000))


def test_the_output_that_the_standard_of_cpp_names() -> None:
    assert EngineState.seeded(5489).outputs(10_000)[-1] == 4123659995


@pytest.mark.parametrize(("seed", "same"), [(2**32 + 1701, 1701), (-1, 2**32 - 1), (np.int64(7), 7)])
def test_the_low_32_bits_of_a_seed_count(seed: int, same: int) -> None:
    np.testing.assert_array_equal(EngineState.seeded(seed).outputs(10), EngineState.seeded(same).outputs(10))


@pytest.mark.parametrize("seed", [1.5, "1701", None])
def test_a_seed_is_an_integer(seed: object) -> None:
    with pytest.raises(InvalidArgument, match="Received: seed="):
        EngineState.seeded(seed)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6000), max_size=4))
def test_skipping_is_drawing(counts: list[int]) -> None:
    state = EngineState.seeded(3)
    for count in counts:
        state = state.skip(count)
    assert state.draws == sum(counts)
    np.testing.assert_array_equal(state.outputs(5), numpys(3, sum(counts) + 5)[sum(counts) :])


def test_a_state_never_moves() -> None:
    state = EngineState.seeded(9)
    first = state.outputs(700)
    state.skip(1000)
    np.testing.assert_array_equal(state.outputs(700), first)
    assert state.draws == 0
    with pytest.raises(ValueError, match="read-only"):
        state.window[0] = 1


def test_an_engine_does_not_go_back() -> None:
    with pytest.raises(InvalidArgument, match="Received: count=-1"):
        EngineState.seeded(9).skip(-1)
    with pytest.raises(InvalidArgument, match="Received: count=-1"):
        EngineState.seeded(9).outputs(-1)
