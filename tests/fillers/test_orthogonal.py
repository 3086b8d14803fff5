import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caffe_filler.errors import FillerParameterError, ShapeError
from filler_server import compiled
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import orthonormal, orthonormal_kernels
from filler_server.fillers.sphere import SphereCoordinate
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import Runs
from tests.fillers.streams import STREAM, distribution_of, fill, filler_of, prepared
from tests.fillers.test_statistics import kolmogorov_smirnov
from tests.regions import regions
from tests.rng.philox_reference import fma

ROOT = Path(__file__).resolve().parents[2]
TEXT = 'type: "orthogonal"'
DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (1, 9), (9, 1), (7, 7), (40, 40), (40, 71), (71, 40), (5, 3, 4), (70, 2, 6, 6), (100, 100)]


def product(x: Any, y: Any) -> Any:
    """The sum of products in eight lanes."""
    lanes = np.zeros(8)
    for k in range(0, x.size, 8):
        lanes = fma(x[k : k + 8], y[k : k + 8], lanes)
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))


def by_definition(shape: tuple[int, ...]) -> Any:
    """The matrix in float64 as the text of `orthonormal` has it, vector by vector."""
    normal = fill('type: "gaussian"', shape, np.float64).reshape(shape[0], -1)
    is_tall = normal.shape[0] > normal.shape[1]
    start = normal.T if is_tall else normal
    vectors = np.zeros((start.shape[0], -(-start.shape[1] // 8) * 8))
    vectors[:, : start.shape[1]] = start
    for first in range(0, len(vectors), 32):
        block = range(first, min(first + 32, len(vectors)))
        for _ in range(2):
            for group in range(0, first, 8):
                for row in block:
                    products = [product(vectors[group + i], vectors[row]) for i in range(8)]
                    for i in range(8):
                        vectors[row] = fma(vectors[group + i], -products[i], vectors[row])
            for row in block:
                for earlier in range(first, row):
                    vectors[row] = fma(vectors[earlier], -product(vectors[earlier], vectors[row]), vectors[row])
                vectors[row] /= np.sqrt(product(vectors[row], vectors[row]))
    found = vectors[:, : start.shape[1]]
    return np.ascontiguousarray(found.T if is_tall else found).reshape(shape)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (7, 7), (40, 71), (71, 40), (34, 2, 6)])
def test_values_are_those_of_the_definition(shape: tuple[int, ...]) -> None:
    want = by_definition(shape)
    assert fill(TEXT, shape, np.float64).tobytes() == want.tobytes()
    assert fill(TEXT, shape, np.float32).tobytes() == want.astype(np.float32).tobytes()
    assert fill(f"{TEXT} value: 0.3", shape, np.float64).tobytes() == (want * float(np.float32(0.3))).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_or_columns_are_orthonormal(shape: tuple[int, ...], dtype: Any) -> None:
    matrix = fill(f"{TEXT} value: 2", shape, dtype).astype(np.float64).reshape(shape[0], -1) / 2
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    assert np.abs(gram - np.eye(len(gram))).max() < (3e-7 if dtype is np.float32 else 3e-15)


def test_a_nearly_singular_matrix_is_made_orthonormal() -> None:
    class Near(PhiloxStream):
        """Vectors that differ by 1e-6."""

        def gaussian(self, out: Any, runs: Runs, mean: float, std: float) -> None:
            super().gaussian(out, runs, mean, std)
            rows = out.reshape(-1, 100)
            rows[1:] = rows[0] + 1e-6 * rows[1:]

    matrix = fill(TEXT, (60, 100), np.float64, Near(1, "w"))
    assert np.abs(matrix @ matrix.T - np.eye(60)).max() < 1e-14


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([(3, 4), (9, 2), (40, 50), (50, 3, 4)]), st.sampled_from(DTYPES))
def test_any_region_is_a_part_of_the_whole(data: Any, shape: tuple[int, ...], dtype: Any) -> None:
    region = data.draw(regions(shape, smallest=1))
    window = tuple(slice(s, s + n) for s, n in zip(region.starts, region.shape, strict=True))
    want = fill(TEXT, shape, dtype).reshape(region.dims)[window].ravel()
    fill_runs, got = prepared(TEXT, shape, dtype), np.empty(region.count, dtype)
    edges = sorted({0, region.count, *data.draw(st.lists(st.integers(0, region.count), max_size=3))})
    for begin, end in data.draw(st.permutations(list(pairwise(edges)))):
        fill_runs(got[begin:end], region.runs(begin, end - begin), STREAM)
    assert got.tobytes() == want.tobytes()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make threads share small work, in many steps."""
    monkeypatch.setattr(compiled, "_SERIAL", 16)
    monkeypatch.setattr(orthonormal, "_STEP", 1)
    monkeypatch.setattr(orthonormal, "_DRAWN", 64)
    return


@pytest.mark.parametrize("shape", SHAPES)
def test_neither_threads_nor_steps_change_a_bit(shape: tuple[int, ...], request: pytest.FixtureRequest) -> None:
    want = fill(TEXT, shape, np.float64)
    request.getfixturevalue("few")
    assert fill(TEXT, shape, np.float64).tobytes() == want.tobytes()


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (12, 12), (1, 2)])
def test_the_distribution_of_one_entry(shape: tuple[int, int]) -> None:
    """One of each matrix, since those of one matrix are not independent."""
    theory = distribution_of(f"{TEXT} value: 1.5", shape)
    values = np.array([fill(f"{TEXT} value: 1.5", shape, np.float64, PhiloxStream(s, "w"))[0, 1] for s in range(2000)])
    assert abs(values.mean()) < 4 * theory.std / sqrt(values.size)
    assert values.std() == pytest.approx(theory.std, rel=0.07)
    assert kolmogorov_smirnov(values, theory) < 2.2


def test_determinants_have_either_sign_as_often() -> None:
    signs = [np.linalg.det(fill(TEXT, (5, 5), np.float64, PhiloxStream(seed, "w"))) for seed in range(1000)]
    assert np.abs(np.abs(signs) - 1).max() < 1e-14
    assert abs(np.sum(signs)) < 4 * sqrt(len(signs))


@pytest.mark.parametrize("length", [2, 3, 4, 10, 1000, 10**6])
def test_the_distribution_is_that_of_a_coordinate_on_a_sphere(length: int) -> None:
    ours, theirs = SphereCoordinate(length, 2.0), stats.beta((length - 1) / 2, (length - 1) / 2, loc=-2, scale=4)
    q = np.linspace(0.01, 0.99, 51)
    x = ours.quantile(q)
    np.testing.assert_allclose(theirs.cdf(x), q, rtol=1e-9)
    np.testing.assert_allclose(ours.cdf(x), q, rtol=1e-12)
    np.testing.assert_allclose(ours.density(x), theirs.pdf(x), rtol=1e-7)
    assert ours.std == pytest.approx(theirs.std())


def blob(region: Region, shape: tuple[int, ...]) -> FilledBlob:
    return FilledBlob("w", filler_of(TEXT), STREAM, region, np.dtype(np.float32), shape=shape)


def test_the_whole_is_computed_once_for_a_reader_and_kept_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    usual = orthonormal_kernels.orthonormalize
    monkeypatch.setattr(
        orthonormal_kernels, "orthonormalize", lambda v, rows: (computed.append(rows[0]), usual(v, rows))
    )
    tensor = blob(Region.whole((20, 30)), (20, 30))
    for _ in range(2):
        computed.clear()
        for start in range(0, 600, 50):
            tensor.read(start, np.empty(50, np.float32))
        assert computed == [0, 0]
        assert tensor._fill.__self__._kept is None  # type: ignore[attr-defined]
    assert tensor.over(STREAM)._fill is not tensor._fill


def test_it_costs_the_shorter_side_times_its_values() -> None:
    assert blob(Region.flat((20, 30), 0, 1), (20, 30)).sequential == 600 * 2048
    assert blob(Region.flat((5000, 3000), 0, 1), (5000, 3000)).sequential == 5000 * 3000**2
    assert blob(Region.flat((20, 30), 0, 0), (20, 30)).sequential == 0


@pytest.mark.parametrize("shape", [(), (5,)])
def test_it_needs_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"two axes or more\. Received: shape="):
        filler_of(TEXT).check(shape)


@pytest.mark.parametrize(
    ("params", "field"), [("value: 0", "value"), ("value: -1", "value"), ("value: nan", "value"), ("std: 2", "std")]
)
def test_parameters_that_make_no_filler_are_refused(params: str, field: str) -> None:
    with pytest.raises(FillerParameterError, match="Received: ") as caught:
        filler_of(f"{TEXT} {params}")
    assert caught.value.field == field


def digests() -> list[str]:
    """The first digits of the SHA-256 of some matrices."""
    return [
        hashlib.sha256(fill(TEXT, shape, dtype).astype(order).tobytes()).hexdigest()[:16]
        for shape in ((40, 71), (71, 40), (100, 100))
        for dtype, order in ((np.float32, "<f4"), (np.float64, "<f8"))
    ]


FROZEN = [
    "8105d1b98c28d8ba",
    "d9e2bc656c9ce2ce",
    "fc90bc06a3fa6207",
    "d65f9056d475ad13",
    "96dbfef9285d0208",
    "1f70dce9e244b1b0",
]


def test_values_are_the_frozen_ones() -> None:
    assert digests() == FROZEN


def test_values_do_not_depend_on_the_cpu() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.fillers.test_orthogonal import digests; print(digests())"],
        env={**os.environ, "NUMBA_CPU_NAME": "generic"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(FROZEN)
