"""Distributions against SciPy, against quadrature, and against themselves."""

from dataclasses import FrozenInstanceError
from itertools import pairwise
from math import inf, isnan, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from filler_server.fillers import Distribution
from filler_server.fillers.diagonal import Diagonal
from filler_server.fillers.distributions import (
    BilinearPattern,
    Constant,
    Gaussian,
    MaskedGaussian,
    RowNormalizedUniform,
    Uniform,
    reach,
)
from filler_server.fillers.sphere import SphereCoordinate
from filler_server.fillers.truncation import TruncatedGaussian
from tests.fillers.streams import distribution_of

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

floats = st.floats(-100, 100)
scales = st.floats(1e-3, 100)
gaussians = st.builds(Gaussian, floats, scales)
truncations = st.builds(
    lambda center, scale, at, width: TruncatedGaussian(
        center, scale, center + at * scale, center + (at + width) * scale
    ),
    floats,
    scales,
    st.floats(-6, 5),
    st.floats(0.05, 10),
)
continuous: st.SearchStrategy[Distribution] = st.one_of(
    st.builds(lambda low, width: Uniform(low, low + width), floats, scales),
    gaussians,
    truncations,
    st.builds(RowNormalizedUniform, st.one_of(st.integers(2, 40), st.integers(2, 10**6))),
)
distributions: st.SearchStrategy[Distribution] = st.one_of(
    continuous,
    st.builds(Constant, floats),
    st.builds(lambda value: Uniform(value, value), floats),
    st.builds(MaskedGaussian, gaussians, st.floats(0, 1)),
    st.builds(BilinearPattern, st.integers(1, 40), st.sampled_from([FLOAT32, FLOAT64])),
    st.just(RowNormalizedUniform(1)),
    st.builds(SphereCoordinate, st.integers(1, 3) | st.integers(1, 10**6), scales),
    st.builds(
        lambda value, places, rest: Diagonal(value, 0, 1, places, places + rest), floats, *[st.integers(1, 40)] * 2
    ),
)
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


def rounding(distribution: Distribution, x: Any) -> Any:
    """Return the probability within the rounding of x, which is much where the distribution is narrow."""
    spacing = np.spacing(np.abs(x), where=np.isfinite(x), out=np.zeros(np.shape(x)))
    return 1e-12 + 2 * spacing * distribution.density(x)


@given(continuous, probabilities)
@example(Uniform(64.0, 64.001), np.array([0.03125]))
@example(Gaussian(-100.0, 0.001), np.array([0.5]))
def test_the_quantile_inverts_the_cdf(distribution: Distribution, q: Any) -> None:
    x = distribution.quantile(q)
    assert (np.abs(distribution.cdf(x) - q) <= 1e-10 * q + rounding(distribution, x)).all()


@given(distributions, probabilities)
@example(Uniform(32.0304550062015, 32.0314550062015), np.array([0.5]))
def test_the_quantile_is_the_least_value_of_its_probability(distribution: Distribution, q: Any) -> None:
    x = distribution.quantile(q)
    below = distribution.cdf(np.nextafter(x, -inf))
    assert (distribution.cdf(x) >= q - rounding(distribution, x)).all()
    assert ((below <= q + rounding(distribution, x)) | (q == 0)).all()
    assert ((x >= distribution.minimum) & (x <= distribution.maximum)).all()


@given(distributions, st.lists(st.floats(-300, 300), min_size=2, max_size=50))
def test_the_cdf_ascends_from_0_to_1_within_the_bounds(distribution: Distribution, points: list[float]) -> None:
    x = np.sort(points)
    cdf = distribution.cdf(x)
    assert ((cdf >= 0) & (cdf <= 1 + 1e-15)).all()
    assert (np.diff(cdf) >= -1e-14).all()
    assert (cdf[x < distribution.minimum] == 0).all()
    assert (cdf[x >= distribution.maximum] == 1).all()
    assert (distribution.cdf(-inf), distribution.cdf(inf)) == (0, 1)
    assert ((distribution.density(x) == 0) | ((x >= distribution.minimum) & (x <= distribution.maximum))).all()
    assert ((distribution.mass(x) == 0) | ((x >= distribution.minimum) & (x <= distribution.maximum))).all()


INTEGRATED = [
    Uniform(-0.25, 0.75),
    Gaussian(2.0, 0.5),
    *(SphereCoordinate(n, 1.5) for n in (3, 4, 5, 30, 1000)),
    TruncatedGaussian(0.5, 2.0, -1.0, 4.0),
    TruncatedGaussian(-1.0, 0.5, 0.5, 3.0),
    TruncatedGaussian(1.0, 0.5, -3.0, 0.0),
    MaskedGaussian(Gaussian(0.5, 2.0), 0.3),
    MaskedGaussian(Gaussian(-3.0, 0.5), 0.9),
    *(RowNormalizedUniform(n) for n in (2, 3, 5, 12, 13, 14, 40, 1000)),
]


@pytest.mark.parametrize("distribution", INTEGRATED, ids=repr)
def test_the_density_integrates_to_the_cdf(distribution: Distribution) -> None:
    edges = distribution.quantile(np.linspace(1e-6, 1 - 1e-6, 12))
    for low, high in pairwise(edges):
        # Cut where rows have a corner of their density.
        corner = [1 / k for k in range(2, 42) if low < 1 / k < high]
        if isinstance(distribution, RowNormalizedUniform):
            corner += [1 / distribution.length] if low < 1 / distribution.length < high else []
        area, _ = integrate.quad(distribution.density, low, high, points=corner or None, epsabs=1e-12, epsrel=1e-11)
        jump = distribution.mass(0.0) if low < 0 <= high else 0.0
        assert area + jump == pytest.approx(distribution.cdf(high) - distribution.cdf(low), abs=2e-11)


@pytest.mark.parametrize("distribution", INTEGRATED, ids=repr)
def test_mean_and_std_are_those_of_the_density(distribution: Distribution) -> None:
    low, high = distribution.quantile([1e-15, 1 - 1e-15])
    points = sorted({float(distribution.quantile(q)) for q in (0.01, 0.1, 0.5, 0.9, 0.99, 0.9999)})

    def moment(power: int) -> float:
        edges = [low, *points, high]
        return sum(
            integrate.quad(lambda x: x**power * distribution.density(x), a, b, epsabs=1e-14, limit=400)[0]
            for a, b in pairwise(edges)
        )

    assert moment(0) + distribution.mass(0.0) == pytest.approx(1, abs=1e-10)
    assert moment(1) == pytest.approx(distribution.mean, rel=1e-9)
    assert sqrt(moment(2) - moment(1) ** 2) == pytest.approx(distribution.std, rel=1e-8)


def test_the_normal_cdf_is_that_of_scipy() -> None:
    x = np.concatenate([np.linspace(-74, 80, 10_001), [inf, -inf]])
    np.testing.assert_allclose(Gaussian(0.3, 2.0).cdf(x), stats.norm(0.3, 2).cdf(x), rtol=1e-12)
    np.testing.assert_allclose(Gaussian(0.3, 2.0).density(x), stats.norm(0.3, 2).pdf(x), rtol=1e-12, atol=1e-300)


def test_the_normal_quantile_is_that_of_scipy() -> None:
    q = np.concatenate([np.linspace(0, 1, 10_001), 10.0 ** -np.arange(1, 308), 1 - 2.0 ** -np.arange(1, 54)])
    np.testing.assert_allclose(Gaussian(0.0, 1.0).quantile(q), special.ndtri(q), rtol=2e-15)


@pytest.mark.parametrize(
    ("text", "shape", "mean", "std", "minimum", "maximum"),
    [
        ('type: "constant" value: 0.5', (3,), 0.5, 0.0, 0.5, 0.5),
        ('type: "uniform" min: -1 max: 3', (3,), 1.0, 4 / sqrt(12), -1.0, 3.0),
        ('type: "gaussian" mean: 2 std: 3', (3,), 2.0, 3.0, -inf, inf),
        ('type: "gaussian" std: 3 sparse: 1', (4, 9), 0.0, 1.5, -inf, inf),
        ('type: "gaussian" mean: 2 std: 3 sparse: 1', (4, 9), 0.5, sqrt(3), -inf, inf),
        ('type: "gaussian" mean: 2 sparse: 0', (4, 9), 0.0, 0.0, 0.0, 0.0),
        ('type: "msra"', (4, 50), 0.0, 0.2, -inf, inf),
        ('type: "xavier"', (4, 3, 2, 2), 0.0, sqrt(1 / 12), -0.5, 0.5),
        ('type: "positive_unitball"', (7, 1), 1.0, 0.0, 1.0, 1.0),
        ('type: "bilinear"', (7, 1, 4, 4), 0.25, sqrt((5 / 16) ** 2 - 1 / 16), 0.0625, 0.5625),
    ],
)
def test_what_a_distribution_knows(
    text: str, shape: tuple[int, ...], mean: float, std: float, minimum: float, maximum: float
) -> None:
    got = distribution_of(text, shape)
    assert got.mean == pytest.approx(mean, rel=1e-15)
    assert got.std == pytest.approx(std, rel=1e-15)
    assert (got.minimum, got.maximum) == (minimum, maximum)


def test_parameters_are_computed_in_the_dtype() -> None:
    for dtype in (np.float32, np.float64):
        assert distribution_of('type: "xavier"', (2, 7), dtype).maximum == float(np.sqrt(dtype(3) / dtype(7)))
        masked = distribution_of('type: "gaussian" sparse: 1', (3, 7), dtype)
        assert masked.mass(0.0) == 1 - float(dtype(1) / dtype(3))


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_constant_that_is_not_finite(value: float) -> None:
    constant = Constant(value)
    np.testing.assert_equal([constant.mean, constant.minimum, constant.maximum], [value] * 3)
    assert isnan(constant.std)
    assert not reach(constant) < inf


@given(distributions)
def test_shapes_of_results_are_those_of_arguments(distribution: Distribution) -> None:
    for function in (distribution.density, distribution.mass, distribution.cdf, distribution.quantile):
        assert isinstance(function(0.5), float)
        for shape in ((), (0,), (3,), (2, 0, 4), (2, 3)):
            result = function(np.full(shape, 0.5))
            assert (np.shape(result), np.asarray(result).dtype) == (shape, np.float64)
        assert function([0.5, 0.5]).shape == (2,)


@given(distributions)
def test_what_is_no_number_or_no_probability_gives_nan(distribution: Distribution) -> None:
    for function in (distribution.density, distribution.mass, distribution.cdf, distribution.quantile):
        assert isnan(function(nan))
    assert np.isnan(distribution.quantile([-0.1, 1.1, -inf, inf])).all()


@given(distributions)
def test_the_ends(distribution: Distribution) -> None:
    assert distribution.quantile([0.0, 1.0]).tolist() == [distribution.minimum, distribution.maximum]


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("width", [*range(1, 34), 64, 101])
def test_a_pattern_is_its_plane(width: int, dtype: Any) -> None:
    pattern = BilinearPattern(width, dtype)
    weights = pattern.weights()
    plane = np.multiply.outer(weights, weights).astype(np.float64)
    values, counts = np.unique(plane, return_counts=True)
    assert (pattern.minimum, pattern.maximum) == (values[0], values[-1])
    assert pattern.mean == pytest.approx(plane.mean(), rel=1e-6)
    assert pattern.std == pytest.approx(plane.std(), rel=1e-5, abs=1e-7)
    assert (pattern.mass(values) == counts / width**2).all()
    assert (pattern.cdf(values) == np.cumsum(counts) / width**2).all()
    assert (pattern.quantile(pattern.cdf(values)) == values).all()
    between = (values[1:] + values[:-1]) / 2
    assert (pattern.mass(between[~np.isin(between, values)]) == 0).all()


def test_a_wide_pattern_takes_no_memory_for_what_is_asked_of_a_plan() -> None:
    pattern = BilinearPattern(2**30, FLOAT32)
    assert (pattern.mean, pattern.minimum) == (0.25, pytest.approx(0, abs=1e-9))
    assert pattern.maximum == pytest.approx(1)
    assert pattern.std == pytest.approx(sqrt(1 / 9 - 1 / 16))


@pytest.mark.parametrize(
    ("distribution", "largest"),
    [
        (Constant(-3.0), 3.0),
        (Uniform(-7.0, 2.0), 7.0),
        (Gaussian(-1.0, 10.0), 67.0),
        (MaskedGaussian(Gaussian(0.0, 10.0), 0.0), 0.0),
        (RowNormalizedUniform(9), 1.0),
    ],
)
def test_reach(distribution: Distribution, largest: float) -> None:
    assert reach(distribution) == largest


def test_distributions_are_values() -> None:
    assert Uniform(0.0, 1.0) == Uniform(0.0, 1.0) != Uniform(0.0, 2.0)
    assert hash(BilinearPattern(4, FLOAT32)) == hash(BilinearPattern(4, FLOAT32))
    masked = MaskedGaussian(Gaussian(0.0, 1.0), 0.5)
    assert repr(masked) == "MaskedGaussian(normal=Gaussian(mean=0.0, std=1.0), kept=0.5)"
    with pytest.raises(FrozenInstanceError):
        Uniform(0.0, 1.0).low = 2.0  # type: ignore[misc]
