"""`filler export`."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from filler_client import save_weights
from tests.client.cli.command import fail, succeed

NET = """
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
W, B = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.float32), np.array([0.5, -0.5], np.float32)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a net and its weights."""
    (tmp_path / "net.prototxt").write_text(NET)
    save_weights({"ip/0": W, "ip/1": B}, tmp_path / "w.npz")
    return tmp_path


def arguments(files: Path, *more: object) -> tuple[object, ...]:
    return ("export", files / "net.prototxt", "--weights", files / "w.npz", "--deploy", "--input", "data=2,4", *more)


def test_help_has_examples() -> None:
    assert b"filler export deploy.prototxt --weights net.caffemodel -o net.onnx" in succeed("export", "--help")


def test_help_offers_the_types_that_a_model_has() -> None:
    text = succeed("export", "--help")
    assert b"--dtype [f32|f16|bf16]" in text
    assert b"f64" not in text


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["-o", "net.pb"], 1, "a model ends in .onnx (ONNX)"),
        ([], 2, "Missing option '-o'"),
        (["-o", "net.onnx", "--mean", "no.npy"], 2, "a mean is a file or numbers with commas between them"),
        (["-o", "net.onnx", "--dtype", "f64"], 1, "a model has its weights as float32, float16 or bfloat16"),
        (["-o", "net.onnx", "--top", "porb"], 1, "the net has no top 'porb' (did you mean 'prob'?)"),
    ],
)
def test_what_cannot_be_asked(files: Path, options: list[str], status: int, message: str) -> None:
    assert message in fail(status, *arguments(files, *options))
    assert not Path("net.onnx").exists()


@pytest.mark.frameworks
def test_a_model(files: Path) -> None:
    onnx = pytest.importorskip("onnx")
    target = files / "net.onnx"
    out = succeed(*arguments(files, "--dynamic-batch", "--no-verify", "-o", target)).decode()
    assert out.startswith("ONNX: data 2x4 -> prob 2x2\n")
    model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert (told["caffe.net"], told["caffe.weights"]) == ("net.prototxt", "w.npz")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Softmax"]


@pytest.mark.frameworks
def test_all_layers_that_stand_in_the_way_are_named(files: Path) -> None:
    pytest.importorskip("onnx")
    with (files / "net.prototxt").open("a") as file:
        for name in ("one", "two"):
            file.write(f'layer {{ name: "{name}" type: "Python" bottom: "ip" top: "{name}" ')
            file.write('python_param { module: "m" layer: "L" } }\n')
    message = fail(1, *arguments(files, "-o", files / "net.onnx"))
    assert f"{files / 'net.prototxt'}: ONNX has no counterpart of 2 layers: layer 'one' (Python, line 5)" in message
    assert message.rstrip().endswith("--top ip --top prob stops before that")
    assert not (files / "net.onnx").exists()
    succeed(*arguments(files, "--top", "prob", "-o", files / "net.onnx"))


@pytest.mark.frameworks
def test_the_table_of_a_verification(files: Path) -> None:
    pytest.importorskip("onnxruntime")
    lines = (
        succeed(*arguments(files, "-o", files / "net.onnx", "--certificate", files / "c.json")).decode().splitlines()
    )
    assert lines[0].split() == ["layer", "top", "largest", "error", "relative"]
    assert [line.split()[:2] for line in lines[1:3]] == [["ip", "ip"], ["prob", "prob"]]
    assert lines[4].startswith("ONNX Runtime ")
    assert "on data 2x4: 2 tops, all within 0.0001 of the largest value; worst " in lines[4]
    assert json.loads((files / "c.json").read_text())["files"].keys() == {"net.onnx"}


def test_a_verification_needs_its_library(files: Path) -> None:
    if find_spec("onnxruntime") is not None:
        pytest.skip("it is installed")
    message = fail(1, *arguments(files, "--verify", "-o", files / "net.onnx"))
    assert "the verification of a model of ONNX needs onnxruntime: pip install 'caffe-filler[onnx]'" in message
