"""Properties common to the fillers: parameters, shapes, regions, bounds; and the short ones' own formulas."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import inf, nan, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.errors import FillerParameterError, ShapeError
from filler_server.fillers import Filler, registered
from filler_server.rng.stream import Runs
from tests.fillers.streams import STREAM, GivenStream, distribution_of, fill, filler_of, prepared
from tests.regions import regions

DTYPES = [np.float32, np.float64]
FILLERS = [
    'type: "constant" value: 0.1',
    'type: "uniform" min: -0.2 max: 0.7',
    'type: "gaussian" mean: 0.5 std: 0.01',
    'type: "gaussian" sparse: 1',
    'type: "positive_unitball"',
    'type: "xavier" variance_norm: AVERAGE',
    'type: "msra" variance_norm: FAN_OUT',
    'type: "bilinear"',
    'type: "truncated_gaussian" mean: 0.5 std: 0.25 min: 0.25 max: 2',
    'type: "variance_scaling_uniform" value: 0.5',
    'type: "variance_scaling_gaussian" value: 0.5 variance_norm: AVERAGE',
    'type: "variance_scaling_truncated" variance_norm: FAN_OUT',
    'type: "dirac" value: 3',
    'type: "orthogonal" value: 2',
]
square_shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 7)).map(lambda s: (*s, s[2]))


@settings(deadline=None)
@given(st.data(), st.sampled_from(FILLERS), square_shapes, st.sampled_from(DTYPES))
def test_a_region_holds_the_values_of_the_blob(data: Any, text: str, shape: tuple[int, ...], dtype: Any) -> None:
    region = data.draw(regions(shape, smallest=1))
    window = tuple(slice(s, s + n) for s, n in zip(region.starts, region.shape, strict=True))
    want = fill(text, shape, dtype).reshape(region.dims)[window].ravel()
    fill_runs, got = prepared(text, shape, dtype), np.empty(region.count, dtype)
    edges = sorted({0, region.count, *data.draw(st.lists(st.integers(0, region.count), max_size=3))})
    pieces = list(pairwise(edges))
    for begin, end in data.draw(st.permutations(pieces)):
        fill_runs(got[begin:end], region.runs(begin, end - begin), STREAM)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("text", FILLERS)
def test_threads_may_share_what_fills(text: str) -> None:
    shape = (8, 16, 64, 64)
    want = fill(text, shape)
    fill_runs, runs = prepared(text, shape), Runs.contiguous(0, want.size)

    def filled(_: int) -> bytes:
        out = np.empty(want.size, np.float32)
        fill_runs(out, runs, STREAM)
        return out.tobytes()

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(filled, range(16)):
            assert got == want.tobytes()


@pytest.mark.parametrize("name", [name for name in registered() if name != "gaussian"])
@pytest.mark.parametrize("sparse", [0, 2, -2])
def test_sparse_is_refused_by_all_but_gaussian(name: str, sparse: int) -> None:
    with pytest.raises(FillerParameterError, match=f"Received: sparse={sparse}") as caught:
        filler_of(f'type: "{name}" sparse: {sparse}')
    assert caught.value.field == "sparse"


@pytest.mark.parametrize(
    ("params", "field", "received"),
    [
        ('type: "gaussian" std: 0', "std", "std=0.0"),
        ('type: "gaussian" std: -1', "std", "std=-1.0"),
        ('type: "gaussian" std: nan', "std", "std=nan"),
        ('type: "gaussian" std: inf', "std", "std=inf"),
        ('type: "gaussian" std: 1e39', "std", "std=inf"),
        ('type: "gaussian" std: 1e-60', "std", "std=0.0"),
        ('type: "gaussian" mean: nan', "mean", "mean=nan"),
        ('type: "gaussian" mean: -inf', "mean", "mean=-inf"),
        ('type: "gaussian" sparse: -2', "sparse", "sparse=-2"),
        ('type: "uniform" min: 1 max: 0', "min", "min=1.0, max=0.0"),
        ('type: "uniform" min: 2', "min", "min=2.0, max=1.0"),
        ('type: "uniform" min: nan', "min", "min=nan"),
        ('type: "uniform" max: nan', "max", "max=nan"),
        ('type: "uniform" max: inf', "max", "max=inf"),
        ('type: "uniform" min: -inf', "min", "min=-inf"),
    ],
)
def test_parameters_that_make_no_filler_are_refused(params: str, field: str, received: str) -> None:
    with pytest.raises(FillerParameterError) as caught:
        filler_of(params)
    assert caught.value.field == field
    assert str(caught.value).endswith(f"Received: {received}")


@pytest.mark.parametrize("name", registered())
@pytest.mark.parametrize(
    "shape", [(0,), (3, 0), (0, 3), (-1, 3), (1, 1, 0, 0), (0, 1, 4, 4), (2, 3, -4, -4), (1,) * 33, (2**30, 2**31)]
)
def test_shapes_that_no_blob_has_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="Received: "):
        filler_of(f'type: "{name}"').check(shape)


def test_dimensions_are_integers() -> None:
    shape: Any = (2.5, 3)
    with pytest.raises(ShapeError, match="Received: shape="):
        filler_of('type: "constant"').check(shape)


@pytest.mark.parametrize("name", ["constant", "uniform", "gaussian"])
def test_a_scalar_can_be_filled(name: str) -> None:
    assert fill(f'type: "{name}"', ()).shape == ()


@pytest.mark.parametrize("name", ["xavier", "msra", "positive_unitball", "bilinear", "variance_scaling_truncated"])
@pytest.mark.parametrize("norm", ["", "variance_norm: AVERAGE"])
def test_a_scalar_is_refused_where_axes_are_needed(name: str, norm: str) -> None:
    with pytest.raises(ShapeError, match=r"Received: shape=\[\]"):
        filler_of(f'type: "{name}" {norm}').check(())


def test_the_largest_blobs_are_accepted() -> None:
    for shape in ((65536, 65536), (1,) * 32, (2**30, 2**30 - 1)):
        for name in ("constant", "uniform", "gaussian", "xavier", "msra", "positive_unitball"):
            filler_of(f'type: "{name}"').check(shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e38, 1e-42, inf, -inf, nan, -0.0])
def test_constant(value: float, dtype: Any) -> None:
    values = fill(f'type: "constant" value: {value}', (3, 5), dtype)
    assert values.tobytes() == np.full((3, 5), np.float32(value), dtype).tobytes()


def test_parameters_are_floats_that_float64_only_widens() -> None:
    random = GivenStream(np.zeros(1))
    fill('type: "uniform" min: -0.1 max: 0.3', (1,), np.float64, random)
    fill('type: "gaussian" mean: 0.1 std: 0.3', (1,), np.float64, random)
    assert random.calls == [
        ("uniform", float(np.float32(-0.1)), float(np.float32(0.3))),
        ("gaussian", float(np.float32(0.1)), float(np.float32(0.3))),
    ]


@pytest.mark.parametrize(
    ("shape", "norm", "single", "double"),
    [
        ((20, 1, 5, 5), "FAN_IN", "0x1.62b958p-2", "0x1.62b9586ad0a22p-2"),
        ((64, 3, 7, 7), "AVERAGE", "0x1.5e3616p-5", "0x1.5e36164cd9c64p-5"),
        ((11,), "FAN_OUT", "0x1.0b621ep-1", "0x1.0b621e9bc3addp-1"),
    ],
)
def test_xavier_and_msra_compute_their_scale_in_the_type_of_the_blob(
    shape: tuple[int, ...], norm: str, single: str, double: str
) -> None:
    for dtype in DTYPES:
        n = {"FAN_IN": 25, "AVERAGE": (147 + 64 * 49) / 2, "FAN_OUT": 11}[norm]
        random = GivenStream(np.zeros(prod(shape)))
        fill(f'type: "xavier" variance_norm: {norm}', shape, dtype, random)
        fill(f'type: "msra" variance_norm: {norm}', shape, dtype, random)
        (_, low, high), (_, mean, std) = random.calls
        assert (low, high) == (-high, float(np.sqrt(dtype(3) / dtype(n))))
        assert (mean, std) == (0.0, float(np.sqrt(dtype(2) / dtype(n))))
        assert high == float.fromhex(single if dtype is np.float32 else double)


def test_sparse_keeps_the_sign_of_what_it_removes() -> None:
    values = np.array([1.5, -1.5, 2.5, -2.5], np.float32)
    random = GivenStream(values, [True, True, False, False])
    got = fill('type: "gaussian" sparse: 1', (4, 1), np.float32, random)
    assert got.ravel().tobytes() == np.array([1.5, -1.5, 0.0, -0.0], np.float32).tobytes()
    assert [call[0] for call in random.calls] == ["gaussian", "bernoulli"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_keeps_a_share_computed_in_the_type_of_the_blob(dtype: Any) -> None:
    random = GivenStream(np.zeros(3), np.zeros(3))
    fill('type: "gaussian" sparse: 1', (3, 1), dtype, random)
    assert random.calls[1] == ("bernoulli", float(dtype(1) / dtype(3)))


def test_sparse_0_removes_all_and_sparse_shape_0_nothing() -> None:
    dense = fill('type: "gaussian"', (40, 50))
    nothing = fill('type: "gaussian" sparse: 0', (40, 50))
    assert (nothing == 0).all()
    assert (np.signbit(nothing) == np.signbit(dense)).all()
    assert fill('type: "gaussian" sparse: 40', (40, 50)).tobytes() == dense.tobytes()


def test_sparse_only_masks() -> None:
    dense, masked = fill('type: "gaussian"', (100, 500)), fill('type: "gaussian" sparse: 15', (100, 500))
    kept = masked != 0
    assert (masked[kept] == dense[kept]).all()
    assert abs(kept.mean() - 0.15) < 0.01


def test_sparse_must_fit_the_shape() -> None:
    with pytest.raises(FillerParameterError, match=r"Received: sparse=5, shape=\[4, 5\]") as caught:
        filler_of('type: "gaussian" sparse: 5').check((4, 5))
    assert caught.value.field == "sparse"
    with pytest.raises(ShapeError, match=r"sparse .* Received: shape=\[\]"):
        filler_of('type: "gaussian" sparse: 1').check(())


@pytest.mark.parametrize("text", FILLERS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 3, 3), (3, 2, 5, 5), (7, 3, 11, 11), (2, 2, 200, 200)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_distribution_bounds_every_value(text: str, shape: tuple[int, ...], dtype: Any) -> None:
    distribution, values = distribution_of(text, shape, dtype), fill(text, shape, dtype)
    assert distribution.minimum <= values.min()
    assert values.max() <= distribution.maximum


@pytest.mark.parametrize("text", FILLERS)
def test_what_a_filler_says_of_its_draws_holds(text: str) -> None:
    random = GivenStream(np.ones(200), np.ones(200))
    fill(text, (4, 2, 5, 5), random=random)
    assert bool(random.calls) == filler_of(text).draws


@pytest.mark.parametrize("text", FILLERS)
def test_a_value_costs_its_row_where_the_filler_says_so(text: str) -> None:
    random = GivenStream(np.ones(200), np.ones(200))
    prepared(text, (4, 2, 5, 5))(np.empty(1, np.float32), Runs.contiguous(70, 1), random)
    filler = filler_of(text)
    assert (random.drawn > 2) == (filler.sums_rows or filler.whole) == (filler.cost((4, 2, 5, 5)) > 0)


@pytest.mark.parametrize("filler", registered().values())
def test_samples_are_of_their_type(filler: type[Filler]) -> None:
    assert {param.type for param in filler.samples()} == {filler.type}
