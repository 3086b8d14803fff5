"""The cases of the textbooks: which initializations keep the signal of a deep net, and which lose it."""

import pytest

from filler_client import FillerClient, SignalReport
from tests.diagnostics.signal.nets import stack

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
