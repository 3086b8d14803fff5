"""Shares of sums of uniform values against exact arithmetic."""

from fractions import Fraction
from math import comb, factorial, log, sqrt
from typing import Any

import numpy as np
import pytest

from filler_server.fillers import shares


def exact(n: int, x: float) -> tuple[Fraction, Fraction]:
    """The cdf and the density at 0 < x < 1, with the sums of Irwin and Hall as fractions."""
    m, share = n - 1, Fraction(x)
    a = (1 - share) / share
    terms = [((-1) ** k * comb(m, k), a - k) for k in range(m + 1) if a > k]
    below = sum((c * rest**m for c, rest in terms), Fraction(0)) / factorial(m)
    shortfall = sum((c * rest ** (m + 1) for c, rest in terms), Fraction(0)) / factorial(m + 1)
    return 1 - shortfall / a, (a * below - shortfall) / (1 - share) ** 2


@pytest.mark.parametrize("n", [2, 3, 4, 8, 12, 13, 14, 15, 20, 40, 100])
def test_cdf_and_density(n: int) -> None:
    x = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 31), np.linspace(0, 4 / n, 41)[1:], [1e-12, 1 - 1e-12]])
    x = x[x < 1]
    cdf, density = shares.cdf(n, x), shares.density(n, x)
    for point, probability, height in zip(x.tolist(), cdf.tolist(), density.tolist(), strict=True):
        want = exact(n, point)
        assert abs(Fraction(probability) - want[0]) < 1e-14
        assert abs(Fraction(height) - want[1]) < 1e-13 * n


def test_two() -> None:
    """u / (u + v) has the density (1 - x)^-2 / 2 up to 1 / 2, and x^-2 / 2 from there on."""
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(shares.density(2, x), 0.5 / np.maximum(x, 1 - x) ** 2, rtol=1e-14)


@pytest.mark.parametrize("n", [2, 3, 10, 13, 1000, 10**6, 10**12, 2**60])
def test_the_median_is_the_mean(n: int) -> None:
    assert shares.cdf(n, np.array(1 / n)) == pytest.approx(0.5, abs=1e-14)
    assert shares.quantile(n, np.array(0.5)) == pytest.approx(1 / n, rel=1e-15)


@pytest.mark.parametrize("n", [10**4, 10**7, 10**12, 2**60])
def test_long_rows_approach_uniform_values(n: int) -> None:
    x = np.linspace(0.01, 1.9, 50)
    np.testing.assert_allclose(shares.cdf(n, x / n), x / 2, atol=3 / sqrt(n))
    np.testing.assert_allclose(shares.density(n, x / n) / n, 0.5, atol=10 / sqrt(n))


@pytest.mark.parametrize("n", [10**4, 10**7, 10**12, 2**60])
def test_std_of_long_rows_approaches_the_limit(n: int) -> None:
    """To first order u1 / S has the coefficient of variation of u1, 1 / sqrt(3)."""
    assert shares.std(n) * n == pytest.approx(1 / sqrt(3), rel=3 / n + 1e-9)


def test_std_of_two() -> None:
    """E[(u / (u + v))^2] = 1 - ln 2."""
    assert shares.std(2) == pytest.approx(sqrt(0.75 - log(2)), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 12, 13, 14, 100, 10**5])
def test_against_simulated_sums(n: int) -> None:
    generator = np.random.default_rng(n)
    count = 2_000_000 // min(n, 100)
    first = generator.random(count)
    rest: Any = (
        generator.random((count, n - 1)).sum(axis=1)
        if n <= 100
        else generator.normal((n - 1) / 2, sqrt((n - 1) / 12), count)
    )
    values = np.sort(first / (first + rest))
    steps = np.arange(count + 1) / count
    theory = shares.cdf(n, values)
    distance = max(np.max(steps[1:] - theory), np.max(theory - steps[:-1]))
    assert distance * sqrt(count) < 2.2
    assert values.std() == pytest.approx(shares.std(n), rel=0.02)
