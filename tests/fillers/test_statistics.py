"""Every random filler over the philox stream at ten million values, against what `moments` and theory say."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.fillers.streams import fill, filler_of

SHAPE = (500, 200, 10, 10)
COUNT = 10_000_000


def kolmogorov_smirnov(values: Any, cdf: Any) -> float:
    """The statistic D times sqrt(n); P(> 2.2) is 1.3e-4."""
    below = cdf(np.sort(values, axis=None).astype(np.float64))
    steps = np.arange(values.size + 1) / values.size
    return float(max(np.max(below - steps[:-1]), np.max(steps[1:] - below)) * np.sqrt(values.size))


@pytest.mark.parametrize(
    ("text", "law", "kurtosis"),
    [
        ('type: "uniform" min: -0.25 max: 0.75', stats.uniform(-0.25, 1.0), 1.8),
        ('type: "gaussian" mean: 0.5 std: 0.25', stats.norm(0.5, 0.25), 3.0),
        ('type: "xavier"', stats.uniform(-np.sqrt(3 / 20_000), 2 * np.sqrt(3 / 20_000)), 1.8),
        ('type: "xavier" variance_norm: AVERAGE', stats.uniform(-np.sqrt(3 / 35_000), 2 * np.sqrt(3 / 35_000)), 1.8),
        ('type: "msra"', stats.norm(0, np.sqrt(2 / 20_000)), 3.0),
        ('type: "msra" variance_norm: FAN_OUT', stats.norm(0, np.sqrt(2 / 50_000)), 3.0),
    ],
)
def test_law(text: str, law: Any, kurtosis: float) -> None:
    values, moments = fill(text, SHAPE).astype(np.float64), filler_of(text).moments(SHAPE)
    assert moments.mean == pytest.approx(law.mean(), abs=1e-7 * law.std())
    assert moments.std == pytest.approx(law.std(), rel=1e-7)
    assert abs(values.mean() - moments.mean) < 4 * moments.std / np.sqrt(COUNT)
    variance = ((values - moments.mean) ** 2).mean()
    assert abs(variance / moments.std**2 - 1) < 4 * np.sqrt((kurtosis - 1) / COUNT)
    assert kolmogorov_smirnov(values, law.cdf) < 2.2


def test_sparse_gaussian() -> None:
    text = 'type: "gaussian" mean: 0.5 std: 2 sparse: 15'
    values, moments = fill(text, SHAPE).astype(np.float64), filler_of(text).moments(SHAPE)
    kept = values != 0
    p = 15 / 500
    assert abs(kept.mean() - p) < 4 * np.sqrt(p * (1 - p) / COUNT)
    assert abs(values.mean() - moments.mean) < 4 * moments.std / np.sqrt(COUNT)
    assert values.std() == pytest.approx(moments.std, rel=0.005)
    assert kolmogorov_smirnov(values[kept], stats.norm(0.5, 2).cdf) < 2.2
    outputs = kept.reshape(500, -1).sum(axis=0)
    assert (
        stats.chisquare(
            np.bincount(outputs, minlength=40)[5:28], stats.binom(500, p).pmf(range(5, 28)) * 20_000, sum_check=False
        ).pvalue
        > 1e-4
    )


def test_positive_unitball() -> None:
    shape = (10_000, 1000)
    text = 'type: "positive_unitball"'
    values, moments = fill(text, shape), filler_of(text).moments(shape)
    assert (values >= 0).all()
    assert np.abs(values.sum(axis=1, dtype=np.float64) - 1).max() < 1e-5
    assert values.mean(dtype=np.float64) == pytest.approx(moments.mean, rel=1e-6)
    assert values.std(dtype=np.float64) == pytest.approx(moments.std, rel=4 * np.sqrt(0.8 / 4 / COUNT) + 1e-5)
    # Given its row's sum, nearly 500, a value is nearly uniform.
    assert np.quantile(values, 0.5) * 1000 == pytest.approx(1.0, rel=0.003)
