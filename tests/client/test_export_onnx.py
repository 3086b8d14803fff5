"""`filler_client.export` to ONNX, run in ONNX Runtime."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument, Unavailable
from filler_client import VerificationError, export, run, save_weights
from filler_server.net.operations.activations import ReLU
from tests.models.onnx.running import onnx, registry
from tests.models.onnx.running import run as run_onnx
from tests.weights.messages import net_of_layers, save

pytestmark = pytest.mark.frameworks

NET = """
name: "Small"
layer { name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 2 }
  transform_param { mean_value: 104 scale: 0.5 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }
"""
RNG = np.random.default_rng(7)
WEIGHTS = {
    "conv/0": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "bn/0": RNG.standard_normal(4).astype(np.float32),
    "bn/1": RNG.random(4).astype(np.float32) + 1,
    "bn/2": np.full(1, 2, np.float32),
    "scale/0": RNG.standard_normal(4).astype(np.float32),
    "scale/1": RNG.standard_normal(4).astype(np.float32),
    "ip/0": RNG.standard_normal((5, 36)).astype(np.float32),
    "ip/1": RNG.standard_normal(5).astype(np.float32),
}
IMAGE = RNG.integers(0, 256, (2, 3, 8, 8)).astype(np.float32)
OPTIONS: dict[str, Any] = {"inputs": {"data": (2, 3, 8, 8)}, "deploy": True}


def model(path: Path, **options: Any) -> Any:
    """A checked model of the net."""
    exported = export(NET, path, WEIGHTS, **{**OPTIONS, **options})
    loaded = onnx.load(exported.path)
    onnx.checker.check_model(loaded, full_check=True)
    return loaded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.onnx"


@pytest.fixture(scope="module")
def want() -> np.ndarray:
    return run(NET, WEIGHTS, {"data": (IMAGE[:, ::-1] - 104) / 2}, deploy=True)["prob"]


def test_a_deploy_form(path: Path, want: np.ndarray) -> None:
    found = model(path)
    assert [node.name for node in found.graph.node] == [
        "conv",
        "bn",
        "scale/Mul",
        "scale",
        "relu",
        "pool",
        "ip/Flatten",
        "ip",
        "prob",
    ]
    got = run_onnx(found, {"data": (IMAGE[:, ::-1] - 104) / 2})["prob"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_every_change_together(path: Path, want: np.ndarray) -> None:
    exported = export(
        NET, path, WEIGHTS, fold_batch_norm=True, preprocess=True, dynamic_batch=True, external_data=True, **OPTIONS
    )
    assert exported.files == (path, path.with_name("net.onnx.data"))
    assert exported.nbytes == sum(file.stat().st_size for file in exported.files)
    assert exported.notes == ("2 layers became part of the weights before them",)
    found = onnx.load(path)
    names = [node.name for node in found.graph.node]
    assert names == ["data/bgr", "data/mean", "data/scale", "conv", "relu", "pool", "ip/Flatten", "ip", "prob"]
    for batch in (1, 2):
        got = run_onnx(found, {"data": IMAGE[:batch]})["prob"]
        np.testing.assert_allclose(got, want[:batch], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("dtype", "kind", "atol"), [("f16", "FLOAT16", 0.05), ("bf16", "BFLOAT16", 0.3)])
def test_weights_of_16_bits(path: Path, want: np.ndarray, dtype: str, kind: str, atol: float) -> None:
    found = model(path, dtype=dtype, fold_batch_norm=True)
    assert {tensor.data_type for tensor in found.graph.initializer if tensor.name in WEIGHTS} == {
        getattr(onnx.TensorProto, kind)
    }
    got = run_onnx(found, {"data": (IMAGE[:, ::-1] - 104) / 2})["prob"]
    np.testing.assert_allclose(got, want, atol=atol)


def test_what_a_dtype_cannot_hold_is_told(path: Path) -> None:
    large = {**WEIGHTS, "ip/1": np.full(5, 1e6, np.float32)}
    exported = export(NET, path, large, dtype="f16", **OPTIONS)
    assert exported.notes == ("'ip/1': 5 values are beyond float16 and became infinite",)


def test_where_it_comes_from(path: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    layers: dict[str, list[np.ndarray]] = {}
    for name, values in WEIGHTS.items():
        layers.setdefault(name.partition("/")[0], []).append(values)
    weights = save(tmp_path / "w.caffemodel", net_of_layers(**layers, extra=[WEIGHTS["ip/1"]]))
    exported = export(net, path, weights, **OPTIONS)
    assert exported.notes == ("no layer of the net takes these of the weights: extra/0",)
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(told["caffe.transform_param"]) == {"data": {"mean_value": [104], "scale": 0.5, "channels": "bgr"}}
    assert told.keys() > {"caffe.net", "caffe.net.sha256", "caffe.weights", "caffe.weights.sha256", "producer"}


def test_a_net_that_can_have_no_other_batch(path: Path) -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "flat" type: "Reshape" bottom: "data" top: "y" reshape_param { shape { dim: 3 dim: 2 } } }
    """
    with pytest.raises(InvalidArgument, match=r"the net cannot have another batch than 2: .*layer 'flat'"):
        export(net, path, dynamic_batch=True)
    assert not path.exists()


def test_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        export(NET, tmp_path / "no" / "net.onnx", WEIGHTS, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("filler_server.models.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Unavailable, match=r"a model of ONNX needs onnx: pip install 'caffe-filler\[onnx\]'"):
        export(NET, path, WEIGHTS, **OPTIONS)


def test_a_model_is_verified_with_a_certificate(path: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.json"
    exported = export(NET, path, WEIGHTS, dynamic_batch=True, external_data=True, certificate=certificate, **OPTIONS)
    assert [one.inputs for one in exported.verifications] == [{"data": (2, 3, 8, 8)}, {"data": (4, 3, 8, 8)}]
    names = ["conv@conv", "conv@bn", "conv@scale", "conv", "pool", "ip", "prob"]
    for verification in exported.verifications:
        assert verification.runtime.startswith("ONNX Runtime ")
        assert [difference.value for difference in verification.differences] == names
        assert verification.failures == ()
    document = json.loads(certificate.read_text())
    assert document["files"] == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in exported.files}
    assert document["source"]["caffe.net.sha256"]
    assert [one["passed"] for one in document["verifications"]] == [True, True]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["certificate.json", "net.onnx", "net.onnx.data"]


def test_a_model_that_computes_something_else_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._EMITTERS, ReLU, lambda layer, operation, x: layer.add("Abs", x))
    message = r"net.onnx does not compute what the net does: .*: first 'conv' of layer 'relu' \(ReLU\)"
    with pytest.raises(VerificationError, match=message) as error:
        export(NET, path, WEIGHTS, **OPTIONS)
    # What is made of it is right in itself.
    assert [one.value for one in error.value.verifications[0].failures] == ["conv"]
    assert path.exists()
    assert export(NET, path, WEIGHTS, verify=False, **OPTIONS).verifications == ()


@pytest.mark.parametrize(("operator", "runtime"), [("NoSuch", "onnxruntime"), ("GatherElements", r"ONNX Runtime \S+")])
def test_a_model_that_does_not_run_is_told_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, operator: str, runtime: str
) -> None:
    def emitted(layer: Any, operation: ReLU, x: str) -> str:
        # Of index 99 there is no item, which is only seen where it runs.
        return layer.add(operator, x, layer.whole(layer.add("Add", x, layer.constant(99, "far"))))

    monkeypatch.setitem(registry._EMITTERS, ReLU, emitted)
    with pytest.raises(VerificationError, match=rf"^{path} does not run in {runtime}: .*{operator}") as error:
        export(NET, path, WEIGHTS, **OPTIONS)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 400


def test_opencv_is_asked_where_it_reads_the_net(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    if cv2.__version__ >= "5":
        pytest.skip("this version reads no nets of Caffe")
    net = tmp_path / "net.prototxt"
    text = NET[NET.index('layer { name: "conv"') : NET.index('layer { name: "loss"')]
    net.write_text(f'input: "data" input_shape {{ dim: 2 dim: 3 dim: 8 dim: 8 }}\n{text}')
    described = NetParameter()
    text_format.Parse(net.read_text(), described)
    save_weights(WEIGHTS, tmp_path / "w.caffemodel", net=described)
    exported = export(net, tmp_path / "net.onnx", tmp_path / "w.caffemodel")
    assert [one.runtime.partition(" ")[0] for one in exported.verifications] == ["ONNX", "OpenCV"]
    assert [one.failures for one in exported.verifications] == [(), ()]
    assert len(exported.verifications[1].differences) > 3
    layer = 'layer { name: "root" type: "SignedSqrt" bottom: "ip" top: "root" }'
    net.write_text(net.read_text() + layer)
    refused = export(net, tmp_path / "net.onnx", tmp_path / "w.caffemodel")
    assert len(refused.verifications) == 1
    assert refused.notes[0].startswith("OpenCV was not asked: ")


def test_what_a_net_gives_itself_has_no_other_batch(tmp_path: Path) -> None:
    net = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [4, 6] } } }
    layer { name: "two" type: "DummyData" top: "two"
      dummy_data_param { shape { dim: [4, 6] } data_filler { type: "constant" value: 2 } } }
    layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "two" top: "sum" }
    """
    with pytest.raises(InvalidArgument, match="the net cannot have another batch than 4"):
        export(net, tmp_path / "net.onnx", dynamic_batch=True, verify=False)
