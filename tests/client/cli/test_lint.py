import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.cli.command import fail, run, succeed
from tests.diagnostics.lint.looking import DATA, product

ODD = DATA + product("ip", "data", 'num_output: 4 weight_filler { type: "xavier" std: 0.1 }')


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD)
    return path


def test_text_and_exit_status(net: Path) -> None:
    done = run("lint", net)
    assert done.returncode == 1
    first, mend = done.stdout.decode().splitlines()
    assert first.startswith(f"{net}:4:70: warning FIL005: layer 'ip': std does nothing")
    assert mend.startswith("    Remove the field")
    assert done.stderr.decode() == "1 warning\n"
    assert run("lint", net, "--ignore", "FIL001,FIL005").returncode == 0


def test_formats_for_programs(net: Path) -> None:
    (entry,) = json.loads(run("lint", net, "--format", "json").stdout)
    assert list(entry) == ["code", "severity", "file", "line", "column", "layer", "message", "mend"]
    (result,) = json.loads(run("lint", net, "--format", "sarif").stdout)["runs"][0]["results"]
    assert result["ruleId"] == "FIL005"
    assert run("lint", net, "--format", "github").stdout.startswith(b"::warning file=")
    assert json.loads(succeed("lint", net, "--ignore", "FIL", "--format", "json")) == []


def test_patterns_folders_and_standard_input(net: Path) -> None:
    (net.parent / "other.prototxt").write_text(ODD)
    assert len(run("lint", f"{net.parent}/*.prototxt", "--format", "github").stdout.splitlines()) == 2
    assert len(run("lint", net.parent, "--format", "github").stdout.splitlines()) == 2
    command = [sys.executable, "-m", "filler_client.cli", "lint", "-"]
    done = subprocess.run(command, input=ODD.encode(), capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout[:10]) == (1, b"<stdin>:4:")


def test_fix_writes_the_file(net: Path) -> None:
    done = run("lint", net, "--fix")
    assert done.returncode == 0
    assert net.read_text() == ODD.replace(" std: 0.1", "")
    assert "fixed FIL005" in done.stderr.decode()


def test_wrong_usage(net: Path) -> None:
    assert "no such file, folder or pattern" in fail(2, "lint", net.parent / "none*.prototxt")
    assert "Missing argument" in fail(2, "lint")
    assert "--select: no rule has a code that begins so" in fail(1, "lint", net, "--select", "X")
    assert "--fix writes files" in fail(2, "lint", "-", "--fix")
    assert "--input: no net has an input of this name" in fail(1, "lint", net, "--input", "none=1,2")


def test_rules() -> None:
    assert succeed("rule", "zero-weights").decode().startswith("# FIL003 zero-weights\n")
    lines = succeed("rule").decode().splitlines()
    assert lines[0].split()[:4] == ["code", "severity", "fix", "name"]
    assert sum(line.startswith("FIL") for line in lines) > 40
    assert {entry["severity"] for entry in json.loads(succeed("rule", "--json"))} == {"error", "warning", "note"}
    assert json.loads(succeed("rule", "fil003", "--json"))["page"].startswith("# FIL003")
    assert "no such rule" in fail(1, "rule", "FIL999")
