"""Shapes against real Caffe and its forks, layer by layer: every blob, and every top that no data decide."""

import json
from pathlib import Path
from typing import Any

import pytest

from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net

_FOUND_IN_DATA = {"DetectionOutput", "Filter", "Proposal", "Python"}
"""Layers whose tops are as long as what they find."""

_PHASES = {"TRAIN": 0, "TEST": 1}


@pytest.mark.parametrize("folder", ["forward", "forward_forks"])
def test_shapes_are_those_of_caffe(shared: Path, folder: str) -> None:
    cases: list[dict[str, Any]] = json.loads((shared / "golden" / folder / "index.json").read_text())["layers"]
    assert len(cases) > 80
    wrong = []
    for case in cases:
        source = (shared / "golden" / folder / "layers" / f"{case['name']}.prototxt").read_bytes()
        plan = plan_net(read_net(source), phase=_PHASES[case["phase"]])
        blobs = {blob.name: blob.shape for blob in plan.blobs}
        expected = {name.removeprefix("param:"): tuple(shape) for name, shape in case["params"].items()}
        if blobs != expected:
            wrong.append((case["name"], blobs, expected))
        tops = {top.name: (layer.type, top.shape) for layer in plan.layers for top in layer.tops}
        for name, shape in case["tops"].items():
            kind, planned = tops[name.removeprefix("top:")]
            if kind not in _FOUND_IN_DATA and planned != tuple(shape):
                wrong.append((case["name"], name, planned, shape))
    assert wrong == []
