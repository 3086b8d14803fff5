"""The reference evaluator against real Caffe and its forks, layer by layer and net by net."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate

_DTYPES = [np.float64, np.float32]
_REFUSED = {
    "proposal_": r"it is written in Python \(rpn.proposal_layer.ProposalLayer\)",
}
"""Beginnings of the names of cases that are refused, with the message."""

_GIVEN = {"DummyData": ("c",)}
"""Tops that bring data in, and so are inputs here."""


def distance(case: dict[str, Any], got: NDArray[Any], want: NDArray[Any]) -> float:
    """Return the largest error in units of what is tolerated; infinite for another shape or other NaN."""
    if got.shape != want.shape or not np.array_equal(np.isnan(got), np.isnan(want)):
        return np.inf
    error = np.abs(got.astype(np.float64) - want) / (case["atol"] + case["rtol"] * np.abs(want))
    return float(np.nanmax(error, initial=0))


def distances(folder: Path, case: dict[str, Any], dtype: type) -> dict[str, float]:
    """Return how far each top of a case is off."""
    files = folder / "layers" / case["name"]
    arrays = np.load(files.with_suffix(".npz"))
    weights = {name.removeprefix("param:"): arrays[name] for name in arrays.files if name.startswith("param:")}
    values = {name.removeprefix("top:"): arrays[name] for name in arrays.files}
    tops = [name for name in case["tops"] if name not in _GIVEN.get(case["layer_type"], ())]
    net = files.with_suffix(".prototxt").read_bytes()
    with open_model(net, weights or None, phase=case["phase"], tops=tops) as model:
        got = evaluate(model.graph, {name: values[name] for name in model.graph.inputs}, dtype)
    assert all(array.dtype == dtype for array in got.values())
    return {name: distance(case, array, values[name]) for name, array in got.items()}


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize(("folder", "least"), [("forward", 200), ("forward_forks", 80)])
def test_layers_compute_what_caffe_does(shared: Path, folder: str, least: int, dtype: type) -> None:
    cases: list[dict[str, Any]] = json.loads((shared / "golden" / folder / "index.json").read_text())["layers"]
    assert len(cases) > least
    wrong = []
    for case in cases:
        refusal = next((text for name, text in _REFUSED.items() if case["name"].startswith(name)), None)
        if refusal is not None:
            with pytest.raises(NetError, match=refusal):
                distances(shared / "golden" / folder, case, dtype)
            continue
        far = distances(shared / "golden" / folder, case, dtype)
        wrong += [(case["name"], top, error) for top, error in far.items() if not error <= 1]
    assert wrong == []


@pytest.mark.parametrize("dtype", _DTYPES)
def test_nets_compute_what_caffe_does(shared: Path, dtype: type) -> None:
    names = [case["name"] for case in json.loads((shared / "golden/forward/index.json").read_text())["nets"]]
    assert len(names) >= 4
    wrong = []
    for name in names:
        files = shared / "golden/forward/nets" / name
        arrays = np.load(files.with_suffix(".npz"))
        about = json.loads(files.with_suffix(".json").read_text())["tops"]
        tops = [top for top in about if top not in arrays.files]
        with open_model(files.with_suffix(".prototxt"), files.with_suffix(".caffemodel"), tops=tops) as model:
            got = evaluate(model.graph, {name: arrays[name] for name in model.graph.inputs}, dtype)
        for top, array in got.items():
            case = {"rtol": 1e-3, "atol": 1e-5 * max(abs(about[top]["min"]), abs(about[top]["max"])) + 1e-30}
            want = arrays[f"top:{top}"]
            part = array.reshape(-1)[:: about[top].get("stride", 1)].reshape(want.shape)
            far = distance(case, part, want)
            if list(array.shape) != about[top]["shape"] or not far <= 1:
                wrong.append((name, top, far))
    assert wrong == []
