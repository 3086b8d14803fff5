"""`filler signal`."""

import json
from pathlib import Path

import pytest

from tests.client.cli.command import fail, run, succeed
from tests.diagnostics.signal.nets import stack

NET = stack('type: "xavier"', "Sigmoid", depth=12, width=16, batch=8)


def test_a_table_and_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    lines = succeed("signal", tmp_path / "net.prototxt").decode().splitlines()
    assert lines[0] == "net (TRAIN), in theory"
    assert lines[2].split() == ["layer:", "top", "mean", "mean", "square", "gradient", "zeros", "saturated"]
    assert lines[-2].startswith("Forward, the signal keeps its size")
    assert lines[-1].startswith("Backward, the gradient vanishes from 'ip")
    assert max(map(len, lines)) <= 80


def test_json_and_options(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    found = json.loads(succeed("signal", tmp_path / "net.prototxt", "--json", "--std", 2, "--batch", 2))
    assert found["values"][0]["variance"] == pytest.approx(4)
    assert found["parameters"][0]["name"] == "ip1/0"


def test_notes_beside_json_go_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET.partition('layer { name: "loss"')[0])
    done = run("signal", tmp_path / "net.prototxt", "--json")
    assert done.returncode == 0
    json.loads(done.stdout)
    assert b"no layer is a loss" in done.stderr


def test_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    assert "exactly one of the two" in fail(2, "signal")
    assert "--std" in fail(1, "signal", tmp_path / "net.prototxt", "--std", "nan")
