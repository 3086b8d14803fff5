"""`filler_client.export` to a source of PyTorch, which needs no PyTorch."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from caffe_filler.errors import InvalidArgument, NetError
from filler_client import VerificationError, _verification, export, save_weights
from filler_client._models import open_model

NET = """
name: "Small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
layer { name: "fixed" type: "DummyData" top: "fixed" dummy_data_param { shape { dim: 2 dim: 3 }
  data_filler { type: "constant" value: 0.5 } } }
layer { name: "conv/1" type: "Convolution" bottom: "data" top: "x" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "x" }
layer { name: "scale" type: "Scale" bottom: "x" top: "x" scale_param { bias_term: true } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "again" type: "InnerProduct" bottom: "x" top: "again" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "sum" type: "Eltwise" bottom: "ip" bottom: "fixed" top: "sum" }
"""
RNG = np.random.default_rng(1)


def values(*shape: int) -> "np.typing.NDArray[np.float32]":
    return (0.1 + RNG.random(shape)).astype(np.float32)


TIED = values(3, 64)
WEIGHTS = {
    "conv/1/0": values(4, 3, 3, 3),
    "conv/1/1": values(4),
    "bn/0": values(4),
    "bn/1": values(4),
    "bn/2": np.array([2], np.float32),
    "scale/0": values(4),
    "scale/1": values(4),
    "ip/0": TIED,
    "ip/1": values(3),
    "again/0": TIED,
    "again/1": values(3),
}


def test_a_source_and_its_weights(tmp_path: Path) -> None:
    exported = export(NET, tmp_path / "small.py", WEIGHTS)
    assert exported.files == (tmp_path / "small.py", tmp_path / "small.safetensors")
    assert exported.format == "PyTorch"
    assert exported.inputs == {"data": (2, 3, 6, 6)}
    assert exported.outputs == {"again": (2, 3), "sum": (2, 3)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.py", "small.safetensors"]
    state = load_file(tmp_path / "small.safetensors")
    assert set(state) == {
        *("conv/1.weight", "conv/1.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
        *("ip.weight", "ip.bias", "again.bias", "fixed.weight"),
    }
    np.testing.assert_array_equal(state["bn.running_mean"], WEIGHTS["bn/0"] / 2)
    source = (tmp_path / "small.py").read_text()
    names = {alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names}
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names | modules} <= {"torch", "pathlib", "collections", "safetensors"}
    assert "self.conv_1 = nn.Conv2d(3, 4, 3)" in source
    assert "self.again.weight = self.ip.weight" in source
    assert "producer: caffe-filler" in source
    assert "caffe.net.sha256: " in source


def test_a_model_that_nobody_can_run_here_is_said_not_to_be_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_verification, "find_spec", lambda name: None)
    assert export(NET, tmp_path / "a.py", WEIGHTS).notes == ("it was not verified, as torch is not installed",)
    assert export(NET, tmp_path / "b.py", WEIGHTS, verify=False).notes == ()


def test_types_of_weights(tmp_path: Path) -> None:
    wide = {name: array.astype(np.float64) for name, array in WEIGHTS.items()}
    export(NET, tmp_path / "single.py", wide)
    assert {array.dtype for array in load_file(tmp_path / "single.safetensors").values()} == {np.dtype(np.float32)}
    export(NET, tmp_path / "half.py", WEIGHTS, dtype="f16")
    assert {array.dtype for array in load_file(tmp_path / "half.safetensors").values()} == {np.dtype(np.float16)}


def test_a_net_without_weights_is_a_source_alone(tmp_path: Path) -> None:
    net = NET[: NET.index('layer { name: "fixed"')] + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'
    assert export(net, tmp_path / "relu.py").files == (tmp_path / "relu.py",)
    assert "safetensors" not in (tmp_path / "relu.py").read_text()


def test_the_weights_that_are_read_are_not_overwritten(tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / "net.safetensors")
    before = (tmp_path / "net.safetensors").read_bytes()
    with pytest.raises(InvalidArgument, match=r"net.safetensors' would take the place of the weights"):
        export(NET, tmp_path / "net.py", tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").read_bytes() == before
    assert not (tmp_path / "net.py").exists()


def test_nothing_is_written_of_what_is_refused(tmp_path: Path) -> None:
    net = (
        NET + 'layer { name: "code" type: "Python" bottom: "sum" top: "code" python_param { module: "m" layer: "L" } }'
    )
    with pytest.raises(NetError, match=r"layer 'code'.*stops before that"):
        export(net, tmp_path / "net.py", WEIGHTS)
    with pytest.raises(OSError):
        export(NET, tmp_path / "nowhere" / "net.py", WEIGHTS)
    with pytest.raises(InvalidArgument, match="PyTorch has no dynamic_batch"):
        export(NET, tmp_path / "net.py", WEIGHTS, dynamic_batch=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.frameworks
def test_the_file_runs_without_this_project(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from filler_client import run

    export(NET, tmp_path / "small.py", WEIGHTS, mean=[1.0, 2.0, 3.0], bgr=True)
    image = RNG.integers(0, 256, (2, 3, 6, 6)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    program = """
import sys
for name in ("filler_client", "filler_server", "caffe_filler"):
    sys.modules[name] = None
import numpy, torch, small
net = small.load()
outputs = net(torch.from_numpy(numpy.load("image.npy")))
assert not net.get_parameter("fixed.weight").requires_grad
numpy.savez("got.npz", **{name: value.detach().numpy() for name, value in outputs.items()})
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    got = np.load(tmp_path / "got.npz")
    blue_first = image[:, ::-1] - np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
    want = run(NET, WEIGHTS, inputs={"data": blue_first})
    for name in ("sum", "again"):
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4)


@pytest.mark.frameworks
def test_every_value_is_compared_with_the_reference(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    exported = export(NET, tmp_path / "small.py", WEIGHTS, certificate=tmp_path / "proof.json")
    (verification,) = exported.verifications
    assert verification.runtime.startswith("PyTorch ")
    # A normalization and the Scale after it are one module, which has one value.
    values = {"x@conv/1", "x", "ip", "again", "sum", "fixed"}
    assert {difference.value for difference in verification.differences} == values
    assert verification.failures == ()
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert set(proof["files"]) == {"small.py", "small.safetensors"}
    assert proof["verifications"][0]["passed"] is True


@pytest.mark.frameworks
def test_a_wrong_module_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from filler_server.models.torch.registry import EMITTERS
    from filler_server.net.operations.combination import Eltwise

    monkeypatch.setitem(EMITTERS, Eltwise, lambda layer, operation: " - ".join(layer.bottoms))
    with pytest.raises(VerificationError, match=r"does not compute what the net does: in PyTorch.*of layer 'sum'"):
        export(NET, tmp_path / "small.py", WEIGHTS)
    assert export(NET, tmp_path / "small.py", WEIGHTS, verify=False).verifications == ()


@pytest.mark.frameworks
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("factor", [999.98, 3.0, 0.0])
def test_half_floats_hold_statistics_as_they_are_computed_with(tmp_path: Path, dtype: str, factor: float) -> None:
    torch = pytest.importorskip("torch")
    net = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }
    layer { name: "b" type: "BatchNorm" bottom: "x" top: "y" }
    """
    variances = np.float32([123.4, 1.1, 0.7])
    weights = {
        "b/0": np.float32([800, -300, 123]),
        "b/1": variances * np.float32(factor or 1),
        "b/2": np.float32([factor]),
    }
    (verification,) = export(net, tmp_path / "b.py", weights, dtype=dtype).verifications
    assert verification.failures == ()
    if factor:
        # 123.4 * 999.98 is beyond float16, the variance is not.
        kind = {"f16": torch.float16, "bf16": torch.bfloat16}[dtype]
        held = pytest.importorskip("safetensors.torch").load_file(tmp_path / "b.safetensors")["b.running_var"]
        torch.testing.assert_close(held, torch.from_numpy(variances).to(kind), rtol=0, atol=0)


@pytest.mark.frameworks
@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{}.reshape(7, 7)", r"shape '\[7, 7\]' is invalid for input"),
        ("{}.sum(9)", "Dimension out of range"),
        ("torch.ones(2).tile('a' * 9999)", "tile"),
    ],
)
def test_a_module_that_does_not_run_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str, reason: str
) -> None:
    pytest.importorskip("torch")
    from filler_server.models.torch.registry import EMITTERS
    from filler_server.net.operations.combination import Eltwise

    monkeypatch.setitem(EMITTERS, Eltwise, lambda layer, operation: expression.format(layer.bottoms[0]))
    path = tmp_path / "small.py"
    with pytest.raises(VerificationError, match=rf"^{path} does not run in PyTorch \S+: .*{reason}") as error:
        export(NET, path, WEIGHTS)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 400


@pytest.mark.frameworks
def test_memory_that_runs_out_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from filler_server.models.torch.runtime import TorchRuntime

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(TorchRuntime, "compute", fail)
    with pytest.raises(MemoryError):
        export(NET, tmp_path / "small.py", WEIGHTS)


@pytest.mark.frameworks
def test_states_begin_at_0_each_time(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from filler_server.models.torch.runtime import TorchRuntime

    net = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 dim: 3 } } }
    layer { name: "c" type: "Input" top: "cont" input_param { shape { dim: 2 dim: 1 } } }
    layer { name: "l" type: "LSTM" bottom: "x" bottom: "cont" top: "l" recurrent_param { num_output: 2 } }
    layer { name: "r" type: "ReLU" bottom: "l" top: "r" }
    """
    weights = {"l/0": values(8, 3), "l/1": values(8), "l/2": values(8, 2)}
    exported = export(net, tmp_path / "lstm.py", weights)
    with open_model(net, weights) as model:
        runtime = TorchRuntime(exported.path, model.graph)
    inputs = {"x": np.ones((2, 1, 3)), "cont": np.ones((2, 1))}
    first, second = (runtime.compute(inputs, ["l", "r"]) for _ in range(2))
    np.testing.assert_array_equal(first["l"], second["l"])
    assert set(runtime.values) == {"l", "r"}
    assert torch.is_grad_enabled()


@pytest.mark.frameworks
def test_a_net_that_draws_random_numbers_is_not_verified(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    net = NET + 'layer { name: "drop" type: "Dropout" bottom: "sum" top: "drop" }'
    exported = export(net, tmp_path / "net.py", WEIGHTS, phase="TRAIN")
    assert exported.verifications == ()
    assert any("was not verified" in note and "draws random numbers" in note for note in exported.notes)
    with pytest.raises(NetError, match="draws random numbers"):
        export(net, tmp_path / "net.py", WEIGHTS, phase="TRAIN", verify=True)
    (verification,) = export(NET, tmp_path / "net.py", WEIGHTS, phase="TRAIN").verifications
    assert verification.failures == ()


@pytest.mark.frameworks
def test_the_default_device_changes_nothing(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from filler_client.torch import load_net

    with torch.device("meta"):
        (verification,) = export(NET, tmp_path / "small.py", WEIGHTS).verifications
        net = load_net(NET, WEIGHTS)
    assert verification.failures == ()
    assert {tensor.device.type for tensor in net.state_dict().values()} == {"cpu"}
