"""A net and its weights opened as a graph that computes."""

from pathlib import Path

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument, NetError, PrototxtError
from filler_client import save_weights
from filler_client._models import ModelOptions, ModelWeights, open_model
from tests.weights.messages import blob, net_of_layers, save

NET = """
name: "two"
layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "x"
  inner_product_param { num_output: 2 bias_term: false } }
layer { name: "relu" type: "ReLU" bottom: "x" top: "x" }
layer { name: "two" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 bias_term: false } }
"""
ONE, TWO = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([[7, 8]], np.float32)


def values(net: object, weights: ModelWeights, **options: object) -> dict[str, list[float]]:
    """Return the values of the blobs of a model."""
    with open_model(net, weights, **options) as model:  # type: ignore[arg-type]
        return {name: tensor.array().tolist() for name, tensor in model.graph.tensors.items()}


def test_weights_from_arrays_and_files(tmp_path: Path) -> None:
    want = {"one/0": ONE.tolist(), "two/0": TWO.tolist()}
    arrays = {"one/0": ONE, "two/0": TWO}
    assert values(NET, arrays) == want
    for ending in ("npz", "safetensors", "h5"):
        save_weights(arrays, tmp_path / f"w.{ending}")
        assert values(NET, tmp_path / f"w.{ending}") == want


def test_of_several_files_the_last_one_counts(tmp_path: Path) -> None:
    save_weights({"one/0": ONE, "two/0": TWO, "three/0": TWO}, tmp_path / "a.npz")
    save_weights({"two/0": TWO + 1}, tmp_path / "b.npz")
    with open_model(NET, [tmp_path / "a.npz", tmp_path / "b.npz"]) as model:
        assert model.graph.tensors["one/0"].array().tolist() == ONE.tolist()
        assert model.graph.tensors["two/0"].array().tolist() == [[8, 9]]
        assert [tensor.name for tensor in model.unused] == ["three/0"]
        assert model.files == (tmp_path / "a.npz", tmp_path / "b.npz")
        assert model.plan.phase == "TEST"


def test_a_net_has_its_own_weights(tmp_path: Path) -> None:
    net = NetParameter()
    layer = net.layer.add(name="d", type="Input", top=["data"])
    layer.input_param.shape.add(dim=[1, 3])
    layer = net.layer.add(name="one", type="InnerProduct", bottom=["data"], top=["y"], blobs=[blob(ONE)])
    layer.inner_product_param.num_output = 2
    layer.inner_product_param.bias_term = False
    path = save(tmp_path / "net.caffemodel", net)
    assert values(path, None) == {"one/0": ONE.tolist()}
    assert values(net, None) == {"one/0": ONE.tolist()}
    assert values(net, {"one/0": ONE + 1}) == {"one/0": (ONE + 1).tolist()}
    text = tmp_path / "net.prototxt"
    save_weights({"one/0": ONE}, text, net=net)
    assert values(text, None) == {"one/0": ONE.tolist()}


def test_a_part_needs_its_own_weights_only() -> None:
    assert values(NET, {"one/0": ONE}, tops=["x@one"]) == {"one/0": ONE.tolist()}


def test_deploy_before_tops_are_chosen() -> None:
    net = NET.replace('top: "data" input_param {', 'top: "data" top: "label" input_param { ', 1).replace(
        "dim: 3 }", "dim: 3 } shape { dim: 4 }"
    )
    net += 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }'
    with open_model(net, {"one/0": ONE, "two/0": TWO}, deploy=True) as model:
        assert (model.graph.inputs, model.graph.outputs) == (("data",), ("prob",))
    with open_model(net, {"one/0": ONE, "two/0": TWO}, deploy=True, tops=["y", "prob"]) as model:
        assert model.graph.outputs == ("y", "prob")
    with pytest.raises(InvalidArgument, match="no top 'loss'"):
        values(net, {"one/0": ONE, "two/0": TWO}, deploy=True, tops=["loss"])


def test_shapes_of_inputs() -> None:
    with open_model(NET, {"one/0": ONE, "two/0": TWO}, inputs={"data": (9, None)}) as model:
        assert model.graph.shape("y") == (9, 1)


def test_the_batch_of_a_data_layer_is_that_of_all_its_tops() -> None:
    net = """layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 64 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" top: "loss" }"""
    with open_model(net, inputs={"data": (1, 10)}) as model:
        assert model.graph.shape("label") == (1,)
    with pytest.raises(NetError, match="the same first dimension"):
        values(net, None, inputs={"data": (1, 10), "label": (2,)})


def test_labels_of_another_batch_do_not_matter_to_a_deploy_form() -> None:
    net = """layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 64 dim: 10 } } }
    layer { name: "l" type: "Input" top: "label" input_param { shape { dim: 64 } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" top: "loss" }"""
    with open_model(net, inputs={"data": (1, 10)}, deploy=True) as model:
        assert model.graph.shape("prob") == (1, 10)
    with pytest.raises(NetError, match=r"with data=1x10: .*the same first dimension"):
        values(net, None, inputs={"data": (1, 10)})


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (None, {}, "the net has learnable blobs, whose values weights='FILE' gives"),
        ({"one/0": ONE}, {}, "no values for 1 of the blobs that the net needs: 'two/0'"),
        (
            {"one/0": ONE.ravel()},
            {},
            r"'one/0' has the shape \[2, 3\] in the net and \[6\] in the file; reshape=True takes it",
        ),
        ({"one/1": ONE}, {}, "which has 'one/1' and lacks 'one/0'"),
        ({"one/0": ONE, "one/1": ONE[0]}, {}, "layer 'one' has 1 blobs? in the net and 2 in the file"),
        ({"other/0": ONE}, {}, "weights: no tensor of the file belongs to a layer of the net"),
        ({"one/0": ONE.astype(int)}, {}, "weights are floating-point numbers. Received: 'one/0' of int64"),
        ([], {}, "no file of weights is named"),
        ({"one/0": ONE}, {"tops": ["z"]}, "the net has no top 'z'"),
        ({"one/0": ONE}, {"tops": "x"}, "tops are a sequence of names"),
    ],
)
def test_refusals(weights: ModelWeights, options: ModelOptions, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message), open_model(NET, weights, **options):
        pass


def test_a_file_of_another_net(tmp_path: Path) -> None:
    path = save(tmp_path / "other.caffemodel", net_of_layers(other=[ONE]))
    with pytest.raises(InvalidArgument, match=r"no layer of the net has its weights in .*other.caffemodel"):
        values(NET, path)


def test_errors_name_the_file_of_the_net(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "d" type: "Input" top: "data" }\nlayer { name: "r" type: "ReLU" bottom: "data" top: "y" }'
    )
    with pytest.raises(NetError, match=r"net.prototxt: the shape of input 'data' is not known; inputs="):
        values(path, None)
    path.write_text("layer {")
    with pytest.raises(PrototxtError, match=r"net.prototxt:1:"):
        values(path, None)
    with pytest.raises(FileNotFoundError):
        values(tmp_path / "no.prototxt", None)
