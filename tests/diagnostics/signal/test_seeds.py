"""Theory against many seeds: plain stacks that NumPy runs forward and back, hundreds at a time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient
from tests.diagnostics.signal.nets import stack

SEEDS, DEPTH, WIDTH, BATCH, CLASSES = 400, 10, 64, 32, 10

Arrays = NDArray[np.float32]

FUNCTIONS: dict[str, Any] = {
    "ReLU": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(np.float32)),
    "TanH": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "Sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
}
STACKS = [
    ('type: "msra"', "ReLU", (2 / WIDTH) ** 0.5),
    ('type: "xavier"', "ReLU", (1 / WIDTH) ** 0.5),
    ('type: "xavier"', "TanH", (1 / WIDTH) ** 0.5),
    ('type: "gaussian" std: 0.01', "TanH", 0.01),
    ('type: "xavier"', "Sigmoid", (1 / WIDTH) ** 0.5),
]


def measured(activation: str, std: float) -> tuple[dict[str, Arrays], dict[str, Arrays], dict[str, Arrays]]:
    """Return the mean squares of the values of a stack, of their gradients and of those of the blobs, for each seed."""
    rng = np.random.default_rng(1)
    function, slope = FUNCTIONS[activation]

    def weights(outputs: int) -> Arrays:
        return std * rng.standard_normal((SEEDS, WIDTH, outputs), np.float32)

    value = rng.standard_normal((SEEDS, BATCH, WIDTH), np.float32)
    values, matrices = {"data": value}, [weights(WIDTH) for _ in range(DEPTH)]
    for number, matrix in enumerate(matrices, 1):
        values[f"ip{number}"] = value @ matrix
        values[f"act{number}"] = value = function(values[f"ip{number}"])
    last = weights(CLASSES)
    values["out"] = scores = value @ last
    chances = np.exp(scores - scores.max(2, keepdims=True))
    labels = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (SEEDS, BATCH))]
    gradient = (chances / chances.sum(2, keepdims=True) - labels) / BATCH
    gradients, blobs = {"out": gradient}, {"out/0": value.swapaxes(1, 2) @ gradient}
    gradient = gradient @ last.swapaxes(1, 2)
    for number in range(DEPTH, 0, -1):
        gradients[f"act{number}"] = gradient
        gradients[f"ip{number}"] = gradient = gradient * slope(values[f"ip{number}"])
        below = values[f"act{number - 1}" if number > 1 else "data"]
        blobs[f"ip{number}/0"] = below.swapaxes(1, 2) @ gradient
        gradient = gradient @ matrices[number - 1].swapaxes(1, 2)
    gradients["data"] = gradient

    def squares(of: dict[str, Arrays]) -> dict[str, Arrays]:
        return {name: np.square(array.astype(np.float64)).mean((1, 2)) for name, array in of.items()}

    return squares(values), squares(gradients), squares(blobs)


# With msra the samples of a net become alike in some nets and stay apart in others. The gradients of weights, which are
# sums over samples, are large in the former, and the theory, which knows the mean likeness, has half of that.
@pytest.mark.parametrize(("filler", "activation", "std"), STACKS)
def test_theory_is_the_mean_over_many_seeds(filler: str, activation: str, std: float) -> None:
    forward, backward, blobs = measured(activation, std)
    report = FillerClient.embedded().signal(stack(filler, activation, DEPTH, WIDTH, BATCH))
    for value in report.values:
        if value.layer not in forward:
            continue
        found = forward[value.layer]
        assert value.mean_square == pytest.approx(found.mean(), rel=0.1), value.layer
        assert value.gradient_mean_square == pytest.approx(backward[value.layer].mean(), rel=0.25), value.layer
        assert value.spread is not None
        assert value.spread["mean_square"] == pytest.approx(found.std(), rel=0.3), value.layer
    for parameter in report.parameters:
        if parameter.name in blobs:
            wanted, bound = blobs[parameter.name].mean(), 0.55 if "msra" in filler else 0.3
            assert parameter.gradient_mean_square == pytest.approx(wanted, rel=bound), parameter.name


def test_the_gradient_of_a_regression_goes_along_with_the_value() -> None:
    net = f"""
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: {BATCH} dim: {WIDTH} }} }} }}
layer {{ name: "wide" type: "InnerProduct" bottom: "data" top: "wide"
  inner_product_param {{ num_output: {4 * WIDTH} weight_filler {{ type: "msra" }} }} }}
layer {{ name: "target" type: "DummyData" top: "target"
  dummy_data_param {{ shape {{ dim: {BATCH} dim: {4 * WIDTH} }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "wide" bottom: "target" top: "loss" }}
"""
    data = FillerClient.embedded().signal(net).values[0]
    # The gradient is W W^T x / batch, of which Marchenko and Pastur have the second moment.
    outputs, variance = 4 * WIDTH, 2 / WIDTH
    wanted = variance**2 * outputs * (outputs + WIDTH) / BATCH**2
    assert data.gradient_mean_square == pytest.approx(wanted, rel=0.02)
