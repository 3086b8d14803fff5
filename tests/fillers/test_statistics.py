"""Every filler over the philox stream against the distribution that it says it has."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from filler_server.fillers import Distribution
from filler_server.rng.philox import PhiloxStream
from tests.fillers.streams import distribution_of, fill

SHAPE = (500, 200, 10, 10)
COUNT = 10_000_000
SEEDS = range(40)


def kolmogorov_smirnov(values: Any, distribution: Distribution) -> float:
    """The statistic D times sqrt(n), also where values have probabilities of their own; P(> 2.2) is 1.3e-4."""
    found, counts = np.unique(values, return_counts=True)
    x = found.astype(np.float64)
    upto = np.cumsum(counts) / values.size
    theory = distribution.cdf(x)
    distance = np.maximum(np.abs(upto - theory), np.abs(upto - counts / values.size - theory + distribution.mass(x)))
    return float(distance.max() * np.sqrt(values.size))


@pytest.mark.parametrize(
    ("text", "kurtosis"),
    [
        ('type: "uniform" min: -0.25 max: 0.75', 1.8),
        ('type: "gaussian" mean: 0.5 std: 0.25', 3.0),
        ('type: "xavier"', 1.8),
        ('type: "xavier" variance_norm: AVERAGE', 1.8),
        ('type: "msra"', 3.0),
        ('type: "msra" variance_norm: FAN_OUT', 3.0),
    ],
)
def test_ten_million_values(text: str, kurtosis: float) -> None:
    values, theory = fill(text, SHAPE).astype(np.float64), distribution_of(text, SHAPE)
    assert abs(values.mean() - theory.mean) < 4 * theory.std / np.sqrt(COUNT)
    variance = ((values - theory.mean) ** 2).mean()
    assert abs(variance / theory.std**2 - 1) < 4 * np.sqrt((kurtosis - 1) / COUNT)
    assert kolmogorov_smirnov(values, theory) < 2.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "text",
    [
        'type: "uniform" min: -0.25 max: 0.75',
        'type: "gaussian" mean: 0.5 std: 0.25',
        'type: "xavier"',
        'type: "msra" variance_norm: AVERAGE',
    ],
)
def test_the_distance_from_theory_is_that_of_chance_over_many_seeds(text: str, dtype: Any) -> None:
    shape = (64, 500)
    theory = distribution_of(text, shape, dtype)
    distances = [kolmogorov_smirnov(fill(text, shape, dtype, PhiloxStream(seed, "w")), theory) for seed in SEEDS]
    assert stats.kstest(distances, stats.kstwobign.cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [0, 1, 7, 32, 64])
def test_masked_values_over_many_seeds(sparse: int, dtype: Any) -> None:
    text, shape = f'type: "gaussian" mean: 0.4 std: 0.5 sparse: {sparse}', (64, 500)
    theory = distribution_of(text, shape, dtype)
    distances = [kolmogorov_smirnov(fill(text, shape, dtype, PhiloxStream(seed, "w")), theory) for seed in SEEDS]
    # Probabilities of their own only bring the two nearer.
    assert max(distances) < 2.2
    assert np.mean(distances) < 0.869 + 4 * 0.26 / np.sqrt(len(SEEDS))


@pytest.mark.parametrize("length", [1, 2, 3, 10, 13, 14, 100, 1000])
def test_values_of_positive_unitball_over_many_seeds(length: int) -> None:
    """One of each row, since those of one row are not independent."""
    text, shape = 'type: "positive_unitball"', (5000, length)
    theory = distribution_of(text, shape, np.float64)
    distances = [
        kolmogorov_smirnov(fill(text, shape, np.float64, PhiloxStream(seed, "w"))[:, seed % length], theory)
        for seed in SEEDS
    ]
    if length == 1:
        assert max(distances) == 0
    else:
        assert stats.kstest(distances, stats.kstwobign.cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", ['type: "constant" value: 0.1', 'type: "bilinear"'])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 11, 16, 33])
def test_what_draws_nothing_has_its_distribution_exactly(text: str, width: int, dtype: Any) -> None:
    shape = (3, 2, width, width)
    values, theory = fill(text, shape, dtype), distribution_of(text, shape, dtype)
    assert kolmogorov_smirnov(values, theory) < 1e-13
    assert values.mean(dtype=np.float64) == pytest.approx(theory.mean, rel=1e-6)
    assert values.std(dtype=np.float64) == pytest.approx(theory.std, rel=1e-5, abs=1e-7)
    assert (values.min(), values.max()) == (theory.minimum, theory.maximum)


def test_sparse_gaussian() -> None:
    text = 'type: "gaussian" mean: 0.5 std: 2 sparse: 15'
    values, theory = fill(text, SHAPE).astype(np.float64), distribution_of(text, SHAPE)
    kept = values != 0
    p = 15 / 500
    assert abs(kept.mean() - p) < 4 * np.sqrt(p * (1 - p) / COUNT)
    assert abs(values.mean() - theory.mean) < 4 * theory.std / np.sqrt(COUNT)
    assert values.std() == pytest.approx(theory.std, rel=0.005)
    assert kolmogorov_smirnov(values, theory) < 2.2
    assert kolmogorov_smirnov(values[kept], distribution_of('type: "gaussian" mean: 0.5 std: 2', SHAPE)) < 2.2
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
    values, theory = fill(text, shape), distribution_of(text, shape)
    assert (values >= 0).all()
    assert np.abs(values.sum(axis=1, dtype=np.float64) - 1).max() < 1e-5
    assert values.mean(dtype=np.float64) == pytest.approx(theory.mean, rel=1e-6)
    assert values.std(dtype=np.float64) == pytest.approx(theory.std, rel=4 * np.sqrt(0.8 / 4 / COUNT) + 1e-5)
    assert kolmogorov_smirnov(values.ravel()[::7], theory) < 2.2
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert np.quantile(values, q) == pytest.approx(float(theory.quantile(q)), rel=0.003)
