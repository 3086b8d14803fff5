"""Gradients of the blobs of Scale, Bias and PReLU against many seeds: sums over the axes that the blob lacks."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient

SEEDS, SHAPE, CLASSES = 400, (8, 4, 3, 3), 10

NET = """
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [8, 4, 3, 3] }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 8 }} }} }}
{0}
layer {{ name: "out" type: "InnerProduct" bottom: "y" top: "out"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }}
"""


@cache
def passes(slope: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and the gradient of y, a ReLU of x with a slope for negative values: [seed, *SHAPE]."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((SEEDS, *SHAPE))
    values = np.where(x > 0, x, slope * x).reshape(SEEDS, SHAPE[0], -1)
    bound = (3 / values.shape[2]) ** 0.5
    weights = rng.uniform(-bound, bound, (SEEDS, values.shape[2], CLASSES))
    chances = np.exp(values @ weights)
    labels = np.eye(CLASSES)[rng.integers(0, CLASSES, (SEEDS, SHAPE[0]))]
    gradient = (chances / chances.sum(2, keepdims=True) - labels) / SHAPE[0]
    return x, (gradient @ weights.swapaxes(1, 2)).reshape(x.shape)


def square(terms: NDArray[np.float64], first: int, last: int) -> float:
    """Return the mean square of the sums over all axes of a value but those from `first` to `last`."""
    axes = tuple(axis + 1 for axis in range(len(SHAPE)) if not first <= axis < last)
    return float(np.square(terms.sum(axes)).mean())


@pytest.mark.parametrize(
    ("fields", "first", "last"),
    [
        ("axis: 1", 1, 2),
        ("axis: 1 num_axes: -1", 1, 4),
        ("axis: 0 num_axes: 2", 0, 2),
        ("axis: 2 num_axes: 2", 2, 4),
        ("axis: -1", 3, 4),
        ("num_axes: 0", 1, 1),
    ],
)
def test_blobs_of_scale_and_bias_have_gradients_over_the_axes_that_they_lack(
    fields: str, first: int, last: int
) -> None:
    x, gradient = passes(0.0)
    net = NET.format(f"""
layer {{ name: "r" type: "ReLU" bottom: "x" top: "r" }}
layer {{ name: "scale" type: "Scale" bottom: "r" top: "s" scale_param {{ {fields} bias_term: true }} }}
layer {{ name: "bias" type: "Bias" bottom: "s" top: "y" bias_param {{ {fields} }} }}""")
    found = {blob.name: blob.gradient_mean_square for blob in FillerClient.embedded().signal(net).parameters}
    assert found["scale/0"] == pytest.approx(square(gradient * np.maximum(x, 0), first, last), rel=0.25)
    assert found["scale/1"] == pytest.approx(square(gradient, first, last), rel=0.25)
    assert found["bias/0"] == found["scale/1"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_slope_of_prelu_has_the_gradient_of_all_elements_that_it_is_for(*, shared: bool) -> None:
    x, gradient = passes(0.25)
    layer = f'type: "PReLU" bottom: "x" top: "y" prelu_param {{ channel_shared: {str(shared).lower()} }}'
    found = {
        blob.name: blob.gradient_mean_square
        for blob in FillerClient.embedded().signal(NET.format(f'layer {{ name: "y" {layer} }}')).parameters
    }
    measured = square(gradient * np.minimum(x, 0), 1, 1 if shared else 2)
    assert found["y/0"] == pytest.approx(measured, rel=0.25)


def test_a_number_that_scales_all_scores_follows_them() -> None:
    rng = np.random.default_rng(2)
    scores = 3 * rng.standard_normal((SEEDS, 8, CLASSES))
    chances = np.exp(scores)
    labels = np.eye(CLASSES)[rng.integers(0, CLASSES, (SEEDS, 8))]
    gradient = (chances / chances.sum(2, keepdims=True) - labels) / 8
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [8, 10] } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 8 } } }
layer { name: "scale" type: "Scale" bottom: "x" top: "scores"
  scale_param { num_axes: 0 filler { value: 3 } bias_term: true } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }
"""
    scale, bias = FillerClient.embedded().signal(net).parameters
    wanted = float(np.square((gradient * scores / 3).sum((1, 2))).mean())
    assert scale.gradient_mean_square == pytest.approx(wanted, rel=0.1)
    # Probabilities and labels both add up to 1.
    assert bias.gradient_mean_square == 0


@pytest.mark.parametrize(("shift", "square"), [(5, 0.74), (20, 0.58)])
def test_a_batch_norm_leaves_channels_at_0_that_are_dead(shift: int, square: float) -> None:
    # Simulated, with 8 seeds; of 20, the gradient before the BatchNorm was 0.026, which is that of dead channels.
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [16, 3, 16, 16] }} }} }}
layer {{ name: "s" type: "Power" bottom: "x" top: "s" power_param {{ shift: {shift} }} }}
layer {{ name: "c" type: "Convolution" bottom: "s" top: "c"
  convolution_param {{ num_output: 32 kernel_size: 3 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "r" type: "ReLU" bottom: "c" top: "r" }}
layer {{ name: "n" type: "BatchNorm" bottom: "r" top: "n" }}
layer {{ name: "out" type: "InnerProduct" bottom: "n" top: "out"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 16 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }}
"""
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert found["n"].mean_square == pytest.approx(square, rel=0.05)
    assert found["n"].zeros == pytest.approx(1 - square, abs=0.05)
    assert "0 in a whole batch" in str(found["r"].gradient_unknown)
