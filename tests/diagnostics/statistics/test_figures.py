import math
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from filler_server.diagnostics.statistics.figures import look_at

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def looked(values: Any, bounds: tuple[float, float] | None = None, size: int = 70_001) -> Any:
    look = look_at(values.dtype, bounds, values.size)
    for begin in range(0, values.size, size):
        look.add(values[begin : begin + size])
    return look


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 15, 16, 1023, 1041, 150_000])
def test_figures_are_those_of_numpy(dtype: Any, count: int) -> None:
    values = np.random.default_rng(count).normal(3, 0.5, count).astype(dtype)
    values[count // 2] = 0
    values[count // 3] = -0.0
    found, wide = looked(values).figures(), values.astype(np.float64)
    assert (found.count, found.finite, found.nans, found.infinite) == (count, count, 0, 0)
    assert (found.minimum, found.maximum) == (wide.min(), wide.max())
    assert found.zeros == np.count_nonzero(wide == 0)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert found.std == pytest.approx(wide.std(), rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_are_counted_and_left_out(dtype: Any) -> None:
    values = np.random.default_rng(1).normal(0, 1, 5000).astype(dtype)
    values[[0, 7, 4000]] = np.nan
    values[[1, 4999]] = np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        wide = values.astype(np.float64)
    rest = wide[np.isfinite(wide)]
    found = looked(values, (-1.0, 1.0), 999)
    figures, ranks = found.figures(), found.ranks()
    assert (figures.count, figures.finite, figures.nans, figures.infinite) == (5000, 4995, 3, 2)
    assert figures.mean == pytest.approx(rest.mean())
    assert figures.std == pytest.approx(rest.std())
    assert (figures.minimum, figures.maximum) == (rest.min(), rest.max())
    assert ranks.below.tolist() == [np.count_nonzero(wide < edge) for edge in ranks.edges]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_and_nothing_finite(dtype: Any) -> None:
    assert look_at(np.dtype(dtype), None, 0).figures().mean is None
    found = looked(np.full(3, np.nan, dtype)).figures()
    assert (found.mean, found.std, found.minimum, found.maximum, found.nans) == (None, None, None, None, 3)
    assert looked(np.zeros(3, dtype)).ranks() is None


def test_a_large_mean_costs_no_digits() -> None:
    values = 1e9 + np.random.default_rng(2).normal(0, 1e-3, 200_000)
    found = looked(values).figures()
    assert found.mean == pytest.approx(values.mean(), rel=1e-15)
    assert found.std == pytest.approx(1e-3, rel=0.01)
    assert looked(np.full(200_000, 1e6, np.float32)).figures().std == 0.0


def test_values_at_the_end_of_float64() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = looked(np.array([1e308, -1e308, 1e308, 1.0])).figures()
    assert (found.maximum, found.finite) == (1e308, 4)
    assert found.std is None or math.isfinite(found.std)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranks_are_counts_below_edges(dtype: Any) -> None:
    values = np.random.default_rng(3).uniform(-2, 2, 20_000).astype(dtype)
    ranks = looked(values, (-1.0, 1.5)).ranks()
    wide = np.sort(values.astype(np.float64))
    assert (ranks.edges[0], ranks.edges[-1]) == (-1.0, 1.5)
    # An edge that is no binary fraction may fall on either side of the values at it.
    off = np.abs(ranks.below - np.searchsorted(wide, ranks.edges))
    assert off.max() <= 1


def test_integers_are_numbers_too() -> None:
    found = looked(np.array([1, 2, 3, -4], np.int64)).figures()
    assert (found.mean, found.minimum, found.maximum) == (0.5, -4, 3)
