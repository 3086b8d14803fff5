"""Softmax of numbers that are not normal, and along other axes than that of the channels, against drawn ones."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient
from filler_server.diagnostics.signal.normal import NODES
from filler_server.diagnostics.signal.probabilities import softmax, softmax_of

Reals = NDArray[np.float64]

SHAPES: dict[str, Callable[[Reals], Reals]] = {
    "rectified": lambda z: np.maximum(z, 0),
    "negative": lambda z: -np.maximum(z, 0),
    "heavy-tailed": lambda z: z * np.abs(z),
}


@pytest.mark.parametrize("number", [2, 40])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_softmax_of_any_numbers(shape: str, number: int) -> None:
    drawn = SHAPES[shape](np.random.default_rng(1).standard_normal((200_000, number)))
    exponentials = np.exp(drawn - drawn.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    points = SHAPES[shape](NODES)
    found = softmax_of((points - drawn.mean()) / drawn.std(), float(drawn.var()), number)
    assert found.square == pytest.approx(np.square(probabilities).sum(1).mean(), rel=0.01)


def test_normal_numbers_are_a_case_of_any() -> None:
    assert softmax_of(NODES, 1.5, 10) == pytest.approx(softmax(1.5, 10))


def _softmax_square(axis: int) -> float | None:
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [8, 30, 30] }} }} }}
layer {{ name: "bias" type: "Bias" bottom: "x" top: "b" bias_param {{ filler {{ type: "gaussian" std: 2 }} }} }}
layer {{ name: "p" type: "Softmax" bottom: "b" top: "p" softmax_param {{ axis: {axis} }} }}
"""
    found = {value.top: value.mean_square for value in FillerClient.embedded().signal(net).values}
    return found["p"]


def test_what_classes_have_in_common_depends_on_the_axis() -> None:
    # Each channel has a bias of its own, which the softmax over its places takes away.
    assert _softmax_square(1) == pytest.approx(softmax(5.0, 30).square / 30, rel=1e-6)
    assert _softmax_square(2) == pytest.approx(softmax(1.0, 30).square / 30, rel=1e-6)


@pytest.mark.parametrize(("classes", "wanted"), [(10, 1.35e-6), (5, 1.12e-5)])
def test_gradients_of_a_softmax_have_no_mean_that_an_mvn_takes_out(classes: int, wanted: float) -> None:
    # Simulated, with 40 seeds; 1 / variance of a few numbers is larger on average than 1.
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [32, {classes}] }} }} }}
layer {{ name: "n" type: "MVN" bottom: "x" top: "n" mvn_param {{ across_channels: true }} }}
layer {{ name: "s" type: "Softmax" bottom: "n" top: "s" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "s" top: "ip"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 32 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""
    found = FillerClient.embedded().signal(net).values[0]
    assert found.gradient_mean_square == pytest.approx(wanted, rel=0.06)
