"""Combinations of values that are functions of the same elements, against NumPy, and of others that go together."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient, SignalReport

Array: TypeAlias = NDArray[np.float64]

INPUTS = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [16, 8, 4, 4] } } }\n'
LOSS = 'layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }\n'


def layer(kind: str, name: str, bottoms: str, fields: str = "") -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {listed} top: "{name}" {fields} }}\n'


RELU, SIGMOID = layer("ReLU", "r", "x"), layer("Sigmoid", "s", "x")
NEGATIVE = layer("Power", "n", "x", "power_param { scale: -1 }") + layer("ReLU", "rn", "n")


def eltwise(bottoms: str, fields: str = "") -> str:
    return layer("Eltwise", "y", bottoms, f"eltwise_param {{ {fields} }}")


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


COMBINED: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "a value twice": (RELU + eltwise("r r"), lambda x: 2 * np.maximum(x, 0)),
    "a value less itself": (eltwise("x x", "coeff: 1 coeff: -1"), lambda x: 0 * x),
    "a value weighed twice": (eltwise("x x", "coeff: 3 coeff: -1"), lambda x: 2 * x),
    "a square": (eltwise("x x", "operation: PROD"), lambda x: x * x),
    "a sum with ReLU": (RELU + eltwise("x r"), lambda x: x + np.maximum(x, 0)),
    "a gate": (SIGMOID + eltwise("x s", "operation: PROD"), lambda x: x * sigmoid(x)),
    "a gate by Scale": (SIGMOID + layer("Scale", "y", "x s", "scale_param { axis: 0 }"), lambda x: x * sigmoid(x)),
    "both sides": (RELU + NEGATIVE + eltwise("r rn", "coeff: 1 coeff: -0.5"), lambda x: np.where(x > 0, x, x / 2)),
    "the larger": (NEGATIVE + eltwise("x n", "operation: MAX"), np.abs),
    "two splits": (
        'layer { name: "split" type: "Split" bottom: "x" top: "a" top: "b" }'
        + layer("ReLU", "r", "b")
        + eltwise("a r"),
        lambda x: x + np.maximum(x, 0),
    ),
}


def signal(net: str) -> SignalReport:
    return FillerClient.embedded().signal(INPUTS + net + LOSS)


@pytest.mark.parametrize("name", COMBINED)
def test_functions_of_the_same_elements_are_one(name: str) -> None:
    net, function = COMBINED[name]
    found = {value.top: value for value in signal(net).values}
    x = np.random.default_rng(1).standard_normal(400_000)
    slopes = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6
    assert found["y"].mean_square == pytest.approx(np.square(function(x)).mean(), rel=0.02)
    assert found["y"].mean == pytest.approx(function(x).mean(), abs=0.01)
    assert found["x"].gradient_mean_square == pytest.approx(np.square(slopes).mean(), rel=0.02)


def test_what_lies_between_has_its_own_gradient() -> None:
    found = {value.top: value.gradient_mean_square for value in signal(COMBINED["both sides"][0]).values}
    assert found["r"] == pytest.approx(1)
    assert found["rn"] == pytest.approx(0.25)
    assert found["n"] == pytest.approx(0.125, rel=0.02)


CONV = """layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 8 kernel_size: 1 weight_filler { type: "gaussian" std: 0.5 } } }
"""


@pytest.mark.parametrize(
    "net",
    [
        layer("Dropout", "d", "x") + eltwise("x d"),
        layer("BatchNorm", "b", "x") + eltwise("x b"),
        layer("Scale", "q", "x", "scale_param { num_axes: -1 }") + eltwise("x q"),
        layer("PReLU", "p", "x") + eltwise("x p", "operation: PROD"),
        CONV + layer("Eltwise", "s", "x c") + eltwise("s x"),
    ],
)
def test_values_that_go_together_in_another_way_are_not_known(net: str) -> None:
    report = signal(net)
    found = {value.top: value for value in report.values}
    assert found["y"].mean_square is None
    assert found["x"].gradient_mean_square is None
    assert "Unknown: layer 'y': its bottoms are made of the same value." in report.notes


def test_extents_alone_tie_no_values() -> None:
    wide = CONV.replace("kernel_size: 1", "kernel_size: 1 pad: 1")
    found = signal(wide + layer("Crop", "k", "c x", "crop_param { offset: 1 }") + eltwise("k x"))
    y = next(value for value in found.values if value.top == "y")
    assert y.mean_square is not None
    assert y.gradient_mean_square is not None


def test_weights_and_slices_part_values() -> None:
    block = signal(CONV + layer("ReLU", "r", "c") + eltwise("x r"))
    assert next(value for value in block.values if value.top == "y").mean_square == pytest.approx(2, rel=0.01)
    sliced = signal('layer { name: "slice" type: "Slice" bottom: "x" top: "a" top: "b" }' + eltwise("a b"))
    assert next(value for value in sliced.values if value.top == "y").mean_square == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(("steps", "is_known"), [(60, True), (70, False)])
def test_functions_of_the_same_elements_are_followed_so_far(steps: int, is_known: bool) -> None:
    net, bottom = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [8, 4] } } }', "x"
    for step in range(steps):
        net += f'layer {{ name: "r{step}" type: "ReLU" bottom: "{bottom}" top: "r{step}" }}'
        bottom = f"r{step}"
    net += f'layer {{ name: "sum" type: "Eltwise" bottom: "x" bottom: "{bottom}" top: "sum" }}'
    with FillerClient.embedded() as client:
        report = client.signal(net)
    assert (report.values[-1].mean_square is not None) == is_known
    assert any("its bottoms are made of the same value" in note for note in report.notes) != is_known
