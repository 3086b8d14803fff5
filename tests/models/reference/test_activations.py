import math

import numpy as np
import pytest
from scipy import special

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top

X = np.array([-800.0, -30, -2, -0.5, -1e-9, 0, 1e-9, 0.5, 2, 30, 800])


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("AbsVal", "", abs),
        ("Clip", "clip_param { min: -1 max: 1.5 }", lambda x: min(max(x, -1), 1.5)),
        ("Dropout", "dropout_param { dropout_ratio: 0.9 }", lambda x: x),
        ("Dropout", "dropout_param { dropout_ratio: 0.75 scale_train: false }", lambda x: x * 0.25),
        ("ELU", "elu_param { alpha: 0.5 }", lambda x: x if x > 0 else 0.5 * math.expm1(x)),
        ("ReLU", "", lambda x: max(x, 0)),
        ("ReLU", "relu_param { negative_slope: 2 }", lambda x: x if x > 0 else 2 * x),
        ("ReLU", "relu_param { negative_slope: -1 }", lambda x: abs(x)),
        ("ReLU6", "", lambda x: min(max(x, 0), 6)),
        ("ReLU6", "relu6_param { negative_slope: 0.5 }", lambda x: min(x if x > 0 else 0.5 * x, 6)),
        ("Sigmoid", "", special.expit),
        ("Swish", "swish_param { beta: 0.5 }", lambda x: x * special.expit(0.5 * x)),
        ("TanH", "", math.tanh),
        ("Threshold", "threshold_param { threshold: 0.5 }", lambda x: float(x > 0.5)),
        ("BNLL", "", lambda x: np.logaddexp(0, x)),
        ("Power", "power_param { power: 3 scale: -0.5 shift: 0.25 }", lambda x: (0.25 - 0.5 * x) ** 3),
        ("Power", "power_param { shift: 1 }", lambda x: 1 + x),
        ("NegReLU", "relu_param { negative_slope: 0.5 }", lambda x: min(x, 0) + 0.5 * max(x, 0)),
        ("SignedSqrt", "", lambda x: math.copysign(math.sqrt(abs(x)), x) if x else 0),
        ("SignedPower", "power_param { power: 2 shift: 1 }", lambda x: (1 + x) * abs(1 + x)),
        ("Insanity", "", lambda x: x if x > 0 else x / (5 / math.log(2))),
        ("Noise", "noise_param { gaussian_std: 3 }", lambda x: x),
    ],
)
def test_value_by_value(kind: str, fields: str, expected: object) -> None:
    got = top(kind, fields, x=X[:, None])
    want = np.array([expected(x) for x in X])  # type: ignore[operator]
    np.testing.assert_allclose(got[:, 0], want, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", np.exp),
        ("exp_param { base: 2 scale: 3 shift: 0.5 }", lambda x: 2 ** (0.5 + 3 * x)),
        ("exp_param { shift: 1 }", lambda x: np.exp(1 + x)),
    ],
)
def test_exponentials(fields: str, expected: object) -> None:
    x = normal(20)
    np.testing.assert_allclose(top("Exp", fields, x=x), expected(x), rtol=1e-6)  # type: ignore[operator]


def test_an_exponential_that_is_too_large_is_infinite() -> None:
    assert top("Exp", "exp_param { base: 10 shift: 400 }", x=[1, -1]).tolist() == [np.inf, np.inf]
    assert top("Exp", "exp_param { base: 10 shift: -400 }", x=[1]) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", np.log),
        ("log_param { base: 10 scale: 2 shift: 0.5 }", lambda x: np.log10(0.5 + 2 * x)),
    ],
)
def test_logarithms(fields: str, expected: object) -> None:
    x = np.abs(normal(20))
    np.testing.assert_allclose(top("Log", fields, x=x), expected(x), rtol=1e-7)  # type: ignore[operator]
    assert np.isnan(top("Log", x=[-1]))
    assert top("Log", x=[0]) == -np.inf


def test_powers_of_negative_bases() -> None:
    assert top("Power", "power_param { power: 3 }", x=[-2]) == -8
    assert top("Power", "power_param { power: 2 }", x=[-2]) == 4
    assert np.isnan(top("Power", "power_param { power: 0.5 }", x=[-2]))
    assert top("Power", "power_param { power: -1 }", x=[0]) == np.inf


def test_a_power_that_does_not_depend_on_its_input() -> None:
    x = [-1, 0, np.nan, np.inf]
    assert top("Power", "power_param { power: 0 }", x=x).tolist() == [1] * 4
    assert top("Power", "power_param { scale: 0 shift: 3 power: 2 }", x=x).tolist() == [9] * 4


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2)])
def test_slopes(shape: tuple[int, ...]) -> None:
    x, slopes = normal(*shape), np.array([0.5, -1, 2])
    by_channel = np.moveaxis(x, 1, -1)
    want = np.moveaxis(np.where(by_channel > 0, by_channel, by_channel * slopes), -1, 1)
    np.testing.assert_allclose(top("PReLU", weights=[slopes], x=x), want)
    shared = top("PReLU", "prelu_param { channel_shared: true }", [0.25], x=x)
    np.testing.assert_allclose(shared, np.where(x > 0, x, 0.25 * x))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_axes(axis: int) -> None:
    x = 100 * normal(3, 4, 5)
    got = top("Softmax", f"softmax_param {{ axis: {axis} }}", x=x)
    np.testing.assert_allclose(got, special.softmax(x, axis), rtol=1e-12, atol=1e-300)


def test_a_dropout_that_is_random_in_test() -> None:
    with pytest.raises(NetError, match="draws random numbers in both phases"):
        top("Dropout", "dropout_param { sample_weights_test: true }", x=[1, 2])
