"""The philox stream as random numbers: against theory, at ten million values.

Bounds are those of a test that fails once in about 10^4 to 10^6 runs by chance; the seeds are fixed, so that it never
does. The reference of test_philox.py holds the bits; these hold the numbers that the bits mean.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import Runs

COUNT = 10_000_000
DTYPES = [np.float32, np.float64]
LAGS = [1, 2, 3, 4, 5, 7, 8, 16, 64, 1000, 1024]
KEYS = 200


def draw(
    kind: str, *params: float, seed: int = 20, name: str = "0", count: int = COUNT, dtype: Any = np.float32
) -> Any:
    out = np.empty(count, dtype)
    getattr(PhiloxStream(seed, name), kind)(out, Runs.contiguous(0, count), *params)
    return out


def correlation(x: Any, y: Any) -> float:
    """Pearson's, in standard deviations of that of independent values."""
    return float(np.corrcoef(x, y)[0, 1] * np.sqrt(len(x)))


def kolmogorov_smirnov(values: Any, cdf: Any) -> float:
    """The statistic D times sqrt(n); P(> 2.2) is 1.3e-4."""
    below = cdf(np.sort(values).astype(np.float64))
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.max(below - steps[:-1]), np.max(steps[1:] - below)) * np.sqrt(len(values)))


@pytest.fixture(scope="module", params=DTYPES)
def normals(request: pytest.FixtureRequest) -> NDArray[np.float64]:
    """In float64, whatever the stream computed them in."""
    values: NDArray[np.float64] = draw("gaussian", 0.0, 1.0, dtype=request.param).astype(np.float64)
    return values


@pytest.fixture(scope="module", params=DTYPES)
def uniforms(request: pytest.FixtureRequest) -> NDArray[np.float64]:
    values: NDArray[np.float64] = draw("uniform", 0.0, 1.0, dtype=request.param).astype(np.float64)
    return values


def test_moments_of_normals(normals: Any) -> None:
    n = len(normals)
    square = normals * normals
    assert abs(normals.mean()) < 4 / np.sqrt(n)
    assert abs(square.mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((square * normals).mean()) < 4 * np.sqrt(15 / n)
    assert abs((square * square).mean() - 3) < 4 * np.sqrt(96 / n)


def test_distribution_of_normals(normals: Any) -> None:
    assert kolmogorov_smirnov(normals, stats.norm.cdf) < 2.2


@pytest.mark.parametrize("half", [0, 1])
def test_distribution_of_cosines_and_of_sines(half: int) -> None:
    assert kolmogorov_smirnov(draw("gaussian", 0.0, 1.0, seed=21)[half::2], stats.norm.cdf) < 2.2


@pytest.mark.parametrize("sigma", [3.0, 4.0, 4.5, 5.0])
def test_tails_of_normals(normals: Any, sigma: float) -> None:
    expected = len(normals) * stats.norm.sf(sigma)
    for found in (np.count_nonzero(normals > sigma), np.count_nonzero(normals < -sigma)):
        assert stats.poisson.sf(found - 1, expected) > 1e-4
        assert stats.poisson.cdf(found, expected) > 1e-4


def test_center_of_normals(normals: Any) -> None:
    for width in (1e-1, 1e-2, 1e-3, 1e-4):
        expected = len(normals) * (2 * stats.norm.cdf(width) - 1)
        found = np.count_nonzero(np.abs(normals) < width)
        assert abs(found - expected) < 4.5 * np.sqrt(expected)
    assert np.count_nonzero(normals == 0) <= 4


def test_pairs_of_normals_have_no_direction() -> None:
    x, y = draw("gaussian", 0.0, 1.0, seed=22).reshape(-1, 2).T.astype(np.float64)
    turns = np.arctan2(y, x) / (2 * np.pi) + 0.5
    assert kolmogorov_smirnov(turns, lambda u: u) < 2.2
    assert kolmogorov_smirnov(np.exp(-(x * x + y * y) / 2), lambda u: u) < 2.2
    assert abs(correlation(turns, x * x + y * y)) < 4.5


def test_neighbors_of_normals_are_independent(normals: Any) -> None:
    square = normals * normals
    for lag in LAGS:
        assert abs(correlation(normals[:-lag], normals[lag:])) < 4.5, lag
        assert abs(correlation(square[:-lag], square[lag:])) < 4.5, lag


def test_moments_of_uniforms(uniforms: Any) -> None:
    n = len(uniforms)
    assert abs(uniforms.mean() - 1 / 2) < 4 * np.sqrt(1 / 12 / n)
    assert abs(((uniforms - 1 / 2) ** 2).mean() - 1 / 12) < 4 * np.sqrt(1 / 180 / n)


def test_distribution_of_uniforms(uniforms: Any) -> None:
    assert kolmogorov_smirnov(uniforms, lambda u: u) < 2.2
    cells = np.bincount((uniforms * 1000).astype(np.int64).clip(0, 999), minlength=1000)
    assert stats.chisquare(cells).pvalue > 1e-4
    pairs = (uniforms[0::2] * 32).astype(np.int64).clip(0, 31) * 32 + (uniforms[1::2] * 32).astype(np.int64).clip(0, 31)
    assert stats.chisquare(np.bincount(pairs, minlength=1024)).pvalue > 1e-4


def test_neighbors_of_uniforms_are_independent(uniforms: Any) -> None:
    for lag in LAGS:
        assert abs(correlation(uniforms[:-lag], uniforms[lag:])) < 4.5, lag


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_bernoulli(p: float) -> None:
    mask = draw("bernoulli", p, dtype=np.bool_)
    assert abs(mask.mean() - p) < 4 * np.sqrt(p * (1 - p) / len(mask))
    for lag in LAGS:
        assert abs(correlation(mask[:-lag], mask[lag:])) < 4.5, lag


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, "a"), (1, "b")), ((1, "a"), (2, "a")), ((1, "a"), (1 << 32 | 1, "a")), ((1, "ip1/0"), (1, "ip1/1"))],
    ids=["names", "seeds", "upper half of the seed", "blobs of a layer"],
)
@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_streams_are_independent(one: tuple[int, str], other: tuple[int, str], kind: str) -> None:
    x, y = (draw(kind, 0.0, 1.0, seed=seed, name=name, count=2_000_000) for seed, name in (one, other))
    for lag in (0, 1, 2, 3, 4):
        assert abs(correlation(x[: len(x) - lag], y[lag:])) < 4.5
        assert abs(correlation(y[: len(x) - lag], x[lag:])) < 4.5


def test_purposes_are_independent() -> None:
    mask = draw("bernoulli", 0.5, dtype=np.bool_)
    values = draw("uniform", 0.0, 1.0)
    assert abs(correlation(mask, values)) < 4.5
    single, double = (draw("uniform", 0.0, 1.0, dtype=dtype).astype(np.float64) for dtype in DTYPES)
    assert abs(correlation(double - single, values)) < 4.5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vary", ["seed", "name"])
def test_many_keys(vary: str, dtype: Any) -> None:
    """Mean, variance and fourth moment of each key's stream, and how these are spread over keys."""
    n = 50_000
    scores = []
    for key in range(KEYS):
        stream = {"seed": key * 0x9E3779B97F4A7C15 % 2**64} if vary == "seed" else {"name": f"layer{key}/0"}
        x = draw("gaussian", 0.0, 1.0, count=n, dtype=dtype, **stream).astype(np.float64)  # type: ignore[arg-type]
        square = x * x
        scores.append(
            [
                x.mean() * np.sqrt(n),
                (square.mean() - 1) * np.sqrt(n / 2),
                ((square * square).mean() - 3) * np.sqrt(n / 96),
                correlation(x[0::2], x[1::2]),
            ]
        )
    for column in np.array(scores).T:
        assert np.abs(column).max() < 5
        assert abs(column.mean()) < 4 / np.sqrt(KEYS)
        assert 1e-4 < stats.chi2.cdf((column**2).sum(), KEYS) < 1 - 1e-4
