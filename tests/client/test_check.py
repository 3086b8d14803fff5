"""Nets and files of weights held against fillers."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import filler_client
from caffe_filler.errors import InvalidArgument, NetError
from filler_client import Checked, FillerClient

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 4, 9, 9] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
  convolution_param { num_output: 8 group: 8 kernel_size: 4 bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "a" type: "InnerProduct" bottom: "up" top: "a" param { name: "w" }
  inner_product_param { num_output: 6 bias_term: false weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "b" type: "InnerProduct" bottom: "up" top: "b" param { name: "w" }
  inner_product_param { num_output: 6 bias_term: false weight_filler { type: "xavier" } } }
"""


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    found = FillerClient.embedded().init_net(NET, seed=7)
    return {name: np.array(values) for name, values in found.items()}


def states(found: Checked) -> dict[str, str]:
    return {blob.name: blob.state for blob in found.blobs}


INITIAL = {"conv/0": "initial", "conv/1": "initial", "up/0": "initial", "a/0": "initial", "b/0": "shared"}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_net_is_as_its_fillers_promise(dtype: str) -> None:
    found = filler_client.check(NET, seed=7, dtype=dtype)
    assert found.passed
    assert states(found) == INITIAL
    conv = found["conv/0"]
    assert conv.figures is not None
    assert conv.promised is not None
    assert (conv.figures.count, conv.fan_in, conv.fan_out, conv.dtype) == (288, 36, 72, dtype)
    assert conv.promised.std == pytest.approx((2 / 36) ** 0.5)
    assert conv.filler == 'type: "msra"'
    assert found["conv/1"].filler == 'type: "constant"'
    # A convolution, and an inner product that two layers share; what is not random is not tested by chance.
    assert found.tests == 6


@pytest.mark.parametrize("stream", ["caffe", "caffe-1.55"])
def test_the_numbers_of_caffe(stream: Any) -> None:
    found = filler_client.check(NET, seed=3, stream=stream)
    assert found.passed
    assert states(found) == INITIAL
    assert f"seed 3, {stream}, float32" in found.source


def test_values_are_those_that_the_client_makes(weights: dict[str, Any]) -> None:
    made, read = filler_client.check(NET, seed=7, client=FillerClient.embedded()), filler_client.check(NET, weights)
    assert [blob.figures for blob in made.blobs] == [blob.figures for blob in read.blobs]
    assert [blob.tests for blob in made.blobs] == [blob.tests for blob in read.blobs]


def test_what_has_moved_is_told_from_what_has_not(weights: dict[str, Any]) -> None:
    moved = {**weights, "conv/0": weights["conv/0"] * 1.5, "conv/1": weights["conv/1"] + 0.5}
    found = filler_client.check(NET, moved)
    assert not found.passed
    assert states(found) == {**INITIAL, "conv/0": "moved", "conv/1": "moved"}
    assert [blob.name for blob in found.failing] == ["conv/0", "conv/1"]
    assert "the variance is off by +" in found["conv/0"].notes[0]
    assert found["conv/1"].notes == ("8 of 8 values differ, the first at index 0: 0.5 in place of 0",)
    assert found["conv/1"].findings == ("constant",)
    # Where training is expected, what is drawn and learned has to have moved.
    trained = filler_client.check(NET, moved, expected="trained")
    assert [blob.name for blob in trained.failing] == ["a/0"]
    frozen = NET.replace('param { name: "w" }', 'param { name: "w" lr_mult: 0 }')
    assert filler_client.check(frozen, moved, expected="trained").passed


def test_what_is_broken_or_dead_is_found(weights: dict[str, Any]) -> None:
    conv, inner = weights["conv/0"].copy(), weights["a/0"].copy()
    conv[2], conv[[5, 6]] = 0.0, conv[1]
    inner[0, 3], inner[1, 5:7] = np.nan, np.inf
    found = filler_client.check(NET, {**weights, "conv/0": conv, "a/0": inner, "b/0": inner})
    assert states(found) == {**INITIAL, "conv/0": "moved", "a/0": "broken"}
    assert found["conv/0"].findings == ("1 zero channel", "2 repeated channels")
    assert set(found["conv/0"].notes) >= {"1 output channel of zeros", "2 output channels repeat another one"}
    assert found["a/0"].findings == ("1 NaN", "2 infinite")
    assert filler_client.check(NET, {**weights, "conv/0": conv * 0}).blobs[0].findings == ("all zero",)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_a_filler_breaks_is_broken_though_promised(value: str) -> None:
    found = filler_client.check(NET.replace('type: "bilinear"', f'type: "constant" value: {value}'))
    assert states(found) == {**INITIAL, "up/0": "broken"}


def test_channels_of_a_deconvolution_are_those_of_its_second_axis() -> None:
    net = NET.replace("group: 8 ", "").replace("bilinear", "gaussian")
    weights = FillerClient.embedded().init_net(net, seed=1)
    up = np.array(weights["up/0"])
    assert up.shape == (8, 8, 4, 4)
    up[:, 3] = up[:, 5]
    assert filler_client.check(net, {**weights, "up/0": up})["up/0"].findings == ("1 repeated channel",)


def test_missing_conflicting_and_strange_tensors_are_told(weights: dict[str, Any]) -> None:
    given = {name: values for name, values in weights.items() if not name.startswith("up")}
    given |= {"other/0": np.ones((2, 3), np.float32), "a/0": np.ones((6, 7), np.float32)}
    del given["b/0"]
    found = filler_client.check(NET, given)
    assert states(found) == {**INITIAL, "up/0": "missing", "a/0": "conflict", "b/0": "conflict"}
    assert found.unused == (("other/0", (2, 3)),)
    assert "layer 'a'" in found.notes[0] or "'a/0'" in found.notes[0]
    assert not found.passed


def test_a_file_of_weights_brings_its_net(weights: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "small.caffemodel"
    FillerClient.embedded().save_net(NET, path, seed=7)
    for found in (filler_client.check(weights=path), filler_client.check(path)):
        assert found.passed
        assert states(found) == INITIAL
    with pytest.raises(InvalidArgument, match="leave out seed"):
        filler_client.check(path, seed=7)


def test_a_file_without_a_net_promises_nothing(weights: dict[str, Any], tmp_path: Path) -> None:
    filler_client.save_weights({**weights, "n": np.array([1, np.nan])}, tmp_path / "w.npz")
    found = filler_client.check(weights=tmp_path / "w.npz")
    assert {blob.state for blob in found.blobs} == {"measured", "broken"}
    assert [blob.name for blob in found.failing] == ["n"]
    assert "nothing is promised" in found.notes[0]
    assert filler_client.check(weights=weights).passed


def test_a_state_dict_is_taken_for_the_net(weights: dict[str, Any]) -> None:
    state = {"conv.weight": weights["conv/0"], "conv.bias": weights["conv/1"]}
    found = filler_client.check(NET, {name: values.astype(ml_dtypes.bfloat16) for name, values in state.items()})
    assert states(found) == {"conv/0": "initial", "conv/1": "initial"} | dict.fromkeys(
        ("up/0", "a/0", "b/0"), "missing"
    )


def test_what_cannot_be_filled_is_told_and_the_rest_judged() -> None:
    found = filler_client.check(NET.replace("bilinear", "identity"))
    assert states(found) == {**INITIAL, "up/0": "unknown"}
    assert "needs a blob of two axes" in found["up/0"].notes[0]
    open_net = NET.replace('"Input"', '"Data"').replace(
        "input_param { shape { dim: [2, 4, 9, 9] } }", "data_param { batch_size: 2 }"
    )
    found = filler_client.check(open_net)
    assert found["conv/0"].state == "unknown"
    assert "inputs={'data':" in found["conv/0"].notes[0]
    assert not found.passed
    with pytest.raises(NetError, match="inputs="):
        filler_client.check(open_net, stream="caffe")
    weights = FillerClient.embedded().init_net(NET, seed=1)
    assert states(filler_client.check(open_net, weights)) == INITIAL


def test_blobs_of_unknown_types_are_told() -> None:
    found = filler_client.check(
        'layer { name: "x" type: "Odd" top: "x" convolution_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    assert states(found) == {"x/?": "unknown"}
    assert not found.passed


def test_values_of_the_prototxt_are_given_or_compared() -> None:
    net = (
        'layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } '
        "blobs { shape { dim: 3 } data: [1, 2, 3] } }"
    )
    assert states(filler_client.check(net)) == {"p/0": "given"}
    assert states(filler_client.check(net, {"p/0": np.array([1, 2, 3.0])})) == {"p/0": "initial"}
    assert states(filler_client.check(net, {"p/0": np.array([1, 2, 4.0])})) == {"p/0": "moved"}


def test_a_net_without_fillers_promises_zeros() -> None:
    found = filler_client.check('layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }')
    assert found.passed
    assert "no layer has a filler" in found.notes[0]


def test_a_net_without_blobs_passes() -> None:
    found = filler_client.check('layer { name: "r" type: "Input" top: "r" }')
    assert (found.passed, found.blobs, found.tests) == (True, (), 0)


@pytest.mark.parametrize("significance", [0, 1, 1.5, -0.1, float("nan"), "x"])
def test_a_significance_is_a_probability(significance: Any) -> None:
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        filler_client.check(NET, significance=significance)


def test_wrong_arguments_are_refused(weights: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="nothing to check"):
        filler_client.check()
    with pytest.raises(InvalidArgument, match="initial or trained"):
        filler_client.check(NET, expected="new")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="leave out seed, dtype"):
        filler_client.check(NET, weights, seed=1, dtype="float64")


def test_it_shows_as_a_table(weights: dict[str, Any]) -> None:
    found = filler_client.check(NET.replace('"small"', '"<b>\\033[31m"'), {**weights, "<i>/0": weights["conv/1"]})
    text, html = str(found), found._repr_html_()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\033" not in text + html
    assert "<i>" not in html
    assert "passed: 4 initial, 1 shared; 6 tests" in text
    assert repr(found).startswith("Checked('<b>")
    assert repr(found.blobs[0]) == "CheckedBlob('conv/0', (8, 4, 3, 3), initial)"
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document["passed"] is True
    conv = document["blobs"][0]
    assert conv["ks_error"] < 0.05
    assert [test["name"] for test in conv["tests"]] == ["mean", "variance", "distribution"]
    assert conv["z_mean"] == found["conv/0"].tests[0].statistic
    assert {"count", "mean", "std", "minimum", "maximum", "zeros", "fan_in", "fan_out"} <= conv.keys()


def test_false_alarms_over_all_blobs_are_as_rare_as_promised() -> None:
    nets = [filler_client.check(NET, seed=seed, significance=0.05).passed for seed in range(100)]
    assert nets.count(False) in range(1, 16)
