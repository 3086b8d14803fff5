import math

import numpy as np
import pytest
from scipy import stats

from filler_server.diagnostics.statistics.significance import binomial, holm, kolmogorov, two_sided


@pytest.mark.parametrize("z", [0.0, 0.5, -1.96, 3.0, -6.0])
def test_sums_without_skewness_are_normal(z: float) -> None:
    assert two_sided(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)


@pytest.mark.parametrize("degrees", [1, 5, 20, 1000])
@pytest.mark.parametrize("tail", [0.2, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("upper", [True, False])
def test_sums_with_skewness_are_those_of_chi_squared(degrees: int, tail: float, upper: bool) -> None:
    value = stats.chi2(degrees).isf(tail) if upper else stats.chi2(degrees).ppf(tail)
    z = (value - degrees) / math.sqrt(2 * degrees)
    found = two_sided(z, math.sqrt(8 / degrees)) / (2 * tail)
    # Of few values chance is given the benefit of doubt.
    assert 0.9 < found < (1.05 if degrees == 1000 else 3 if degrees == 20 else math.inf)


@pytest.mark.parametrize("count", [2, 5, 20, 300, 10**6])
@pytest.mark.parametrize("probability", [0.9, 0.3, 0.05, 1e-3, 1e-6])
def test_distances_are_as_probable_as_the_exact_distribution_says(count: int, probability: float) -> None:
    found = kolmogorov(float(stats.kstwo(count).isf(probability)), count) / probability
    assert 0.9 < found < (1.1 if count >= 300 else 2 if count == 20 else math.inf)


def test_distances_of_nothing_and_of_everything() -> None:
    assert kolmogorov(0.0, 10) == 1.0
    assert kolmogorov(1.0, 10**6) == 0.0


@pytest.mark.parametrize("count", [1, 10, 1000, 10**7])
@pytest.mark.parametrize("probability", [1e-6, 0.03, 0.5, 0.999])
@pytest.mark.parametrize("quantile", [1e-6, 0.2, 0.5, 0.99])
def test_binomial_tails(count: int, probability: float, quantile: float) -> None:
    theory = stats.binom(count, probability)
    successes = int(theory.ppf(quantile))
    expected = min(1.0, 2 * min(theory.cdf(successes), theory.sf(successes - 1)))
    assert binomial(successes, count, probability) == pytest.approx(expected, rel=1e-6)


def test_binomial_of_the_certain() -> None:
    assert (binomial(0, 9, 0.0), binomial(1, 9, 0.0), binomial(9, 9, 1.0), binomial(8, 9, 1.0)) == (1, 0, 1, 0)
    assert binomial(10**6, 10**6, 1e-3) == 0.0


def test_holm() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_keeps_the_level() -> None:
    random = np.random.default_rng(3)
    false = sum(min(holm(random.random(20).tolist())) <= 0.05 for _ in range(2000))
    assert 60 < false < 140
