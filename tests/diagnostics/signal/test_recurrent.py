"""Recurrent operations against runs, over some seeds, and operations of which nothing is known."""

from statistics import fmean

import numpy as np
import pytest

import filler_client
import filler_server.diagnostics.signal.rules  # noqa: F401 - registers the rules
from filler_client import FillerClient
from filler_server.diagnostics.signal.registry import ruled_operations
from filler_server.net.operations import Operation, data

INPUT = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [12, 8, 40] } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: [12, 8] } } }
"""
RECURRENT = """layer {{ name: "r" type: "{0}" bottom: "x" bottom: "cont" {1} top: "r" recurrent_param {{ num_output: 60
  weight_filler {{ type: "gaussian" std: {2} }} bias_filler {{ type: "constant" value: {3} }} }} }}
"""
SEEDS = 4


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize(("std", "bias"), [(0.05, 0.0), (0.2, 0.0), (0.2, 0.5)])
def test_outputs_are_as_large_as_in_a_run(kind: str, std: float, bias: float) -> None:
    net, client = INPUT + RECURRENT.format(kind, "", std, bias), FillerClient.embedded()
    value = client.signal(net).values[-1]
    cont = np.ones((12, 8))
    cont[0] = 0
    squares, means = [], []
    for seed in range(SEEDS):
        x = np.random.default_rng(seed).standard_normal((12, 8, 40))
        made = filler_client.run(net, client.init_net(net, seed=seed), {"x": x, "cont": cont}, ["r"], "TRAIN")["r"]
        squares.append(float(np.square(made, dtype=float).mean()))
        means.append(float(made.mean(dtype=float)))
    assert value.mean_square == pytest.approx(fmean(squares), rel=0.1)
    assert value.mean == pytest.approx(fmean(means), abs=0.1 * fmean(squares) ** 0.5)


def test_a_gradient_grows_with_the_number_of_outputs() -> None:
    loss = """layer { name: "target" type: "Input" top: "target" input_param { shape { dim: [12, 8, 60] } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "r" bottom: "target" top: "loss" }
"""
    report = FillerClient.embedded().signal(INPUT + RECURRENT.format("LSTM", "", 0.05, 0.0) + loss)
    squares = {value.layer: value.gradient_mean_square for value in report.values}
    assert squares["r"] == pytest.approx((1 + (report.values[2].mean_square or 0)) / 12**2, rel=1e-6)
    assert squares["x"] is not None
    assert 0 < squares["x"] < squares["r"]
    assert [blob.gradient_mean_square is None for blob in report.parameters] == [False, True, True]


def test_no_number_of_timesteps_takes_long() -> None:
    net = INPUT.replace("dim: [12, ", "dim: [200000, ") + RECURRENT.format("LSTM", "", 0.1, 0.0)
    assert FillerClient.embedded().signal(net).values[-1].mean_square is not None


def test_weights_whose_mean_is_not_0_are_refused() -> None:
    net = INPUT + RECURRENT.format("RNN", "", "0.1 mean: 1", 0.0)
    assert "the mean of its weights is not 0" in str(FillerClient.embedded().signal(net).notes)


def test_every_operation_has_a_rule_or_a_reason() -> None:
    sources = {kind for kind in Operation.kinds.values() if kind.__module__ == data.__name__}
    others = {"Custom", "Python", "Unknown", "ContinuationIndicator"}
    without = {name for name, kind in Operation.kinds.items() if kind not in {*ruled_operations(), *sources}}
    assert without == others
