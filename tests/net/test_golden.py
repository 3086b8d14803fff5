"""Plans against what real Caffe built from the same files."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError, NetError
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.net.state import StateRules, net_state
from filler_server.prototxt import read_net

Golden = dict[str, Any]


def options(arguments: Iterable[str]) -> dict[str, Any]:
    """Return the options of `plan_net` for those of the command that made a golden file."""
    given: dict[str, Any] = {"phase": None, "level": 0, "stages": []}
    pairs = iter(arguments)
    for option, value in zip(pairs, pairs, strict=True):
        if option == "--phase":
            given["phase"] = caffe_pb2.Phase.Value(value)
        elif option == "--level":
            given["level"] = int(value)
        else:
            assert option == "--stage"
            given["stages"].append(value)
    return given


def expected(golden: Golden, names: set[str]) -> list[Any]:
    """Return what a plan should say: Caffe's layers without the Split layers that it inserted."""
    layers = []
    original: dict[str, str] = {}
    for layer in golden["layers"]:
        if layer["type"] == "Split" and layer["name"] not in names:
            original |= dict.fromkeys((top["name"] for top in layer["tops"]), layer["bottoms"][0])
            continue
        layers.append(
            (
                layer["name"],
                layer.get("replaces", layer["type"]),
                tuple(original.get(bottom, bottom) for bottom in layer["bottoms"]),
                [(top["name"], tuple(top["shape"])) for top in layer["tops"]],
                [(tuple(blob["shape"]), owner(blob["owner"])) for blob in layer["params"]],
            )
        )
    return layers


def owner(blob: Golden | None) -> str | None:
    return None if blob is None else f"{blob['layer']}/{blob['index']}"


def said(plan: NetPlan, golden: Golden) -> list[Any]:
    """Return what a plan says, in the same form; a data layer may have been replaced by an Input."""
    kinds = {layer["name"]: layer.get("replaces", layer["type"]) for layer in golden["layers"] if not layer["bottoms"]}
    return [
        (
            layer.name,
            kinds.get(layer.name, layer.type),
            layer.bottoms,
            [(top.name, top.shape) for top in layer.tops],
            [(blob.shape, blob.owner) for blob in layer.blobs],
        )
        for layer in plan.layers
    ]


def compare(file: Path, golden: Golden, **given: Any) -> None:
    plan = plan_net(read_net(file.read_bytes()), **given)
    assert said(plan, golden) == expected(golden, {layer.name for layer in plan.layers}), file
    assert plan.parameters == golden["params_total"], file


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_nets(shared: Path) -> None:
    folder = shared / "golden" / "nets"
    cases = load(folder / "index.json")
    for case in cases:
        compare(
            folder / "prototxt" / case["prototxt"].replace("/", "__"),
            load(folder / case["file"]),
            phase=caffe_pb2.Phase.Value(case["phase"]),
            level=case["level"],
            stages=case["stages"],
            inputs={name: tuple(dims) for name, dims in case["inputs"].items()},
        )
    assert len(cases) >= 50


def test_small_nets(shared: Path) -> None:
    folder = shared / "golden" / "nets_small"
    cases = [case for case in load(folder / "index.json") if "file" in case]
    for case in cases:
        compare(folder / case["prototxt"], load(folder / case["file"]), **options(case["args"]))
    assert len(cases) >= 40


# Fillers are the engine's to check; a type that nobody knows is reported and the rest is planned.
PLANNED_ALL_THE_SAME = {"err_scale_sparse.prototxt", "err_unknown_type.prototxt"}

# The file cannot be read; no layer is at fault.
NOT_READ = {"err_parse.prototxt"}


def test_small_nets_that_caffe_refuses(shared: Path) -> None:
    folder = shared / "golden" / "nets_small"
    cases = [case for case in load(folder / "index.json") if "error" in case]
    for case in cases:
        name = case["prototxt"]
        data = (folder / name).read_bytes()
        if name in PLANNED_ALL_THE_SAME:
            plan = plan_net(read_net(data), **options(case["args"]))
            assert len(plan.warnings) == (name == "err_unknown_type.prototxt")
            continue
        with pytest.raises(FillerError) as caught:
            plan_net(read_net(data), **options(case["args"]))
        assert "Received: " in caught.value.message, name
        if name not in NOT_READ:
            assert isinstance(caught.value, NetError), name
            assert caught.value.layer, name
    assert len(cases) >= 30


def test_nets_of_caffe_s_own_tests(shared: Path) -> None:
    """The same layers stand after the rules, and the same nets can be set up."""
    folder = shared / "golden" / "nets_caffe_tests"
    cases = load(folder / "index.json")
    for case in cases:
        given = options(case["args"])
        document = read_net((folder / case["prototxt"]).read_bytes())
        rules = StateRules(net_state(document.net.state, **given))
        kept = [layer for layer in document.net.layer if rules.includes(layer)]
        filtered = text_format.Parse((folder / case["filtered"]).read_bytes(), caffe_pb2.NetParameter())
        assert kept == list(filtered.layer), case
        if "net_error" in case:
            with pytest.raises(NetError):
                plan_net(document, **given)
        else:
            assert plan_net(document, **given)
    assert len(cases) >= 100


def test_real_files(shared: Path) -> None:
    folder = shared / "golden" / "corpus"
    cases = sorted(folder.glob("*/*.json"))
    for case in cases:
        golden = load(case)
        file = shared / "corpus" / case.relative_to(folder).with_suffix("")
        compare(file, golden, phase=caffe_pb2.Phase.Value(golden["phase"]))
    assert len(cases) >= 30


def test_no_real_file_breaks_the_planner(shared: Path) -> None:
    """Every file gives a plan or an error of ours, in every phase."""
    planned = refused = 0
    for file in sorted((shared / "corpus").glob("*/*.prototxt")):
        for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
            try:
                plan = plan_net(read_net(file.read_bytes()), phase=phase)
            except FillerError:
                refused += 1
                continue
            planned += 1
            assert all(blob.count for blob in plan.blobs if blob.shape is not None and None not in blob.shape)
    assert planned > refused > 0
