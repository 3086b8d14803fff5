"""Figures of tensors, and differences between them."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument
from filler_server.tensors import ArrayTensor, Tensor, View
from filler_server.tensors import tensor as tensors
from filler_server.weights.comparison import compare
from filler_server.weights.statistics import statistics


def tensor(array: Any, name: str = "a/0") -> Tensor:
    return ArrayTensor(name, array)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200), st.integers(1, 60))
@settings(max_examples=50)
def test_figures_are_those_of_numpy(given: list[float], block: int) -> None:
    array = np.array(given, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "BLOCK", block)
        found = statistics(tensor(array))
    wide = array.astype(np.float64)
    assert (found.count, found.zeros, found.nonfinite) == (array.size, np.count_nonzero(array == 0), 0)
    assert (found.minimum, found.maximum) == (wide.min(), wide.max())
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12, abs=1e-9)
    assert found.std == pytest.approx(wide.std(), rel=1e-9, abs=1e-9)
    assert found.sha256 == hashlib.sha256(array.tobytes()).hexdigest()


def test_what_is_no_number_is_counted_and_left_out() -> None:
    found = statistics(tensor(np.array([np.nan, 1, 3, -np.inf, -0.0], np.float16)))
    assert (found.count, found.nonfinite, found.zeros) == (5, 2, 1)
    assert (found.mean, found.minimum, found.maximum) == (4 / 3, 0, 3)


def test_nothing_has_no_figures() -> None:
    for array in (np.empty((0, 3), np.float32), np.array([np.nan], np.float32)):
        found = statistics(tensor(array))
        assert (found.count, found.mean, found.std, found.minimum) == (array.size, None, None, None)


CHANGE = np.array([[0, 0, 0.5], [0, -0.25, 0]])
SIX = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("block", [1, 4, 100])
@pytest.mark.parametrize(
    ("one", "other", "atol", "verdict", "different", "largest"),
    [
        (SIX, SIX, 0, "equal", 0, 0),
        (SIX, SIX.astype(np.float64), 0, "equal", 0, 0),
        (SIX, SIX + CHANGE, 0, "differs", 2, 0.5),
        (SIX, SIX + CHANGE, 0.25, "differs", 1, 0.5),
        (SIX, SIX + CHANGE, 0.5, "equal", 0, 0.5),
        (SIX, SIX.T, 0, "shape", 0, None),
        (np.array([np.nan, np.inf, 0.0]), np.array([np.nan, np.inf, -0.0]), 0, "equal", 0, 0),
        (np.array([np.nan, 1.0]), np.array([1.0, 1.0]), 0, "differs", 1, np.inf),
        (np.array([np.inf, 1.0]), np.array([-np.inf, 1.0]), 5, "differs", 1, np.inf),
        (np.empty((0, 3)), np.empty((0, 3)), 0, "equal", 0, 0),
        (np.array([2**60, 5]), np.array([2**60 + 1, 5]), 0, "differs", 1, 1),
        (np.array([2**63 - 1]), np.array([2**63], np.uint64), 0, "differs", 1, 1),
        (np.array([2**60, 5]), np.array([2**60, 5], np.uint64), 0, "equal", 0, 0),
    ],
)
def test_comparisons(
    one: Any, other: Any, atol: float, verdict: str, different: int, largest: float | None, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "BLOCK", block)
        (found,) = compare([tensor(one)], [tensor(other)], atol=atol)
    assert (found.verdict, found.different, found.max_difference) == (verdict, different, largest)


@pytest.mark.parametrize("atol", [np.nan, np.inf, -1.0])
def test_a_tolerance_is_a_finite_number(atol: float) -> None:
    with pytest.raises(InvalidArgument, match="atol is a finite number"):
        list(compare([tensor(SIX)], [tensor(SIX + CHANGE)], atol=atol))


def test_what_only_one_file_has_comes_last() -> None:
    found = compare([tensor(SIX), tensor(SIX, "b/0")], [tensor(SIX, "c/0"), tensor(SIX, "b/0")])
    assert [(entry.name, entry.verdict) for entry in found] == [
        ("a/0", "only in A"),
        ("b/0", "equal"),
        ("c/0", "only in B"),
    ]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_legacy_shape_equals_its_modern_one(swapped: bool) -> None:
    old, new = (View(tensor(SIX), "a/0", (1, 1, 2, 3), legacy=True)), tensor(SIX)
    files = [[old], [new]]
    (found,) = compare(*(files[::-1] if swapped else files))
    assert found.verdict == "equal"
    (found,) = compare([View(tensor(SIX), "a/0", (1, 1, 2, 3))], [new])
    assert found.verdict == "shape"
