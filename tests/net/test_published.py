"""The project's own nets: sizes, and numbers of parameters as published."""

import json
from pathlib import Path
from typing import Any

import pytest

from caffe_filler.caffe import caffe_pb2
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net

NETS = Path(__file__).resolve().parents[1] / "nets"
CASES = json.loads((NETS / "published.json").read_text())


def state_name(case: dict[str, Any]) -> str:
    state = case["state"]
    return ".".join([case["file"], state["phase"], str(state["level"]), *state["stages"]])


@pytest.mark.parametrize("case", CASES, ids=map(state_name, CASES))
def test_published(case: dict[str, Any]) -> None:
    state = case["state"]
    plan = plan_net(
        read_net((NETS / case["file"]).read_bytes()),
        phase=caffe_pb2.Phase.Value(state["phase"]),
        level=state["level"],
        stages=state["stages"],
        inputs={name: tuple(dims) for name, dims in case["inputs"].items()},
    )
    tops = {top.name: top.shape for layer in plan.layers for top in layer.tops}
    assert len(plan.layers) == case["layers"]
    assert {name: tops[name] for name in case["outputs"]} == {
        name: tuple(dims) for name, dims in case["outputs"].items()
    }
    unknown = [blob.name for blob in plan.blobs if blob.count is None]
    assert unknown == case.get("unknown_blobs", [])
    assert len(plan.warnings) == len(unknown)
    if case["parameters"] is not None:
        assert plan.parameters == case["parameters"]
    if "published" in case:
        assert plan.parameters == case["published"] + case.get("beyond_published", 0)


def test_every_net_is_there() -> None:
    assert {case["file"] for case in CASES} == {path.name for path in NETS.glob("*.prototxt")}
