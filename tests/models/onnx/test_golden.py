"""Exported models in ONNX Runtime against real Caffe and its forks, layer by layer and net by net."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from tests.models.onnx.running import exported, run

pytestmark = pytest.mark.frameworks

_REFUSED = {
    "pool_ave_k2_s3_overrun": "lies wholly outside of its input",
    "pool_max_k2_s3_overrun": "lies wholly outside of its input",
    "multibox": "the standard operators do not say it in a sane number of nodes",
    "net_ssd_tiny_train": "the standard operators do not say it in a sane number of nodes",
    "proposal_": r"it is written in Python \(rpn.proposal_layer.ProposalLayer\)",
}
"""Beginnings of the names of cases that cannot be said in ONNX, with the reasons."""


def distance(case: dict[str, Any], got: NDArray[Any], want: NDArray[Any]) -> float:
    """The largest error in units of what is tolerated; infinite for another shape."""
    if got.shape != want.shape:
        return np.inf
    error = np.abs(got - want) / (case["atol"] + case["rtol"] * np.abs(want))
    return float(np.max(error, initial=0))


@pytest.mark.parametrize("folder", ["forward", "forward_forks"])
def test_layers_compute_what_caffe_does(shared: Path, folder: str) -> None:
    cases: list[dict[str, Any]] = json.loads((shared / "golden" / folder / "index.json").read_text())["layers"]
    assert len(cases) > 80
    wrong = []
    for case in cases:
        files = shared / "golden" / folder / "layers" / case["name"]
        arrays = np.load(files.with_suffix(".npz"))
        weights = {name[6:]: arrays[name] for name in arrays.files if name.startswith("param:")}
        net = files.with_suffix(".prototxt").read_bytes()
        reason = next((reason for name, reason in _REFUSED.items() if case["name"].startswith(name)), None)
        if reason is not None:
            with pytest.raises(NetError, match=reason):
                exported(net, weights or None, phase=case["phase"])
            continue
        inputs = {name.removeprefix("top:"): arrays[name] for name in arrays.files}
        made = [top for top in case["tops"] if top != "c" or case["layer_type"] != "DummyData"]
        model = exported(net, weights or None, phase=case["phase"], tops=made)
        for top, got in run(model, inputs, made).items():
            far = distance(case, got, arrays[f"top:{top}"])
            if not far <= 1:
                wrong.append((case["name"], top, far))
    assert wrong == []


def test_nets_compute_what_caffe_does(shared: Path) -> None:
    names = [case["name"] for case in json.loads((shared / "golden/forward/index.json").read_text())["nets"]]
    assert len(names) >= 4
    wrong = []
    for name in names:
        files = shared / "golden/forward/nets" / name
        arrays = np.load(files.with_suffix(".npz"))
        tops = json.loads(files.with_suffix(".json").read_text())["tops"]
        made = [top for top in tops if top not in arrays.files]
        model = exported(files.with_suffix(".prototxt"), files.with_suffix(".caffemodel"), tops=made)
        for top, got in run(model, arrays, made).items():
            about = tops[top]
            want = arrays[f"top:{top}"]
            scale = max(abs(about["min"]), abs(about["max"]))
            flat = got.reshape(-1)[:: about.get("stride", 1)].reshape(want.shape)
            far = np.max(np.abs(flat - want) / (1e-5 * scale + 1e-3 * np.abs(want) + 1e-30), initial=0)
            if list(got.shape) != about["shape"] or not far <= 1:
                wrong.append((name, top, far))
    assert wrong == []
