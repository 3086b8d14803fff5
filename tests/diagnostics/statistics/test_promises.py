"""Promises that are more than a distribution: patterns, sums of rows, orthonormal vectors."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from filler_server.diagnostics.statistics.blob import look
from filler_server.diagnostics.statistics.patterns import given
from filler_server.diagnostics.statistics.promise import judge
from filler_server.diagnostics.statistics.rows import row_parts
from filler_server.tensors import SequentialTensor
from tests.diagnostics.statistics.fillers import array, filled, is_alarm, looked
from tests.fillers.streams import filler_of

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
PATTERNS = {
    'type: "constant" value: 0.1': (5, 7),
    'type: "bilinear"': (3, 2, 5, 5),
    'type: "identity" value: 0.3': (6, 9),
    'type: "dirac"': (4, 6, 3, 2),
}
ORTHOGONAL = {(20, 30): "rows", (30, 20): "columns", (8, 3, 5, 5): "rows", (2, 2): "rows"}


def faults(text: str, values: Any) -> tuple[str, ...]:
    found = looked(text, array(values)).judgement
    assert found is not None
    return found.faults


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", PATTERNS)
def test_a_pattern_is_held_against_every_value(text: str, dtype: Any) -> None:
    values = np.array(filled(text, PATTERNS[text], 1, dtype).array())
    assert faults(text, values) == ()
    values.reshape(-1)[[7, 11]] += 0.25
    (fault,) = faults(text, values)
    assert fault.startswith(f"2 of {values.size} values differ, the first at index 7: ")


def test_interpolation_weights_may_differ_by_rounding() -> None:
    values = np.array(filled('type: "bilinear"', (1, 1, 7, 7), 1, np.float32).array())
    assert faults('type: "bilinear"', np.nextafter(values, np.float32(2))) == ()
    assert faults('type: "bilinear"', values.astype(np.float64)) == ()
    assert faults('type: "bilinear"', values * np.float32(1.0001)) != ()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_constant_need_not_be_finite(value: str) -> None:
    text = f'type: "constant" value: {value}'
    assert faults(text, np.full(5, float(value), np.float32)) == ()
    assert faults(text, np.array([float(value), 1], np.float32)) != ()


def test_one_value_is_promised_where_bounds_meet() -> None:
    assert faults('type: "uniform" min: 0.5 max: 0.5', np.full(9, 0.5, np.float32)) == ()
    assert faults('type: "positive_unitball"', np.ones((5, 1), np.float32)) == ()
    assert faults('type: "positive_unitball"', np.ones(5, np.float16)) == ()


def test_given_values() -> None:
    values = np.arange(6, dtype=np.float32)
    found = look(array(values.astype(np.float16)), given(values, np.dtype(np.float16)), None)
    assert found.judgement is not None
    assert found.judgement.faults == ()
    found = look(array(-values), given(values, np.dtype(np.float32)), None)
    assert found.judgement is not None
    assert found.judgement.faults == ("5 of 6 values differ, the first at index 1: -1 in place of 1",)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_sum_to_one(dtype: Any) -> None:
    text = 'type: "positive_unitball"'
    values = np.array(filled(text, (50, 300), 1, dtype).array())
    assert faults(text, values) == ()
    values[7] *= 1.02
    assert faults(text, values) == ("1 of 50 rows do not sum to 1",)
    values[7] = 0
    assert faults(text, values) == ("1 of 50 rows do not sum to 1",)
    values[7] = 1 / 100
    values[7, :150] = -1 / 300
    assert faults(text, values)[-1].startswith("values reach -0.003")


def test_rows_that_sum_to_one_by_other_values_are_found() -> None:
    values = np.random.default_rng(1).random((40, 100)) ** 2
    found = looked('type: "positive_unitball"', array((values / values.sum(axis=1, keepdims=True)).astype(np.float32)))
    assert is_alarm(found, 1e-6)
    assert is_alarm(looked('type: "positive_unitball"', array(np.full((40, 100), 0.01, np.float32))), 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ORTHOGONAL)
def test_orthonormal_vectors(shape: tuple[int, ...], dtype: Any) -> None:
    text = 'type: "orthogonal" value: 1.5'
    values = np.array(filled(text, shape, 1, dtype).array())
    assert faults(text, values) == ()
    (fault,) = faults('type: "orthogonal" value: 1.53', values)
    assert fault.endswith(f"{ORTHOGONAL[shape]} do not have the length 1.53")


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (200, 1000)])
def test_vectors_of_one_length_that_are_not_orthogonal(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.random.default_rng(1).normal(size=shape)
    axis, name = (1, "rows") if shape[0] <= shape[1] else (0, "columns")
    values /= np.linalg.norm(values, axis=axis, keepdims=True)
    assert faults('type: "orthogonal"', values.astype(dtype)) == (f"the {name} are not orthogonal to each other",)


def test_an_orthogonal_matrix_of_no_chance_is_found() -> None:
    assert is_alarm(looked('type: "orthogonal"', array(np.eye(64, dtype=np.float32))), 1e-6)


@pytest.mark.parametrize("shape", [(7, 11), (11, 7)])
@pytest.mark.parametrize("block", [1, 3, 10, 40])
@pytest.mark.parametrize("kind", ["orthogonal", "positive_unitball", "identity"])
def test_blocks_may_end_anywhere(shape: tuple[int, int], block: int, kind: str) -> None:
    text = f'type: "{kind}"'
    whole = np.array(filled(text, shape, 1, np.float32).array()).reshape(-1)

    def blocks(start: int) -> Any:
        return (whole[begin : begin + block] for begin in range(start, whole.size, block))

    found = looked(text, SequentialTensor("w/0", shape, np.dtype(np.float32), blocks))
    assert not is_alarm(found, 1e-3)
    assert found.judgement == looked(text, array(whole.reshape(shape))).judgement or kind == "orthogonal"


def test_parts_of_rows() -> None:
    block = np.arange(5, 23)
    parts = [(row, column, part.tolist()) for row, column, part in row_parts(5, block, 8)]
    assert parts == [(0, 5, [[5, 6, 7]]), (1, 0, [list(range(8, 16))]), (2, 0, [list(range(16, 23))])]


class Unbounded:
    """A distribution without finite quantiles at its ends."""

    mean, std, minimum, maximum = 0.0, 1.0, -np.inf, np.inf

    def quantile(self, q: Any) -> Any:
        return np.copysign(np.inf, np.asarray(q) - 0.5)


class Odd:
    """A filler of the user's own."""

    def check(self, shape: tuple[int, ...]) -> None:
        assert shape

    def distribution(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return Unbounded()


def test_what_cannot_be_judged_has_no_judge() -> None:
    assert judge(Odd(), (3,), np.dtype(np.float32)) is None
    assert judge(filler_of('type: "xavier"'), (3,), np.dtype(np.int64)) is None
