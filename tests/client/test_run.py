"""`filler_client.run`: a net, its weights and its inputs to its tops."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import filler_client
from caffe_filler.errors import InvalidArgument, LimitExceeded, NetError
from filler_client import run

NET = """
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } transform_param { mean_value: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
WEIGHTS = {"ip/0": np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.float32), "ip/1": np.array([0.5, -0.5], np.float32)}
X = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
IP = np.maximum(X.reshape(2, 4) @ WEIGHTS["ip/0"].T + WEIGHTS["ip/1"], 0)


def test_values_tell_the_shapes_of_inputs() -> None:
    found = run(NET, WEIGHTS, {"data": X, "label": [0, 1]})
    assert list(found) == ["loss"]
    assert found["loss"].dtype == np.float32
    powers = np.exp(IP)
    assert found["loss"] == pytest.approx(-np.log((powers / powers.sum(1, keepdims=True))[[0, 1], [0, 1]]).mean())


def test_tops_in_the_middle_and_before_they_are_changed() -> None:
    found = run(NET, WEIGHTS, {"data": X}, ["ip", "ip@ip"], dtype="f64")
    assert [array.dtype for array in found.values()] == [np.float64] * 2
    assert np.array_equal(found["ip"], IP)
    assert (found["ip@ip"] < 0).any()


def test_deploy() -> None:
    found = run(NET, WEIGHTS, {"data": X}, deploy=True)
    assert list(found) == ["prob"]
    assert found["prob"].sum() == pytest.approx(2)


def test_random_inputs() -> None:
    shapes = {"data": (5, 1, 2, 2), "label": (5,)}
    found = run(NET, WEIGHTS, shapes, random=3)
    assert np.array_equal(found["loss"], run(NET, WEIGHTS, shapes, random=3)["loss"])
    assert not np.array_equal(found["loss"], run(NET, WEIGHTS, shapes, random=4)["loss"])
    given = run(NET, WEIGHTS, {"data": X}, ["ip"], random=3)
    assert np.array_equal(given["ip"], IP)


def test_a_net_without_blobs_needs_no_weights() -> None:
    net = """layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 } } }
    layer { name: "a" type: "AbsVal" bottom: "x" top: "y" }"""
    assert run(net, inputs={"x": [-3.5]})["y"].tolist() == [3.5]
    assert np.isnan(run(net, inputs={"x": [np.nan]})["y"]).all()


def test_other_dtypes_of_inputs() -> None:
    for dtype in (np.uint8, np.int64, np.float16, ml_dtypes.bfloat16, np.float64):
        assert np.array_equal(run(NET, WEIGHTS, {"data": X.astype(dtype)}, ["ip"])["ip"], IP)


def test_constants_of_the_net_and_others_in_their_place() -> None:
    net = """layer { name: "d" type: "DummyData" top: "x"
      dummy_data_param { shape { dim: 2 } data_filler { type: "constant" value: -2 } } }
    layer { name: "a" type: "AbsVal" bottom: "x" top: "y" }"""
    assert run(net)["y"].tolist() == [2, 2]
    assert run(net, inputs={"x": [1, 2, 3]})["y"].tolist() == [1, 2, 3]


def test_what_comes_back_is_the_callers() -> None:
    net = """layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 } } }
    layer { name: "s" type: "Split" bottom: "x" top: "a" top: "b" }"""
    x = np.zeros(2, np.float32)
    found = run(net, inputs={"x": x})
    found["a"][0] = 1
    assert found["b"].tolist() == x.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": {"data": X}}, r"no values for input 'label': inputs=\{'label': array\} gives them, random=1 draws"),
        ({"inputs": {"data": (2, 1, 2, 2)}}, "no values for inputs 'data', 'label'"),
        ({"inputs": {"dta": X}}, r"has this name \(did you mean 'data'\?\)"),
        ({"inputs": {"data": X[:, :, :1], "label": [0, 1]}}, r"with data=2x1x1x2: weights: blob 'ip/0'"),
        ({"inputs": {"data": X, "label": [0, 1, 1]}}, "with data=2x1x2x2, label=3: line 5, layer 'loss'"),
        ({"inputs": {"data": X, "label": [0, 2]}}, "layer 'loss': a label is 0 to 1. Received: 2"),
        ({"inputs": {"data": X, "label": [0, np.nan]}}, "a label is 0 to 1. Received: nan"),
        ({"inputs": {"data": X.astype(object), "label": [0, 1]}}, "input 'data' holds numbers. Received: dtype=object"),
        ({"inputs": {"data": X.astype(complex)}}, "input 'data' holds numbers. Received: dtype=complex128"),
        ({"inputs": {"data": [[1, 2], [3]]}}, "input 'data' is no array"),
        ({"inputs": {"data": X}, "dtype": "f16"}, "a net computes in float32 or float64. Received: dtype=float16"),
        ({"inputs": {"data": X}, "tops": ["lss"]}, r"no top 'lss' \(did you mean 'loss'\?\)"),
        ({"inputs": {"data": X}, "random": -1}, "a seed is an integer from 0"),
        ({"inputs": {}}, "the shape of input 'data' is not known; inputs="),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        run(NET, WEIGHTS, **arguments)


def test_all_layers_that_cannot_be_computed_are_named() -> None:
    net = """layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }
    layer { name: "own" type: "Python" bottom: "a" top: "b" python_param { module: "m" layer: "L" } }
    layer { name: "c" type: "Nobody" bottom: "x" top: "c" }
    layer { name: "drop" type: "Dropout" bottom: "a" top: "e" }"""
    with pytest.raises(NetError) as caught:
        run(net, inputs={"x": np.zeros((2, 3))}, phase="TRAIN")
    message = str(caught.value)
    assert "layer 'own' (Python, line 3): it is written in Python (m.L)" in message
    assert "layer 'c' (Nobody, line 4): unknown layer type 'Nobody'" in message
    assert "layer 'drop' (Dropout, line 5): it draws random numbers in phase TRAIN" in message
    assert "tops=['a'] stops before" in message
    assert list(run(net, inputs={"x": np.zeros((2, 3))}, tops=["a"], phase="TRAIN")) == ["a"]


def test_absurd_sizes_are_refused_before_anything_is_computed() -> None:
    net = 'layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    for number in range(1000):
        net += f"""layer {{ name: "t{number}" type: "Tile" bottom: "x" top: "y{number}"
          tile_param {{ axis: 0 tiles: 2000000000 }} }}"""
    with pytest.raises(LimitExceeded, match=r"layer 't\d+' needs [\d,]+ bytes at once"):
        run(net, inputs={"x": [1]})


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    with pytest.raises(NetError, match=r"net.prototxt: line 5, layer 'loss': a label"):
        run(path, WEIGHTS, {"data": X, "label": [0, 2]})


def test_it_is_public() -> None:
    assert filler_client.run is run
