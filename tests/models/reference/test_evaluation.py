"""Graphs as a whole: values that flow, and what is refused before anything is computed."""

import tracemalloc
import warnings

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, LimitExceeded, NetError
from filler_client import FillerClient, run
from filler_client._models import open_model
from filler_server.models.graph import check, graph, wanted
from filler_server.models.reference.evaluation import check_memory, evaluate
from filler_server.models.reference.registry import computed_operations, computes
from filler_server.net import operations
from filler_server.net.operations import Operation, activations
from tests.models.nets import inputs
from tests.models.reference.small import normal, tops


def test_layers_in_place_that_others_read_before_and_after() -> None:
    net = """layer { name: "one" type: "Power" bottom: "x" top: "a" power_param { shift: 1 } }
    layer { name: "before" type: "Power" bottom: "a" top: "b" power_param { scale: 10 } }
    layer { name: "two" type: "Power" bottom: "b" top: "b" power_param { shift: 2 } }
    layer { name: "three" type: "Power" bottom: "b" top: "b" power_param { scale: 2 } }
    layer { name: "after" type: "Eltwise" bottom: "a" bottom: "b" top: "c" }"""
    assert tops(net, x=[3])["c"] == 4 + (40 + 2) * 2
    shapes = inputs(x=(1,)) + net
    found = run(shapes, inputs={"x": [3]}, tops=["b@before", "b@two", "b", "a"])
    assert [(name, *values.tolist()) for name, values in found.items()] == [
        ("b@before", 40),
        ("b@two", 42),
        ("b", 84),
        ("a", 4),
    ]


def test_an_input_that_is_changed_in_place() -> None:
    net = (
        inputs(x=(1,))
        + """layer { name: "one" type: "Power" bottom: "x" top: "x" power_param { shift: 1 } }
    layer { name: "two" type: "Power" bottom: "x" top: "x" power_param { scale: 3 } }"""
    )
    assert run(net, inputs={"x": [1]}) == {"x": 6}
    assert run(net, inputs={"x": [1]}, tops=["x@one", "x"]) == {"x@one": 2, "x": 6}


def test_tops_that_nothing_reads_and_several_inputs() -> None:
    net = """layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" slice_param { axis: 0 } }
    layer { name: "e" type: "Eltwise" bottom: "a" bottom: "z" top: "c" }
    layer { name: "silent" type: "Silence" bottom: "z" }"""
    found = tops(net, x=[1, 2], z=[10])
    assert {name: values.tolist() for name, values in found.items()} == {"b": [2], "c": [11]}


def test_shared_weights() -> None:
    net = """layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" param { name: "w" }
      inner_product_param { num_output: 2 bias_term: false } }
    layer { name: "q" type: "InnerProduct" bottom: "y" top: "z" param { name: "w" }
      inner_product_param { num_output: 2 bias_term: false } }
    layer { name: "t" type: "InnerProduct" bottom: "z" top: "u" param { name: "w" share_mode: PERMISSIVE }
      inner_product_param { num_output: 1 axis: 0 bias_term: false } }"""
    weight, x = normal(2, 2), normal(2, 2)
    found = tops(net, {"p/0": weight}, x=x)["u"]
    np.testing.assert_allclose(found, [(x @ weight.T @ weight.T).reshape(-1) @ weight.reshape(-1)])


def test_inputs_of_five_axes() -> None:
    x = normal(2, 3, 2, 4, 3)
    net = """layer { name: "r" type: "ReLU" bottom: "x" top: "x" }
    layer { name: "s" type: "Scale" bottom: "x" top: "s" scale_param { axis: 2 num_axes: 2 } }
    layer { name: "f" type: "Flatten" bottom: "s" top: "f" flatten_param { axis: 2 end_axis: 3 } }
    layer { name: "m" type: "Softmax" bottom: "f" top: "y" softmax_param { axis: 2 } }"""
    factor = normal(2, 4)
    scaled = (np.maximum(x, 0) * factor[:, :, None]).reshape(2, 3, 8, 3)
    powers = np.exp(scaled)
    np.testing.assert_allclose(tops(net, {"s/0": factor}, x=x)["y"], powers / powers.sum(2, keepdims=True))


def test_nothing_warns_and_infinity_flows() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = (
            'layer { name: "l" type: "Log" bottom: "x" top: "y" } layer { name: "e" type: "Exp" bottom: "y" top: "z" }'
        )
        found = tops(net, x=[0, -1, np.inf, 1])["z"]
    assert found[0] == 0
    assert np.isnan(found[1])
    assert found[2] == np.inf


def test_values_are_let_go() -> None:
    layers = "".join(
        f"""layer {{ name: "l{number}" type: "Power" bottom: "y{number}" top: "y{number + 1}"
          power_param {{ shift: 1 }} }}"""
        for number in range(30)
    )
    net = inputs(y0=(1 << 20,)) + layers
    x = np.zeros(1 << 20)
    with open_model(net) as model:
        tracemalloc.start()
        found = evaluate(model.graph, {"y0": x})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found["y30"][0] == 30
    assert peak < 6 * x.nbytes


def test_shapes_that_data_decide() -> None:
    net = """layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }
    layer { name: "c" type: "Convolution" bottom: "f" top: "c" convolution_param { num_output: 2 kernel_size: 2 } }
    layer { name: "d" type: "Deconvolution" bottom: "c" top: "d" convolution_param { num_output: 3 kernel_size: 2 } }
    layer { name: "p" type: "Pooling" bottom: "d" top: "p" pooling_param { pool: AVE global_pooling: true } }
    layer { name: "i" type: "InnerProduct" bottom: "p" top: "i" inner_product_param { num_output: 2 } }
    layer { name: "m" type: "Softmax" bottom: "i" top: "y" }"""
    weights = {
        "c/0": normal(2, 1, 2, 2),
        "c/1": normal(2),
        "d/0": normal(2, 3, 2, 2),
        "d/1": normal(3),
        "i/0": normal(2, 3),
        "i/1": normal(2),
    }
    x = normal(3, 1, 4, 4)
    whole = tops(net, weights, x=x, s=[1, 1, 1])["y"]
    assert np.array_equal(tops(net, weights, x=x, s=[0, 1, 1])["y"], whole[1:])
    assert tops(net, weights, x=x, s=[0, 0, 0])["y"].shape == (0, 2)
    folded = 'layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }' + (
        'layer { name: "r" type: "Reshape" bottom: "f" top: "y" reshape_param { shape { dim: 3 dim: 16 } } }'
    )
    assert tops(folded, x=x, s=[1, 1, 1])["y"].shape == (3, 16)
    with pytest.raises(NetError, match=r"layer 'r': it cannot be computed .* Received: 2x1x4x4"):
        tops(folded, x=x, s=[0, 1, 1])


def test_only_what_is_wanted_is_computed() -> None:
    net = inputs(x=(2,)) + (
        'layer { name: "a" type: "AbsVal" bottom: "x" top: "a" } layer { name: "p" type: "Python" bottom: "a" top: "b" '
        'python_param { module: "m" layer: "L" } }'
    )
    plan = FillerClient.embedded().plan_net(net, phase="TEST")
    part = wanted(graph(plan, {}), ["a"])
    assert evaluate(part, {"x": np.array([-1, 2])})["a"].tolist() == [1, 2]
    with pytest.raises(NetError, match=r"layer 'p' \(Python, line 2\): it is written in Python \(m.L\)"):
        evaluate(graph(plan, {}), {"x": np.array([-1, 2])})


def test_inputs_and_dtypes() -> None:
    plan = FillerClient.embedded().plan_net(
        inputs(x=(2,), z=(2,)) + 'layer { name: "e" type: "Eltwise" bottom: "x" bottom: "z" top: "y" }', phase="TEST"
    )
    whole = check(graph(plan, {}))
    x = np.array([1, 2])
    assert evaluate(whole, {"x": x, "z": x, "other": x}, np.float32)["y"].dtype == np.float32
    for given, dtype, message in (
        ({"x": x}, np.float64, "the net needs values of 'z'"),
        ({"x": x, "z": x[:1]}, np.float64, r"input 'z' has the shape 2. Received: 1"),
        ({"x": x, "z": np.array(["a", "b"])}, np.float64, "input 'z' holds numbers. Received: <U1"),
        ({"x": x, "z": x}, np.float16, "a net computes in float64 or float32. Received: dtype=float16"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            evaluate(whole, given, dtype)


def test_memory_is_counted_before() -> None:
    net = inputs(x=(1000,)) + (
        'layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }'
        'layer { name: "t" type: "Tile" bottom: "a" top: "t" tile_param { axis: 0 tiles: 10 } }'
        'layer { name: "r" type: "AbsVal" bottom: "t" top: "r" }'
    )
    part = check(graph(FillerClient.embedded().plan_net(net, phase="TEST"), {}))
    double = np.dtype(np.float64)
    # When "r" is computed, its bottom is still there, but no longer "a".
    check_memory(part, double, 8 * 20_000)
    with pytest.raises(LimitExceeded, match=r"layer 'r' needs 160,000 bytes at once .* this machine has 159,999"):
        check_memory(part, double, 8 * 20_000 - 1)
    with pytest.raises(LimitExceeded, match="layer 't' needs 88,000 bytes"):
        check_memory(part, double, 8 * 11_000 - 1)


NOT_COMPUTED = {
    # Nobody can, or they bring data in or take it out.
    *("Custom", "Python", "Unknown", "Input", "Data", "DummyData", "ForkData", "HDF5Data", "HDF5Output", "ImageData"),
    *("MemoryData", "WindowData", "Transform", "Silence", "ContinuationIndicator"),
    # Of forks, and not described by golden data.
    *("BoxAnnotatorOHEM", "CenterLoss", "Correlation", "DetectionEvaluate", "Downsample", "FlowWarp", "Lstm"),
    *("MarginInnerProduct", "PSROIAlign", "ROIAlign", "Resample", "SpatialTransformer"),
}


def test_every_operation_has_a_function_or_a_reason_to_have_none() -> None:
    assert operations.activations
    computed = {kind.__name__ for kind in computed_operations()}
    assert computed.isdisjoint(NOT_COMPUTED)
    assert {kind.__name__ for kind in Operation.kinds.values()} == computed | NOT_COMPUTED


def test_an_operation_has_one_function() -> None:
    with pytest.raises(ValueError, match="already registered"):
        computes(activations.ReLU)(lambda operation, layer: layer.bottom)
