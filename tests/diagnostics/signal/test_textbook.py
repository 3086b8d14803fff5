"""The cases of the textbooks: which initializations keep the signal of a deep net, and which lose it."""

from math import pi, sqrt

import pytest

from filler_client import FillerClient, SignalReport
from tests.diagnostics.signal.nets import HEAD, LOSS, stack

MSRA, XAVIER = 'type: "msra"', 'type: "xavier"'


def signal(text: str) -> SignalReport:
    return FillerClient.embedded().signal(text)


def test_a_stack_of_sigmoids_keeps_values_and_loses_the_gradient() -> None:
    report = signal(stack(XAVIER, "Sigmoid"))
    assert report.verdict.forward.course == "keeps"
    assert report.verdict.backward.course == "vanishes"
    assert report.verdict.backward.factor is not None
    # Each slope is at most 1 / 4.
    assert report.verdict.backward.factor < (1 / 16) ** 19
    assert "Backward, the gradient vanishes from 'ip" in str(report)


def test_a_standard_deviation_of_1_explodes() -> None:
    verdict = signal(stack('type: "gaussian" std: 1', "ReLU")).verdict
    assert (verdict.forward.course, verdict.backward.course) == ("explodes", "explodes")
    assert verdict.forward.factor == pytest.approx(128.0**20 * 256, rel=0.05)
    # 256 / 2 for each layer, 1000 after two of them.
    assert verdict.forward.layer == "ip3"


def test_a_standard_deviation_of_1_saturates_tanh() -> None:
    report = signal(stack('type: "gaussian" std: 1', "TanH"))
    last = next(value for value in report.values if value.layer == "act20")
    assert last.saturated is not None
    assert last.saturated > 0.8


def test_a_standard_deviation_of_001_dies_in_20_layers() -> None:
    verdict = signal(stack('type: "gaussian" std: 0.01', "ReLU")).verdict
    assert (verdict.forward.course, verdict.backward.course) == ("vanishes", "vanishes")
    assert verdict.forward.factor == pytest.approx(0.0128**20 * 0.0256, rel=0.05, abs=0)


def test_xavier_keeps_tanh() -> None:
    verdict = signal(stack(XAVIER, "TanH")).verdict
    assert (verdict.forward.course, verdict.backward.course) == ("keeps", "keeps")


def test_msra_keeps_relu_and_xavier_halves_it() -> None:
    verdict = signal(stack(MSRA, "ReLU")).verdict
    assert (verdict.forward.course, verdict.backward.course) == ("keeps", "keeps")
    verdict = signal(stack(XAVIER, "ReLU")).verdict
    assert verdict.forward.course == "vanishes"
    assert verdict.forward.factor == pytest.approx(0.5**20, rel=0.05, abs=0)


@pytest.mark.parametrize("std", ["1", "0.01"])
def test_batch_norm_forgives(std: str) -> None:
    verdict = signal(stack(f'type: "gaussian" std: {std}', "ReLU", norm=True)).verdict
    assert verdict.forward.course == "keeps"


def test_weights_of_zero_are_dead() -> None:
    report = signal(stack('type: "constant"', "ReLU"))
    assert report.verdict.forward.course == "dies"
    assert report.verdict.forward.layer == "ip2"
    assert all(value.mean_square == 0 for value in report.values if value.layer.startswith("ip"))
    first = next(blob for blob in report.parameters if blob.name == "ip1/0")
    assert first.gradient_mean_square == 0


def _net(layers: str, bottom: str, filler: str = XAVIER) -> str:
    """A net of two inner products of 256 values with a mean square of 1, then some layers, then the classifier."""
    text = HEAD.format(batch=64, width=256)
    for name in ("a", "b"):
        text += f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "data" top: "{name}"
  inner_product_param {{ num_output: 256 weight_filler {{ {filler} }} }} }}\n"""
    return text + layers + LOSS.format(bottom=bottom, filler=XAVIER)


def _value(report: SignalReport, name: str) -> float:
    found = next(value.mean_square for value in report.values if value.top == name)
    assert found is not None
    return found


def test_the_largest_of_a_normal_value_and_a_rectified_one() -> None:
    layers = """layer { name: "relu" type: "ReLU" bottom: "b" top: "relu" }
layer { name: "max" type: "Eltwise" bottom: "a" bottom: "relu" top: "max" eltwise_param { operation: MAX } }
"""
    # E[max(x, y, 0)^2] of two standard normal values.
    assert _value(signal(_net(layers, "max")), "max") == pytest.approx(3 / 4 + 1 / (2 * pi), rel=0.01)


def test_the_loss_has_the_bound_of_caffe() -> None:
    loss = sqrt(_value(signal(stack('type: "gaussian" std: 1', "ReLU", depth=3)), "loss"))
    # The label has the largest score in one of ten cases.
    assert loss == pytest.approx(0.9 * 87.3365, rel=0.03)


@pytest.mark.parametrize(("kind", "share"), [("TanH", 4 / 3), ("Sigmoid", 1 / 6)])
def test_the_gradient_through_saturated_units(kind: str, share: float) -> None:
    std = 16e4
    layers = f'layer {{ name: "act" type: "{kind}" bottom: "a" top: "act" }}\n'
    values = {value.top: value for value in signal(_net(layers, "act", 'type: "gaussian" std: 1e4')).values}
    before, after = values["a"].gradient_mean_square, values["act"].gradient_mean_square
    assert before is not None
    assert after
    # The square of the slope has the integral `share`, and the density at 0 is 1 / (sqrt(2 pi) std).
    assert before / after == pytest.approx(share / (sqrt(2 * pi) * std), rel=0.01)


def test_a_softmax_of_scores_that_are_far_apart() -> None:
    layers = 'layer { name: "softmax" type: "Softmax" bottom: "a" top: "softmax" }\n'
    report = signal(_net(layers, "softmax", 'type: "gaussian" std: 0.2'))
    # Drawn: 0.000960 of scores with a std of 3.2.
    assert _value(report, "softmax") == pytest.approx(9.6e-4, rel=0.02)
    far = signal(_net(layers, "softmax", 'type: "gaussian" std: 1'))
    assert next(value for value in far.values if value.top == "a").gradient_unknown is not None
