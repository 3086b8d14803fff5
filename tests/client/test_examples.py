"""The programs of client/examples, run as a reader would."""

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
