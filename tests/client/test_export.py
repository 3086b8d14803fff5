"""`filler_client.export`, as far as it needs no library of models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_client import export
from filler_client._export_graph import Changes, ImageOptions
from filler_client._models import open_model
from filler_client._provenance import provenance
from filler_server.models.reference.evaluation import evaluate
from tests.weights.messages import blob, net_of_layers, save

TRAINED = """
name: "T"
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 4 }
  transform_param { mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5 crop_size: 5 mirror: true } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 bias_term: false } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
WEIGHTS = {"ip/0": np.random.default_rng(1).standard_normal((2, 75)).astype(np.float32)}
SHAPE = {"data": (4, 3, 5, 5)}


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("net.pb", {}, r"a model ends in \.onnx \(ONNX\).*Received: net.pb"),
        ("net.onnx", {"dtype": "f64"}, "float32, float16 or bfloat16. Received: dtype=f64"),
        ("net.onnx", {"dtype": "int8"}, "no data type that a blob can have"),
    ],
)
def test_what_cannot_be_asked(path: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        export(TRAINED, path, WEIGHTS, inputs=SHAPE, **options)  # type: ignore[arg-type]


def test_images_are_prepared_as_the_net_asks() -> None:
    image = np.random.default_rng(2).integers(0, 256, SHAPE["data"]).astype(np.float64)
    with open_model(TRAINED, WEIGHTS, inputs=SHAPE, deploy=True) as model:
        graph, _ = Changes(False, ImageOptions(wanted=True), None).apply(model)
        got = evaluate(graph, {"data": image})["prob"]
        blue_first = (image[:, ::-1] - np.array([104, 117, 123]).reshape(3, 1, 1)) / 2
        np.testing.assert_allclose(got, evaluate(model.graph, {"data": blue_first})["prob"], rtol=1e-6)
        plain, _ = Changes(False, ImageOptions(mean=[0.0], scale=1.0, bgr=False), None).apply(model)
        np.testing.assert_allclose(
            evaluate(plain, {"data": image})["prob"], evaluate(model.graph, {"data": image})["prob"]
        )
        assert Changes(False, ImageOptions(), None).apply(model)[0] is model.graph


def test_means_in_files(tmp_path: Path) -> None:
    mean = np.random.default_rng(3).standard_normal((3, 5, 5)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    save(tmp_path / "mean.binaryproto", blob(mean[None]))
    net = tmp_path / "net.prototxt"
    net.write_text(TRAINED.replace("mean_value: 104 mean_value: 117 mean_value: 123", 'mean_file: "mean.binaryproto"'))
    for images in (ImageOptions(mean=tmp_path / "mean.npy"), ImageOptions(wanted=True)):
        with open_model(net, WEIGHTS, inputs=SHAPE, deploy=True) as model:
            steps, _ = images.steps(model)
        assert steps is not None
        assert steps.mean is not None
        np.testing.assert_array_equal(steps.mean.reshape(3, 5, 5), mean)
        assert (steps.scale, steps.bgr) == (0.5, True)
    (tmp_path / "mean.binaryproto").unlink()
    with (
        open_model(net, WEIGHTS, inputs=SHAPE, deploy=True) as model,
        pytest.raises(InvalidArgument, match=r"asks for the mean 'mean.binaryproto', which is not here; mean='FILE'"),
    ):
        ImageOptions(wanted=True).steps(model)


@pytest.mark.parametrize("mean", ["no such file", object()])
def test_a_mean_that_is_none(mean: object) -> None:
    with open_model(TRAINED, WEIGHTS, inputs=SHAPE) as model, pytest.raises((InvalidArgument, FileNotFoundError)):
        ImageOptions(mean=mean).steps(model)  # type: ignore[arg-type]


def test_constant_inputs_become_part_of_the_net() -> None:
    net = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "c" type: "DummyData" top: "c"
      dummy_data_param { data_filler { type: "constant" value: 1.5 } shape { dim: 2 dim: 3 } } }
    layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "c" top: "y" }
    """
    with open_model(net) as model:
        graph, _ = Changes(False, ImageOptions(), None).apply(model)
        assert graph.inputs == ("x",)
        np.testing.assert_array_equal(evaluate(graph, {"x": np.ones((2, 3))})["y"], np.full((2, 3), 2.5))


def test_weights_in_half_precision_and_a_note_about_what_was_folded() -> None:
    net = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 2 } }
    layer { name: "bn" type: "BatchNorm" bottom: "ip" top: "bn" }
    """
    weights = {"ip/0": np.ones((2, 3)), "ip/1": np.ones(2), "bn/0": np.ones(2), "bn/1": np.ones(2), "bn/2": np.ones(1)}
    with open_model(net, weights) as model:
        graph, notes = Changes(True, ImageOptions(), np.dtype(np.float16)).apply(model)
    assert [tensor.dtype for tensor in graph.tensors.values()] == [np.float16, np.float16]
    assert notes == ["1 layer became part of the weights before it"]


def test_provenance(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(TRAINED)
    weights = save(tmp_path / "w.caffemodel", net_of_layers(ip=[WEIGHTS["ip/0"]]))
    with open_model(net, weights, inputs=SHAPE) as model:
        told = provenance(net, model.files, model.plan)()
        assert provenance(TRAINED, (), model.plan)().keys() == {"producer", "caffe.net.sha256", "caffe.transform_param"}
    assert told["caffe.net"] == "net.prototxt"
    assert told["caffe.weights"] == "w.caffemodel"
    assert len(told["caffe.weights.sha256"]) == len(told["caffe.net.sha256"]) == 64
    assert told["producer"].startswith("caffe-filler ")
    assert json.loads(told["caffe.transform_param"]) == {
        "data": {"mean_value": [104, 117, 123], "scale": 0.5, "crop_size": [5, 5], "mirror": True, "channels": "bgr"}
    }


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"scale": float("nan")}, "a scale is a finite number other than 0"),
        ({"scale": 0.0}, "a scale is a finite number other than 0"),
        ({"mean": [float("inf"), 1, 2]}, "a mean has finite numbers"),
        ({"verify": False, "certificate": "c.json"}, "a certificate tells of a verification"),
    ],
)
def test_numbers_and_options_of_which_no_model_comes(option: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=words):
        export(TRAINED, tmp_path / "net.onnx", WEIGHTS, inputs=SHAPE, deploy=True, **option)
    assert not list(tmp_path.iterdir())


def test_the_order_of_channels_that_nothing_tells_is_told() -> None:
    inner_product = TRAINED.split("layer ")[2]
    net = f'input: "data" layer {inner_product}'
    with open_model(net, WEIGHTS, inputs=SHAPE) as model:
        _, notes = Changes(False, ImageOptions(scale=0.5), None).apply(model)
        assert [note for note in notes if "taken to want red first" in note]
        _, notes = Changes(False, ImageOptions(scale=0.5, bgr=True), None).apply(model)
        assert not notes
