"""The programs of client/examples, run as a reader would."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from filler_client import FillerClient

EXAMPLES = Path(__file__).resolve().parents[2] / "client" / "examples"


def test_examples_are_short() -> None:
    examples = list(EXAMPLES.glob("*.py"))
    assert examples
    for example in examples:
        assert len(example.read_text().splitlines()) < 60, example.name


@pytest.mark.frameworks
def test_a_caffe_net_has_the_same_numbers_everywhere(nets: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    net = nets / "lenet.prototxt"
    FillerClient.embedded().save_net(net, tmp_path / "net.caffemodel", seed=1701)
    program = [sys.executable, str(EXAMPLES / "run_caffe_net.py"), str(net), str(tmp_path / "net.caffemodel")]
    result = subprocess.run([*program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "self.conv1 = nn.Conv2d(1, 20, 5)" in result.stdout
    assert "prob: PyTorch is off by" in result.stdout
    assert "prob: ONNX Runtime is off by" in result.stdout
    assert (tmp_path / "net.onnx").exists()


@pytest.mark.frameworks
def test_a_transformer_has_the_same_weights_on_any_number_of_processes() -> None:
    pytest.importorskip("torch")
    path = EXAMPLES / "initialize_transformer.py"
    glue = re.search(r"# From the bare module to the filled one\.\n(.*?)\n\n", path.read_text(), re.DOTALL)
    assert glue is not None
    assert len(glue[1].splitlines()) <= 5
    digests = set()
    for size in (1, 2):
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        world = {**address, "WORLD_SIZE": str(size), "OMP_NUM_THREADS": "1"}
        processes = [
            subprocess.Popen(
                [sys.executable, str(path)],
                env={**os.environ, **world, "RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        answers = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * size, answers
        found = re.search(r"SHA-256 of all parameters: (\w{64})", answers[0][0])
        assert found is not None
        digests.add(found[1])
        assert all("the first loss is" in out for out, _ in answers)
    assert len(digests) == 1


@pytest.mark.frameworks
def test_a_model_of_flax_has_the_same_weights_on_every_mesh() -> None:
    pytest.importorskip("flax")
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    digests = set()
    for mesh in (("8", "1"), ("2", "4")):
        program = [sys.executable, str(EXAMPLES / "initialize_flax.py"), *mesh]
        result = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        found = re.search(r"SHA-256 of all parameters: (\w{64})", result.stdout)
        assert found is not None
        digests.add(found[1])
    assert len(digests) == 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
