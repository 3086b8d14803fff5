"""Gradients of inner products and tables over several rows of each sample, against many seeds that NumPy runs."""

from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient

SEEDS, BATCH, STEPS, WIDTH, CLASSES = 400, 8, 20, 12, 10

Array: TypeAlias = NDArray[np.float64]

LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 8 } } }\n'
TAIL = """layer { name: "out" type: "InnerProduct" bottom: "y" top: "out"
  inner_product_param { num_output: 10 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }
"""
INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [8, 20, 12] } } }\n'
RELU = 'layer { name: "y" type: "ReLU" bottom: "a" top: "y" }\n'


def sums(name: str, bottom: str, axis: int) -> str:
    fields = f'num_output: {WIDTH} axis: {axis} weight_filler {{ type: "msra" }}'
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
  inner_product_param {{ {fields} }} }}
"""


def gradient_of_rows(rng: np.random.Generator, values: Array) -> Array:
    """Return the gradient of values [seed, sample, row, number] that an inner product of all of a sample reads."""
    flat = values.reshape(SEEDS, BATCH, -1)
    weights = rng.standard_normal((SEEDS, flat.shape[2], CLASSES)) * (2 / flat.shape[2]) ** 0.5
    scores = flat @ weights
    chances = np.exp(scores - scores.max(2, keepdims=True))
    labels = np.eye(CLASSES)[rng.integers(0, CLASSES, (SEEDS, BATCH))]
    gradient = (chances / chances.sum(2, keepdims=True) - labels) / BATCH
    return np.asarray((gradient @ weights.swapaxes(1, 2)).reshape(values.shape))


def gradients(net: str) -> dict[str, float | None]:
    report = FillerClient.embedded().signal(LABEL + net + TAIL)
    return {blob.name: blob.gradient_mean_square for blob in report.parameters}


def measured(*, rectified: bool) -> dict[str, float]:
    """Return the mean squares of the gradients of x, or of its ReLU, times weights that all rows share."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((SEEDS, BATCH, STEPS, WIDTH))
    x = np.maximum(x, 0) if rectified else x
    made = x @ (rng.standard_normal((SEEDS, 1, WIDTH, WIDTH)) * (2 / WIDTH) ** 0.5)
    gradient = gradient_of_rows(rng, np.maximum(made, 0)) * (made > 0)
    weight = np.einsum("snti,snto->sio", x, gradient)
    return {"a/0": float(np.square(weight).mean()), "a/1": float(np.square(gradient.sum((1, 2))).mean())}


RESHAPE = (
    'layer {{ name: "{0}" type: "Reshape" bottom: "{1}" top: "{0}" reshape_param {{ shape {{ dim: [{2}] }} }} }}\n'
)
RESHAPED = RESHAPE.format("rows", "x", "160, 12") + sums("a", "rows", 1) + RESHAPE.format("b", "a", "8, 20, 12")


@pytest.mark.parametrize(("net", "top"), [(sums("a", "x", 2), "a"), (RESHAPED, "b")], ids=["axis", "reshaped"])
def test_rows_of_one_sample_are_not_other_samples(net: str, top: str) -> None:
    found = gradients(INPUT + net + RELU.replace('"a"', f'"{top}"'))
    for name, square in measured(rectified=False).items():
        assert found[name] == pytest.approx(square, rel=0.25), name


def test_rows_within_channels_are_no_samples() -> None:
    found = gradients(INPUT + 'layer { name: "r" type: "ReLU" bottom: "x" top: "r" }\n' + sums("a", "r", 2) + RELU)
    for name, square in measured(rectified=True).items():
        assert found[name] == pytest.approx(square, rel=0.3), name


def test_words_of_one_sample_are_not_other_samples() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 50, (SEEDS, BATCH, STEPS))
    table = rng.standard_normal((SEEDS, 50, WIDTH))
    gradient = gradient_of_rows(rng, np.take_along_axis(table[:, None], words[..., None], 2))
    rows = np.einsum("sntw,sntc->swc", np.eye(50)[words], gradient)
    found = gradients(f"""
layer {{ name: "words" type: "Input" top: "words" input_param {{ shape {{ dim: [8, 20] }} }} }}
layer {{ name: "table" type: "Embed" bottom: "words" top: "y"
  embed_param {{ num_output: {WIDTH} input_dim: 50 weight_filler {{ type: "gaussian" std: 1 }} }} }}""")
    assert found["table/0"] == pytest.approx(float(np.square(rows).mean()), rel=0.1)
    assert found["table/1"] == pytest.approx(float(np.square(gradient.sum((1, 2))).mean()), rel=0.1)
