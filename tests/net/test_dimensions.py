import pytest
from hypothesis import given
from hypothesis import strategies as st

from filler_server.net.dimensions import (
    Dims,
    Origin,
    Unknown,
    count,
    differ,
    origins,
    quotient,
    refine,
    shapes_differ,
    text,
    to_shape,
)

DATA = Origin("data", "inputs", "10,C,227,227")
ROIS = Origin("rois", "tops", "D,5")
X = Unknown(frozenset([DATA]))
Y = Unknown(frozenset([ROIS]))


def test_arithmetic_with_the_unknown_stays_unknown_and_keeps_the_origins() -> None:
    for result in (X + 1, 1 + X, X - 1, 1 - X, X * 2, 2 * X):
        assert isinstance(result, Unknown)
        assert result.origins == {DATA}
    assert (X * Y + 3).origins == {DATA, ROIS}
    assert count((2, X, Y)).origins == {DATA, ROIS}  # type: ignore[union-attr]


def test_an_unknown_gathers_only_so_many_origins() -> None:
    total = X
    for index in range(1000):
        total = total + Unknown(frozenset([Origin(f"top{index}", "tops", "D")]))
    assert len(total.origins) == 8


@given(st.integers(-100, 100), st.integers(1, 20))
def test_quotient_rounds_toward_zero(dividend: int, divisor: int) -> None:
    assert quotient(dividend, divisor) == int(dividend / divisor)
    assert isinstance(quotient(X, divisor), Unknown)


def test_count_takes_the_axes_from_start_up_to_stop() -> None:
    assert count((2, 3, 4, 5)) == 120
    assert count((2, 3, 4, 5), 1, 3) == 12
    assert count((2, 3), 2) == 1
    assert count(X) is X


def test_only_known_values_differ() -> None:
    assert differ(1, 2)
    assert not differ(1, 1)
    assert not differ(1, X)
    assert shapes_differ((1, 2), (1, 2, 3))
    assert shapes_differ((X, 2), (1, 3))
    assert not shapes_differ((X, 2), (1, Y))
    assert not shapes_differ(X, (1, 2))


def test_refine_takes_what_either_knows() -> None:
    assert refine((X, 2, Y), (1, Y, X)) == (1, 2, X)
    assert refine(X, (1, 2)) == (1, 2)
    assert refine((1, 2), Y) == (1, 2)


@pytest.mark.parametrize(
    ("dims", "words", "shape"),
    [((10, X, 227), "[10, ?, 227]", (10, None, 227)), ((), "[]", ()), (X, "?", None), (7, "7", None)],
)
def test_text_and_shape(dims: Dims, words: str, shape: object) -> None:
    assert text(dims) == words
    if not isinstance(dims, int):
        assert to_shape(dims) == shape


def test_origins_of_a_shape() -> None:
    assert origins((1, X, Y)) == {DATA, ROIS}
    assert origins((1, 2)) == frozenset()
    assert origins(Y) == {ROIS}
