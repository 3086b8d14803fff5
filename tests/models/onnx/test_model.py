"""Names, sharing, files and refusals of exported models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from filler_client._models import open_model
from filler_server.tensors import combined
from tests.models.onnx.running import computed, exported, onnx, onnx_file, onnx_model, run

pytestmark = pytest.mark.frameworks

IN_PLACE = """
name: "Small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "x" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "x" top: "x" }
layer { name: "again" type: "Convolution" bottom: "x" top: "y" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }
layer { name: "after" type: "Eltwise" bottom: "x" bottom: "y" top: "after" }
"""
RNG = np.random.default_rng(1)
WEIGHTS = {
    "conv/0": RNG.standard_normal((3, 3, 3, 3)).astype(np.float32),
    "conv/1": RNG.standard_normal(3).astype(np.float32),
}
DATA = {"data": RNG.standard_normal((2, 3, 5, 5)).astype(np.float32)}


def test_names_are_those_of_the_net_and_shared_weights_stand_there_once() -> None:
    model = exported(IN_PLACE, WEIGHTS)
    graph = model.graph
    assert graph.name == "Small"
    assert [value.name for value in graph.input] == ["data"]
    assert [value.name for value in graph.output] == ["after"]
    assert [(node.name, node.op_type, list(node.output)) for node in graph.node] == [
        ("conv", "Conv", ["x@conv"]),
        ("relu", "Relu", ["x"]),
        ("again", "Conv", ["y"]),
        ("after", "Add", ["after"]),
    ]
    assert [tensor.name for tensor in graph.initializer] == ["conv/0", "conv/1"]
    assert model.producer_name == "caffe-filler"
    assert {entry.domain for entry in model.opset_import} == {""}


def test_a_layer_in_place_has_a_value_before_and_one_after_it() -> None:
    tops = computed(IN_PLACE, DATA, WEIGHTS, tops=["x@conv", "x", "y", "after"])
    assert tops["x@conv"].min() < 0
    np.testing.assert_array_equal(tops["x"], np.maximum(tops["x@conv"], 0))
    np.testing.assert_array_equal(tops["after"], tops["x"] + tops["y"])


def test_a_value_with_the_name_of_a_blob_keeps_it() -> None:
    net = """
    layer { name: "data" type: "Input" top: "ip/0" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "ip/0" top: "ip"
      inner_product_param { num_output: 4 bias_term: false } }
    """
    weight = RNG.standard_normal((4, 3)).astype(np.float32)
    x = RNG.standard_normal((2, 3)).astype(np.float32)
    model = exported(net, {"ip/0": weight})
    assert [tensor.name for tensor in model.graph.initializer] == ["ip/0#2"]
    np.testing.assert_allclose(run(model, {"ip/0": x})["ip"], x @ weight.T, rtol=1e-5)


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    with open_model(IN_PLACE, WEIGHTS) as opened:
        model = onnx_model(opened.graph)
        inside = onnx_file.save(model, tmp_path / "inside.onnx")
        apart = onnx_file.save(model, tmp_path / "apart.onnx", external=True, metadata=lambda: {"key": "value"})
    assert inside == (tmp_path / "inside.onnx",)
    assert apart == (tmp_path / "apart.onnx", tmp_path / "apart.onnx.data")
    onnx.checker.check_model(str(apart[0]), full_check=True)
    loaded = onnx.load(apart[0])
    assert {entry.key: entry.value for entry in loaded.metadata_props} == {"key": "value"}
    for got, want in zip(loaded.graph.initializer, onnx.load(inside[0]).graph.initializer, strict=True):
        assert got.name == want.name
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(got), onnx.numpy_helper.to_array(want))
    raw = onnx.load(apart[0], load_external_data=False)
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in raw.graph.initializer]
    assert places == [
        {"location": "apart.onnx.data", "offset": "0", "length": "324"},
        {"location": "apart.onnx.data", "offset": "4096", "length": "12"},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["apart.onnx", "apart.onnx.data", "inside.onnx"]


def test_what_no_message_can_hold_stands_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LONGEST_MESSAGE", (1 << 20) + 100)
    with open_model(IN_PLACE, WEIGHTS) as opened:
        assert len(onnx_file.save(onnx_model(opened.graph), tmp_path / "net.onnx")) == 2


def test_nothing_stays_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    def fail() -> dict[str, str]:
        raise OSError("no")

    with open_model(IN_PLACE, WEIGHTS) as opened, pytest.raises(OSError, match="no"):
        onnx_file.save(onnx_model(opened.graph), tmp_path / "net.onnx", external=True, metadata=fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "kind"), [("float16", "FLOAT16"), ("bfloat16", "BFLOAT16")])
def test_half_floats_stay_so_in_the_file(dtype: str, kind: str) -> None:
    half = {name: values.astype(np.dtype(dtype)) for name, values in WEIGHTS.items()}
    model = exported(IN_PLACE, half)
    learned = [tensor for tensor in model.graph.initializer if tensor.name.startswith("conv/")]
    assert [tensor.data_type for tensor in learned] == [getattr(onnx.TensorProto, kind)] * 2
    want = computed(IN_PLACE, DATA, {name: values.astype(np.float32) for name, values in half.items()})
    for name, got in run(model, DATA).items():
        np.testing.assert_array_equal(got, want[name])


def test_doubles_become_single_as_in_caffe() -> None:
    wide = {name: values.astype(np.float64) for name, values in WEIGHTS.items()}
    want = computed(IN_PLACE, DATA, WEIGHTS)
    for name, got in computed(IN_PLACE, DATA, wide).items():
        np.testing.assert_array_equal(got, want[name])


def test_all_layers_without_counterpart_are_named_at_once() -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 dim: 6 dim: 6 } } }
    layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }
    layer { name: "py" type: "Python" bottom: "relu" top: "py" python_param { module: "m" layer: "L" } }
    layer { name: "drop" type: "Dropout" bottom: "relu" top: "drop" }
    layer { name: "warp" type: "FlowWarp" bottom: "relu" bottom: "drop" top: "warp" }
    """
    with pytest.raises(NetError) as raised:
        exported(net, phase="TRAIN")
    message = str(raised.value)
    assert message.startswith(
        "ONNX has no counterpart of 3 layers: layer 'py' (Python, line 4): it is written in Python"
    )
    assert "layer 'drop' (Dropout, line 5): it draws random numbers in phase TRAIN" in message
    assert "layer 'warp' (FlowWarp, line 6):" in message
    assert message.endswith("tops=['relu'] stops before that")
    assert [node.name for node in exported(net, tops=["relu"]).graph.node] == ["relu"]


def test_blobs_without_a_name_are_refused() -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
    layer { name: "relu" type: "ReLU" bottom: "data" top: "" }
    layer { name: "power" type: "Power" bottom: "" top: "power" power_param { shift: 1 } }
    """
    with pytest.raises(NetError, match=r"of 2 layers: layer 'relu' \(ReLU, line 3\): it has a blob without a name"):
        exported(net)


@pytest.mark.parametrize(
    ("layer", "dims", "reason"),
    [
        ('type: "Pooling" pooling_param { kernel_size: 4 stride: 3 round_mode: FLOOR }', (1, 1, 6, 3), "no windows"),
        ('type: "Pooling" pooling_param { global_pooling: true }', (2, 0, 4, 4), "no values"),
        ('type: "Im2col" convolution_param { kernel_size: 3 }', (1, 1, 6, 2), "no windows"),
        ('type: "Im2col" convolution_param { kernel_size: 1 }', (1, 0, 6, 2), "no values"),
    ],
)
def test_windows_over_nothing(layer: str, dims: tuple[int, ...], reason: str) -> None:
    shape = " ".join(f"dim: {dim}" for dim in dims)
    net = f"""layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {shape} }} }} }}
    layer {{ name: "l" bottom: "x" top: "y" {layer} }}"""
    with pytest.raises(NetError, match=rf"layer 'l' \(\w+, line 2\): it(s bottom)? has {reason}"):
        exported(net)


def test_legacy_formats_and_tops_that_nothing_reads() -> None:
    net = """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 4
    layers { name: "relu" type: RELU bottom: "data" top: "a" }
    layers { name: "slice" type: SLICE bottom: "a" top: "b" top: "c" }
    layers { name: "silence" type: SILENCE bottom: "b" }
    """
    x = RNG.standard_normal((1, 2, 4, 4)).astype(np.float32)
    tops = computed(net, {"data": x})
    assert list(tops) == ["c"]
    np.testing.assert_array_equal(tops["c"], np.maximum(x, 0)[:, 1:])


def test_memory_holds_no_tensor_as_a_whole(tmp_path: Path) -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4096 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
      inner_product_param { num_output: 2048 bias_term: false } }
    """
    sizes: list[int] = []

    def counted(block: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(block.size)
        return block

    with open_model(net, {"ip/0": np.zeros((2048, 4096), np.float32)}) as opened:
        tensor = combined("ip/0", counted, opened.graph.tensors["ip/0"])
        onnx_file.save(onnx_model(replace(opened.graph, tensors={"ip/0": tensor})), tmp_path / "net.onnx")
    assert sizes == [1 << 20] * 8


def for_any_batch(net: str, weights: dict[str, NDArray[np.float32]] | None = None) -> Any:
    """A net of the input `data` with a batch of 2 as a model for any batch."""
    with open_model(net, weights) as one, open_model(net, weights, inputs={"data": (4, None, None, None)}) as other:
        model = onnx_model(one.graph, other=other.graph).message
        for weight in onnx_model(one.graph).weights:
            array = weight.tensor.array().reshape(weight.shape)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight.name))
    onnx.checker.check_model(model, full_check=True)
    return model


ANY_BATCH = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } }
layer { name: "flat" type: "Reshape" bottom: "data" top: "flat" reshape_param { shape { dim: -1 dim: 25 } } }
layer { name: "back" type: "Reshape" bottom: "flat" top: "back" reshape_param { shape { dim: -1 dim: 3 dim: 25 } } }
layer { name: "ip" type: "InnerProduct" bottom: "back" top: "ip"
  inner_product_param { num_output: 4 axis: 2 bias_term: false } }
layer { name: "tanh" type: "TanH" bottom: "ip" top: "tanh" }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "tanh" top: "loss" }
layer { name: "priors" type: "PriorBox" bottom: "data" bottom: "data" top: "priors" prior_box_param { min_size: 3 } }
"""


def test_a_model_for_any_batch() -> None:
    weights = {"ip/0": RNG.standard_normal((4, 25)).astype(np.float32)}
    model = for_any_batch(ANY_BATCH, weights)
    dims = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    assert dims == {
        "data": ["batch", 3, 5, 5],
        "flat": ["3*batch", 25],
        "back": ["batch", 3, 25],
        "ip": ["batch", 3, 4],
        "tanh": ["batch", 3, 4],
        "loss": [],
        "priors": [1, 2, 100],
    }
    for batch in (1, 2, 7):
        x = RNG.standard_normal((batch, 3, 5, 5)).astype(np.float32)
        products = x.reshape(batch, 3, 25) @ weights["ip/0"].T
        want = ((products - np.tanh(products)) ** 2).sum() / batch / 2
        np.testing.assert_allclose(run(model, {"data": x})["loss"], want, rtol=1e-4)


def test_layers_that_depend_on_the_batch_are_all_named() -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } }
    layer { name: "halves" type: "Slice" bottom: "data" top: "a" top: "b" slice_param { axis: 0 } }
    layer { name: "relu" type: "ReLU" bottom: "a" top: "r" }
    layer { name: "turn" type: "Reverse" bottom: "r" top: "t" reverse_param { axis: 0 } }
    layer { name: "sum" type: "Eltwise" bottom: "t" bottom: "b" top: "y" }
    """
    with pytest.raises(NetError, match="ONNX with any batch has no counterpart of 2 layers") as raised:
        for_any_batch(net)
    assert "layer 'halves' (Slice, line 3): it depends on the batch (by halves/split)" in str(raised.value)
    assert "layer 'turn' (Reverse, line 5): it depends on the batch (by turn/order)" in str(raised.value)
