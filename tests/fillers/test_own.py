"""The fillers that Caffe does not have: definitions, parameters, refusals, frozen values."""

import hashlib
from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from caffe_filler.errors import FillerParameterError, ShapeError, UnknownFiller
from caffe_filler.filler_types import OWN_FILLERS
from filler_client import FillerClient
from filler_server.fillers.truncation import STD_WITHIN_2, TruncatedGaussian
from tests.fillers.streams import GivenStream, distribution_of, fill, filler_of
from tests.fillers.test_statistics import kolmogorov_smirnov

DTYPES = [np.float32, np.float64]
RANDOM = [
    'type: "truncated_gaussian"',
    'type: "truncated_gaussian" mean: 1 std: 0.5 min: 1.5 max: inf',
    'type: "variance_scaling_uniform" value: 2',
    'type: "variance_scaling_gaussian" variance_norm: AVERAGE',
    'type: "variance_scaling_truncated" value: 2',
]
SHAPE = (300, 20, 5, 5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", RANDOM)
def test_values_have_their_distribution(text: str, dtype: Any) -> None:
    values, theory = fill(text, SHAPE, dtype).astype(np.float64), distribution_of(text, SHAPE)
    assert abs(values.mean() - theory.mean) < 4 * theory.std / sqrt(values.size)
    assert values.std() == pytest.approx(theory.std, rel=4 * sqrt(2 / values.size))
    assert kolmogorov_smirnov(values, theory) < 2.2


@pytest.mark.parametrize(
    ("center", "scale", "low", "high"),
    [(0, 1, -2, 2), (1, 0.5, 0, 9), (0, 1, 4, 5), (0, 1, -inf, 1), (0, 1, 6, inf), (3, 2, -inf, inf), (0, 1, 1, 1.001)],
)
def test_the_truncated_distribution_is_that_of_scipy(center: float, scale: float, low: float, high: float) -> None:
    ours = TruncatedGaussian(center, scale, low, high)
    theirs = stats.truncnorm((low - center) / scale, (high - center) / scale, center, scale)
    q = np.linspace(0.001, 0.999, 101)
    x = theirs.ppf(q)
    np.testing.assert_allclose(ours.quantile(q), x, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ours.cdf(x), q, rtol=1e-9)
    np.testing.assert_allclose(ours.density(x), theirs.pdf(x), rtol=1e-9)
    assert ours.mean == pytest.approx(theirs.mean(), rel=1e-9, abs=1e-12)
    # SciPy's is a difference of large numbers where the bounds are close.
    assert ours.std == pytest.approx(theirs.std(), rel=1e-5)


def test_the_correction_is_the_std_within_two() -> None:
    assert TruncatedGaussian(0.0, 1.0, -2.0, 2.0).std == pytest.approx(STD_WITHIN_2, rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", ["FAN_IN", "FAN_OUT", "AVERAGE"])
def test_caffes_own_are_cases_of_variance_scaling(norm: str, dtype: Any) -> None:
    norm, shape = f"variance_norm: {norm}", (20, 7, 3, 3)
    xavier, msra = fill(f'type: "xavier" {norm}', shape, dtype), fill(f'type: "msra" {norm}', shape, dtype)
    assert fill(f'type: "variance_scaling_uniform" {norm}', shape, dtype).tobytes() == xavier.tobytes()
    assert fill(f'type: "variance_scaling_gaussian" value: 2 {norm}', shape, dtype).tobytes() == msra.tobytes()


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "truncated"])
@pytest.mark.parametrize("norm", ["FAN_IN", "FAN_OUT", "AVERAGE"])
def test_the_variance_is_scale_over_n(kind: str, norm: str) -> None:
    n = {"FAN_IN": 7 * 9, "FAN_OUT": 20 * 9, "AVERAGE": (7 * 9 + 20 * 9) / 2}[norm]
    theory = distribution_of(f'type: "variance_scaling_{kind}" value: 0.75 variance_norm: {norm}', (20, 7, 3, 3))
    assert (theory.mean, theory.std) == (pytest.approx(0, abs=1e-16), pytest.approx(sqrt(0.75 / n), rel=1e-12))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (4, 4), (1, 7)])
def test_identity(shape: tuple[int, int]) -> None:
    assert (fill('type: "identity"', shape) == np.eye(*shape)).all()
    values, theory = fill('type: "identity" value: -2', shape), distribution_of('type: "identity" value: -2', shape)
    assert (values == -2 * np.eye(*shape)).all()
    assert (values.mean(), values.std()) == (pytest.approx(theory.mean), pytest.approx(theory.std))
    assert (values.min(), values.max()) == (theory.minimum, theory.maximum)
    assert kolmogorov_smirnov(values, theory) < 1e-12


@pytest.mark.parametrize("shape", [(3, 5, 3), (5, 3, 4, 5), (2, 2, 1, 2, 3), (4, 4, 3, 3)])
def test_dirac(shape: tuple[int, ...]) -> None:
    want = np.zeros(shape)
    for channel in range(min(shape[:2])):
        want[(channel, channel, *(dim // 2 for dim in shape[2:]))] = 1
    assert (fill('type: "dirac"', shape) == want).all()


@pytest.mark.parametrize(
    ("text", "shape", "received"),
    [
        ('type: "identity"', (3,), r"\[3\]"),
        ('type: "identity"', (3, 3, 1, 1), r"'dirac' is for the weights of convolutions.*\[3, 3, 1, 1\]"),
        ('type: "dirac"', (3, 3), r"'identity' is for matrices.*\[3, 3\]"),
        ('type: "variance_scaling_truncated"', (), r"\[\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(text: str, shape: tuple[int, ...], received: str) -> None:
    with pytest.raises(ShapeError, match=received):
        filler_of(text).check(shape)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ('type: "truncated_gaussian" std: 0', "std"),
        ('type: "truncated_gaussian" std: nan', "std"),
        ('type: "truncated_gaussian" mean: inf', "mean"),
        ('type: "truncated_gaussian" min: nan', "min"),
        ('type: "truncated_gaussian" min: 1 max: 1', "min"),
        ('type: "truncated_gaussian" min: 9 max: 10', "min"),
        ('type: "truncated_gaussian" min: -10 max: -9', "max"),
        ('type: "truncated_gaussian" min: 1 max: 1.0000001', "max"),
        ('type: "truncated_gaussian" value: 3', "value"),
        ('type: "truncated_gaussian" variance_norm: AVERAGE', "variance_norm"),
        ('type: "variance_scaling_uniform" value: 0', "value"),
        ('type: "variance_scaling_gaussian" value: -1', "value"),
        ('type: "variance_scaling_truncated" value: nan', "value"),
        ('type: "variance_scaling_truncated" std: 0.1', "std"),
        ('type: "variance_scaling_uniform" max: 3', "max"),
        ('type: "identity" value: inf', "value"),
        ('type: "identity" mean: nan', "mean"),
        ('type: "dirac" min: -1', "min"),
    ],
)
def test_parameters_that_make_no_filler_are_refused(params: str, field: str) -> None:
    with pytest.raises(FillerParameterError, match="Received: ") as caught:
        filler_of(params)
    assert caught.value.field == field


def test_a_field_that_is_not_read_may_stand_at_its_default() -> None:
    assert (fill('type: "identity" std: 1 sparse: -1 min: 0', (2, 2)) == np.eye(2)).all()


def test_bounds_that_are_not_given_lie_two_std_from_the_mean() -> None:
    random = GivenStream(np.zeros(1))
    fill('type: "truncated_gaussian" mean: 1 std: 0.25', (1,), np.float32, random)
    fill('type: "truncated_gaussian" mean: 1 std: 0.25 max: 1', (1,), np.float32, random)
    fill('type: "truncated_gaussian" min: 0 max: 1', (1,), np.float32, random)
    assert [call[3:] for call in random.calls] == [(0.5, 1.5), (0.5, 1.0), (0.0, 1.0)]


NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 6] } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a"
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b"
        inner_product_param { num_output: 6 weight_filler { type: "%s" } } }
"""


@pytest.mark.parametrize("kind", [name for name in OWN_FILLERS if name != "dirac"])
def test_they_are_refused_over_caffes_numbers(kind: str) -> None:
    client = FillerClient.embedded()
    with pytest.raises(UnknownFiller, match=r"no filler of this type.*stream='philox' fills it.*Received: type="):
        client.fill(kind, (6, 6), stream="caffe", name="a")
    with pytest.raises(UnknownFiller, match=r"blob 'b/0': Caffe has no filler of this type"):
        client.init_net(NET % kind, stream="caffe")
    blobs = client.fill_net(NET % kind, stream="caffe", blobs=["a/0"])
    assert next(iter(blobs))[1].tobytes() == client.fill("xavier", (6, 6), stream="caffe").tobytes()
    assert client.init_net(NET % kind, seed=3)["b/0"].shape == (6, 6)


FROZEN = {
    'type: "truncated_gaussian"': ("eccb6f30f59bbcc3", "c339e00e4ecd692a"),
    'type: "truncated_gaussian" mean: 1 std: 0.5 min: 1.5 max: inf': ("e229152a253982d2", "e4480a0f46e2432c"),
    'type: "variance_scaling_uniform" value: 2': ("936a21cf65088edb", "6b7256f15c5761af"),
    'type: "variance_scaling_gaussian" variance_norm: AVERAGE': ("a1716bf419b039ef", "0cefdbd84ff78623"),
    'type: "variance_scaling_truncated" value: 2': ("8b09c7b5df4d799a", "814c361741b12875"),
    'type: "identity"': ("cc91d3e14bafb977", "6ed58cc7e0344535"),
    'type: "dirac"': ("9d99edb0a253a4a4", "2f66721b701c4f71"),
}


@pytest.mark.parametrize("text", [*RANDOM, 'type: "identity"', 'type: "dirac"'])
def test_values_are_the_frozen_ones(text: str) -> None:
    """The first digits of the SHA-256 in float32 and float64."""
    shape = (30, 20) if "identity" in text else (30, 4, 3, 3)
    digests = [
        hashlib.sha256(fill(text, shape, dtype).astype(order).tobytes()).hexdigest()[:16]
        for dtype, order in ((np.float32, "<f4"), (np.float64, "<f8"))
    ]
    assert tuple(digests) == FROZEN.get(text)
