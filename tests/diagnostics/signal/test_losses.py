"""Losses against runs: what each divides by, forward by the reference evaluator and back by formulas of NumPy."""

from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray

import filler_client
from filler_client import FillerClient

SHAPE, CLASSES, SEEDS = (4, 6, 5, 7), 5, 60
"""Classes are along the axis of extent 5, so that before it there are 24 places, and after it 7."""

NET = """
layer {{ name: "scores" type: "Input" top: "scores" input_param {{ shape {{ dim: [4, 6, 5, 7] }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: [{label}] }} }} }}
layer {{ name: "loss" type: "{kind}" bottom: "scores" bottom: "label" top: "loss" {fields} }}
"""


def softmax_gradient(scores: NDArray[np.float64], labels: NDArray[np.int64], ignored: int | None) -> float:
    """Return the mean square of the gradient of a sum of SoftmaxWithLoss over places, classes along axis 2."""
    chances = np.exp(scores)
    chances /= chances.sum(2, keepdims=True)
    gradient = chances - np.moveaxis(np.eye(CLASSES)[labels], 3, 2)
    if ignored is not None:
        gradient *= (labels != ignored)[:, :, None, :]
    return float(np.square(gradient).mean())


@pytest.mark.parametrize("ignored", [None, 2, 255])
@pytest.mark.parametrize("normalization", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_a_softmax_loss_is_divided_by_what_caffe_divides_by(normalization: str, ignored: int | None) -> None:
    fields = f"softmax_param {{ axis: 2 }} loss_param {{ normalization: {normalization} "
    fields += "}" if ignored is None else f"ignore_label: {ignored} }}"
    net = NET.format(label="4, 6, 7", kind="SoftmaxWithLoss", fields=fields)
    scores, _, loss = FillerClient.embedded().signal(net).values
    values, gradients = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        inputs = {"scores": rng.standard_normal(SHAPE), "label": rng.integers(0, CLASSES, (4, 6, 7))}
        values.append(float(filler_client.run(net, None, inputs, ["loss"], "TRAIN")["loss"]))
        valid = int((inputs["label"] != ignored).sum())
        divisor = {"FULL": 4 * 6 * 7, "VALID": valid, "BATCH_SIZE": 4 * 6, "NONE": 1}[normalization]
        gradients.append(softmax_gradient(inputs["scores"], inputs["label"], ignored) / divisor**2)
    assert loss.mean == pytest.approx(fmean(values), rel=0.02)
    assert loss.mean_square == pytest.approx(fmean(values) ** 2, rel=0.04)
    assert scores.gradient_mean_square == pytest.approx(fmean(gradients), rel=0.03)


@pytest.mark.parametrize("normalization", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_a_loss_of_sigmoids_is_divided_by_what_caffe_divides_by(normalization: str) -> None:
    fields = f"loss_param {{ normalization: {normalization} }}"
    net = NET.format(label="4, 6, 5, 7", kind="SigmoidCrossEntropyLoss", fields=fields)
    scores, targets, loss = FillerClient.embedded().signal(net).values
    divisor = {"FULL": 4 * 6 * 5 * 7, "VALID": 4 * 6 * 5 * 7, "BATCH_SIZE": 4, "NONE": 1}[normalization]
    values, gradients = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        inputs = {"scores": rng.standard_normal(SHAPE), "label": rng.uniform(0, 1, SHAPE)}
        values.append(float(filler_client.run(net, None, inputs, ["loss"], "TRAIN")["loss"]))
        gradient = 1 / (1 + np.exp(-inputs["scores"])) - inputs["label"]
        gradients.append(float(np.square(gradient).mean()) / divisor**2)
    assert loss.mean == pytest.approx(fmean(values), rel=0.02)
    assert scores.gradient_mean_square == pytest.approx(fmean(gradients), rel=0.03)
    assert targets.gradient_mean_square == 0


def test_targets_that_are_ignored_are_said() -> None:
    net = """
layer { name: "scores" type: "Input" top: "scores" input_param { shape { dim: [4, 3] } } }
layer { name: "target" type: "DummyData" top: "target"
  dummy_data_param { shape { dim: [4, 3] } data_filler { type: "constant" value: 1 } } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "scores" bottom: "target" top: "loss"
  loss_param { ignore_label: 1 } }
"""
    report = FillerClient.embedded().signal(net)
    assert report.values[0].gradient_mean_square is None
    assert "Unknown: layer 'loss': it ignores a part of its targets." in report.notes
