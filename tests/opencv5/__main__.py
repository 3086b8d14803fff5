"""`make opencv`: which exported models OpenCV 5 reads, and whether it computes the same as ONNX Runtime."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from filler_client import export
from filler_client._models import open_model
from filler_client.cli.terminal import print_line, print_table
from filler_server.models.samples import sample_inputs
from tests.models.cases import CASES
from tests.models.own_nets import LARGE_NETS, OWN_NETS, weights_of

_NETS = Path(__file__).resolve().parents[1] / "nets"
_WORKER = Path(__file__).with_name("worker.py")
_SECONDS = 300


def tried(model: Path, values: Mapping[str, NDArray[Any]]) -> str:
    """Answer of OpenCV to a model, compared with that of ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    inputs = {entry.name: np.asarray(values[entry.name], np.float32) for entry in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    arrays = {f"in:{name}": array for name, array in inputs.items()}
    arrays.update((f"out:{name}", array) for name, array in zip(names, session.run(names, inputs), strict=True))
    beside = model.with_suffix(".npz")
    np.savez(beside, **arrays)
    command = [sys.executable, _WORKER, model, beside]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {_SECONDS} s"
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else f"ended by itself, with status {done.returncode}"


def main() -> None:
    """Print a table of all cases and of the project's own nets."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "net.onnx"
        for case in CASES:
            export(case.net, model, case.weights() or None, verify=False)
            rows.append([case.name, tried(model, case.values())])
        for name, options in {**OWN_NETS, **LARGE_NETS}.items():
            net = _NETS / f"{name}.prototxt"
            weights = weights_of(net, options) or None
            export(net, model, weights, verify=False, **options)
            with open_model(net, weights, **options) as opened:
                values = sample_inputs(opened.graph, np.random.default_rng(1))
            rows.append([name, tried(model, values)])
    print_table([("model", "left"), ("OpenCV 5", "left")], rows)
    print_line()
    same = sum(said.startswith("computed") for _, said in rows)
    print_line(f"{same} of {len(rows)} are read and computed within 1e-4 of the largest value of each top")


if __name__ == "__main__":
    main()
