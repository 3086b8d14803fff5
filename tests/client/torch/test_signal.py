"""The signal that PyTorch computes: as Caffe measured it, and as theory has it."""

import json
from pathlib import Path
from statistics import fmean, median

import pytest

from caffe_filler.errors import NetError
from filler_client import FillerClient
from tests.diagnostics.signal.nets import stack

pytest.importorskip("torch")
pytestmark = pytest.mark.frameworks

NETS = ["lenet", "cifar10_full", "tanh_xavier", "relu_msra", "resnet"]


@pytest.mark.parametrize("name", NETS)
def test_with_the_weights_of_caffe_it_is_what_caffe_measured(name: str, shared: Path) -> None:
    folder = shared / "golden" / "forward" / "signal"
    runs = list(json.loads((folder / f"sig_{name}.json").read_text())["seeds"].values())[:2]
    report = FillerClient.embedded().signal(folder / f"sig_{name}.prototxt", simulate=True, seeds=2)
    for index, value in enumerate(report.values):
        tops = [run["layers"][index]["tops"][0] for run in runs]
        assert value.mean_square == pytest.approx(fmean(top["var"] + top["mean"] ** 2 for top in tops), rel=1e-3)
        measured = fmean(top.get("grad_ms") or 0.0 for top in tops)
        assert value.gradient_mean_square == pytest.approx(measured, rel=1e-3), value.layer
        assert value.zeros == pytest.approx(fmean(top["zeros"] for top in tops), abs=1e-4)
    blobs = {
        f"{layer['layer']}/{blob['index']}": [run["layers"][index]["params"][number] for run in runs]
        for index, layer in enumerate(runs[0]["layers"])
        for number, blob in enumerate(layer["params"])
    }
    errors = {}
    for blob in report.parameters:
        if "grad_ms" in blobs[blob.name][0]:
            measured = fmean(entry["grad_ms"] for entry in blobs[blob.name])
            errors[blob.name] = abs((blob.gradient_mean_square or 0.0) / measured - 1)
    # A value near 0 is rounded to its other side on some CPUs, where ReLU lets its gradient through or not: that is a
    # thousandth of the gradient of a bias with few values.
    assert max(errors.values()) < 0.01, errors
    assert median(errors.values()) < 1e-4, errors


def test_theory_and_simulation_agree_on_a_net_of_many_layers() -> None:
    net = stack('type: "msra"', "ReLU", depth=4, width=512, batch=32, norm=True)
    client = FillerClient.embedded()
    theory, simulated = client.signal(net), client.signal(net, simulate=True, seeds=2, stream="philox")
    assert simulated.title == "net (TRAIN), simulated with 2 seeds"
    for mine, other in zip(theory.values, simulated.values, strict=True):
        if mine.layer not in ("label", "loss"):
            assert mine.mean_square == pytest.approx(other.mean_square, rel=0.1), mine.layer
            assert mine.gradient_mean_square == pytest.approx(other.gradient_mean_square, rel=0.15), mine.layer
    first = simulated.json()["values"][0]
    assert list(first)[2:6] == ["mean", "mean_spread", "variance", "variance_spread"]
    assert first["saturated"] is None
    assert first["saturated_spread"] is None
    for mine, other in zip(theory.parameters, simulated.parameters, strict=True):
        if mine.name.startswith("ip") and mine.name.endswith("/0"):
            assert mine.gradient_mean_square == pytest.approx(other.gradient_mean_square, rel=0.25), mine.name


def test_fillers_that_no_caffe_has_are_filled_by_philox() -> None:
    net = stack('type: "orthogonal"', "TanH", depth=2, width=16, batch=4)
    report = FillerClient.embedded().signal(net, simulate=True, seeds=1)
    assert report.parameters[0].mean_square == pytest.approx(1 / 16, rel=1e-3)


HEAD = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [8, 6, 12, 12] } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: [8, 6] } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: [8] } } }
"""
TAIL = """layer { name: "ip" type: "InnerProduct" bottom: "y" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
BODIES = {
    "LSTM": 'bottom: "x" bottom: "cont" recurrent_param { num_output: 64 weight_filler { type: "gaussian" std: 0.1 } }',
    "RNN": 'bottom: "x" bottom: "cont" recurrent_param { num_output: 64 weight_filler { type: "gaussian" std: 0.1 } }',
    "Interp": 'bottom: "x" interp_param { height: 17 width: 23 }',
    "Upsample": 'bottom: "x" upsample_param { scale: 2 }',
    "Reduction": 'bottom: "x" reduction_param { axis: 2 operation: SUMSQ coeff: 0.01 }',
}


@pytest.mark.parametrize("kind", BODIES)
def test_theory_and_simulation_agree_on_operations(kind: str) -> None:
    net = f'{HEAD} layer {{ name: "y" type: "{kind}" top: "y" {BODIES[kind]} }} {TAIL}'
    client = FillerClient.embedded()
    theory, simulated = client.signal(net), client.signal(net, simulate=True, seeds=6, stream="philox")
    for mine, other in zip(theory.values, simulated.values, strict=True):
        if mine.layer in ("x", "y"):
            assert mine.mean_square == pytest.approx(other.mean_square, rel=0.1), mine.layer
            assert mine.gradient_mean_square == pytest.approx(other.gradient_mean_square, rel=0.25), mine.layer


CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}"
  convolution_param {{ num_output: 16 kernel_size: {2} pad: {3} weight_filler {{ type: "msra" }} }} }}
"""
POOL = """layer {{ name: "{0}" type: "Pooling" bottom: "{1}" top: "{0}"
  pooling_param {{ pool: {2} kernel_size: 3 stride: 2 }} }}
layer {{ name: "{0}_relu" type: "ReLU" bottom: "{0}" top: "{0}" }}
"""
NORM = """layer {{ name: "{0}" type: "BatchNorm" bottom: "{1}" top: "{0}" }}
layer {{ name: "{0}_relu" type: "ReLU" bottom: "{0}" top: "{0}" }}
"""
POOLED = (
    CONV.format("a", "x", 3, 1)
    + POOL.format("p", "a", "MAX")
    + CONV.format("b", "p", 3, 1)
    + POOL.format("y", "b", "AVE")
)
NARROW = "".join(
    CONV.format(f"c{number}", f"n{number - 1}" if number else "x", 1, 0) + NORM.format(f"n{number}", f"c{number}")
    for number in range(6)
).replace('"n5"', '"y"')


@pytest.mark.parametrize("body", [POOLED, NARROW], ids=["poolings that overlap", "norms of narrow layers"])
def test_gradients_of_nets_that_go_together(body: str) -> None:
    net, client = f"{HEAD} {body} {TAIL}", FillerClient.embedded()
    theory, simulated = client.signal(net), client.signal(net, simulate=True, seeds=12, stream="philox")
    assert theory.values[0].gradient_mean_square == pytest.approx(simulated.values[0].gradient_mean_square, rel=0.25)


def test_what_pytorch_cannot_compute_is_said() -> None:
    net = f'{HEAD} layer {{ name: "y" type: "Reorg" bottom: "x" top: "y" reorg_param {{ stride: 5 }} }}'
    with pytest.raises(NetError, match="PyTorch cannot compute the net: shape"):
        FillerClient.embedded().signal(net, simulate=True, seeds=1)


def test_a_normalization_of_one_value_for_each_channel_is_refused_in_one_line() -> None:
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 4] } } }
layer { name: "y" type: "BatchNorm" bottom: "x" top: "y" }
"""
    with pytest.raises(NetError, match=r"PyTorch cannot compute the net: Expected more than 1 value per channel"):
        FillerClient.embedded().signal(net, simulate=True, seeds=1)


def test_targets_and_marks_have_no_gradient() -> None:
    net = f"""{HEAD}
layer {{ name: "t" type: "Input" top: "t" input_param {{ shape {{ dim: [8, 6, 16] }} }} }}
layer {{ name: "r" type: "RNN" {BODIES["RNN"].replace("64", "16")} top: "r" }}
layer {{ name: "y" type: "LSTM" bottom: "r" bottom: "cont" top: "y"
  recurrent_param {{ num_output: 16 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "y" bottom: "t" top: "loss" }}
"""
    gradients = {
        value.top: value.gradient_mean_square
        for value in FillerClient.embedded().signal(net, simulate=True, seeds=1).values
    }
    assert gradients["t"] == gradients["cont"] == 0
    assert gradients["x"]
