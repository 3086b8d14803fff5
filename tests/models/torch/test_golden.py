"""Modules of PyTorch against real Caffe and its forks: layer by layer, forward and backward, and net by net."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from filler_server.layouts.torch import modules
from filler_server.models.sources import constant_inputs
from filler_server.net.plan import NetPlan
from filler_server.tensors import ArrayTensor
from tests.models.torch.running import load_net, planned, torch

pytestmark = pytest.mark.frameworks

REFUSED = {
    "proposal_": "it is code of its own, 'ProposalLayer'",
    "pool_ave_k2_s3_overrun": "its last window lies beyond the input",
    "pool_max_k2_s3_overrun": "its last window lies beyond the input",
}
"""Beginnings of the names of cases that are refused, with the reasons."""

OTHER_GRADIENTS = {
    "normalize_ac0_cs0": "Caffe leaves the scale out of the sum within",
    "normalize_ac1_cs0": "Caffe leaves the scale out of the sum within",
    "mvn_eps": "Caffe takes eps for a part of the standard deviation, and so passes on a gradient that is none of MVN",
}
"""Cases whose gradient in PyTorch is another one, with the reasons."""


def distance(got: NDArray[Any], want: NDArray[Any], rtol: float, atol: float) -> float:
    """The largest error in units of what is tolerated; infinite for another shape."""
    if got.shape != want.shape:
        return np.inf
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        return float(
            np.where(same, 0, np.abs(got - want.astype(np.float64)) / (atol + rtol * np.abs(want))).max(initial=0)
        )


def blob_gradients(plan: NetPlan, net: Any) -> dict[str, NDArray[Any]]:
    """The gradients of a net's parameters as those of Caffe's blobs."""
    entries = {
        name: ArrayTensor(name, (torch.zeros_like(entry) if entry.grad is None else entry.grad).numpy())
        for name, entry in net.state_dict(keep_vars=True).items()
        if not name.endswith("num_batches_tracked")
    }
    given = [ArrayTensor(blob.name, np.zeros(blob.known_shape, np.float32)) for blob in plan.blobs]
    found: dict[str, NDArray[Any]] = {}
    for module in modules(plan.layers, given, computing=True):
        taken = module.from_torch(entries)
        assert taken is not None, module.name
        found.update((tensor.name, tensor.array()) for tensor in taken[0])
    return found


def measured(folder: Path, case: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Errors of the tops and of the gradients of a case."""
    files = folder / "layers" / case["name"]
    arrays = np.load(files.with_suffix(".npz"))
    text = files.with_suffix(".prototxt").read_bytes()
    weights = {name[6:]: arrays[name] for name in arrays.files if name.startswith("param:")}
    plan = planned(text, case["phase"])
    names = [name for value in plan.inputs if (name := plan.top(value).name) not in constant_inputs(plan)]
    tops = [name for name in case["tops"] if name not in {plan.top(value).name for value in plan.inputs}]
    net = load_net(text, weights or None, phase=case["phase"], tops=tops)
    inputs = {name: torch.tensor(arrays[name]) for name in names}
    for name, value in inputs.items():
        value.requires_grad_(name not in case["int_inputs"])
    outputs = net(*inputs.values())
    for output in outputs.values():
        if output.requires_grad and not output.is_leaf:
            output.retain_grad()
    forward = {
        name: distance(outputs[name].detach().numpy(), arrays[f"top:{name}"], case["rtol"], case["atol"])
        for name in tops
    }
    if not case["gradients"]:
        return forward, {}
    diffs = {name[8:]: torch.tensor(arrays[name]) for name in arrays.files if name.startswith("topdiff:")}
    total = sum((outputs[name] * diff).sum() for name, diff in diffs.items() if name in outputs)
    if total.requires_grad:
        total.backward()
    blobs = blob_gradients(plan, net)
    backward = {}
    for name in case["gradients"]:
        kind, _, blob = name.partition(":")
        if kind == "paramdiff":
            got = blobs[blob]
        else:
            value = inputs[blob] if blob in inputs else outputs[blob]
            got = (torch.zeros_like(value) if value.grad is None else value.grad).numpy()
        want = arrays[name]
        backward[name] = distance(got.reshape(want.shape), want, case["grad_rtol"], case["grad_atol"])
    return forward, backward


@pytest.mark.parametrize(("folder", "least"), [("forward", 200), ("forward_forks", 80)])
def test_layers_compute_what_caffe_does(shared: Path, folder: str, least: int) -> None:
    cases: list[dict[str, Any]] = json.loads((shared / "golden" / folder / "index.json").read_text())["layers"]
    assert len(cases) > least
    wrong = []
    for case in cases:
        name = case["name"]
        reason = next((reason for beginning, reason in REFUSED.items() if name.startswith(beginning)), None)
        if reason is not None:
            with pytest.raises(NetError, match=reason):
                measured(shared / "golden" / folder, case)
            continue
        forward, backward = measured(shared / "golden" / folder, case)
        wrong += [(name, top, far) for top, far in forward.items() if not far <= 1]
        if name in OTHER_GRADIENTS:
            assert max(backward.values()) > 1, name
        else:
            wrong += [(name, blob, far) for blob, far in backward.items() if not far <= 1]
    assert wrong == []


def test_nets_compute_what_caffe_does(shared: Path) -> None:
    names = [case["name"] for case in json.loads((shared / "golden/forward/index.json").read_text())["nets"]]
    assert len(names) >= 4
    wrong = []
    for name in names:
        files = shared / "golden/forward/nets" / name
        arrays = np.load(files.with_suffix(".npz"))
        about = json.loads(files.with_suffix(".json").read_text())["tops"]
        made = [top for top in about if top not in arrays.files]
        net = load_net(files.with_suffix(".prototxt"), files.with_suffix(".caffemodel"), tops=made)
        plan = planned(files.with_suffix(".prototxt"))
        with torch.no_grad():
            outputs = net(*(torch.tensor(arrays[plan.top(value).name]) for value in plan.inputs))
        for top, output in outputs.items():
            told, want = about[top], arrays[f"top:{top}"]
            part = output.numpy().reshape(-1)[:: told.get("stride", 1)].reshape(want.shape)
            far = distance(part, want, 1e-3, 1e-5 * max(abs(told["min"]), abs(told["max"])) + 1e-30)
            if list(output.shape) != told["shape"] or not far <= 1:
                wrong.append((name, top, far))
    assert wrong == []
