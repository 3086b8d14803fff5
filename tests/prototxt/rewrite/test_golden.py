"""Output of Caffe's own upgrade tools, and real files from everywhere."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError, PrototxtError
from filler_server.prototxt import Upgraded, read_net, read_solver, upgrade_text
from filler_server.prototxt.content import decode
from filler_server.prototxt.rewrite.syntax import comments

MESSAGES: dict[str, Any] = {"net": caffe_pb2.NetParameter, "solver": caffe_pb2.SolverParameter}


def check(data: bytes, upgraded: Upgraded) -> None:
    """Check a file: it reads as before, is current, has its comments, and no edit came for nothing."""
    if upgraded.kind == "net":
        net = read_net(upgraded.data)
        assert net.changes == ()
        assert net.net.SerializeToString() == read_net(data).net.SerializeToString()
    else:
        assert read_solver(upgraded.data).solver == read_solver(data).solver
    again = upgrade_text(upgraded.data)
    assert again.data == upgraded.data
    assert not again.needs_upgrade
    assert upgraded.needs_upgrade == bool(upgraded.changes) == (upgraded.data != data)
    if upgraded.format == "text":
        before, after = (decode(text) for text in (data, upgraded.data))
        assert sorted(comments(before, 0, len(before))) == sorted(comments(after, 0, len(after)))


def test_every_upgrade_is_that_of_caffe(shared: Path) -> None:
    folder = shared / "golden" / "upgrade"
    cases = json.loads((folder / "index.json").read_text())
    assert len(cases) > 30
    for case in cases:
        data = (folder / case["input"]).read_bytes()
        if "output" not in case:
            with pytest.raises(PrototxtError):
                upgrade_text(data, strict=True)
            continue
        upgraded = upgrade_text(data)
        assert upgraded.kind == ("solver" if case["kind"] == "solver" else "net"), case["name"]
        message, expected = MESSAGES[upgraded.kind](), MESSAGES[upgraded.kind]()
        if "binary" in case["kind"]:
            assert upgraded.format == "binary"
            message.ParseFromString(upgraded.data)
            expected.ParseFromString((folder / case["output"]).read_bytes())
        else:
            assert upgraded.format == "text"
            text_format.Parse(upgraded.data.decode(), message)
            text_format.Parse((folder / case["output"]).read_text(), expected)
        assert message == expected, case["name"]
        check(data, upgraded)
        if any("already in latest" in line for line in case["log"]):
            assert upgraded.data is data, case["name"]


def real_files(shared: Path, kinds: tuple[str, ...]) -> list[tuple[dict[str, str], bytes]]:
    folder = shared / "corpus"
    with (folder / "MANIFEST.tsv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["kind"] in kinds]
    return [(row, (folder / row["file"]).read_bytes()) for row in rows]


def test_real_files(shared: Path) -> None:
    files = real_files(shared, ("net", "solver", "caffemodel"))
    assert len(files) > 120
    old = 0
    for row, data in files:
        try:
            upgraded = upgrade_text(data)
        except PrototxtError:
            assert row["real_caffe"] != "ok", row["file"]
            continue
        assert upgraded.kind == row["kind"].replace("caffemodel", "net"), row["file"]
        assert upgraded.needs_upgrade or row["format"] not in ("V0", "V1"), row["file"]
        check(data, upgraded)
        old += upgraded.needs_upgrade
        assert [change for change in upgraded.changes if "lost" in change.message] == [], row["file"]
    assert old > 60


def test_other_real_files_are_refused(shared: Path) -> None:
    files = real_files(shared, ("other", "mean", "solverstate"))
    assert len(files) > 8
    for _, data in files:
        with pytest.raises(PrototxtError):
            upgrade_text(data)


def test_damaged_files_are_upgraded_or_refused(shared: Path) -> None:
    files = [(row, data) for row, data in real_files(shared, ("net", "solver")) if len(data) < 10_000]
    chance = random.Random(0)
    pieces = (b"}", b"# \xff", b" x: 1 # x\n", b"layers { ", b"blobs_lr: [2]", b"type: X;", b"input: 'x',", b"x { } ")
    done = 0
    for _ in range(200):
        row, data = chance.choice(files)
        lines = data.split(b"\n")
        for _ in range(2):
            line = chance.randrange(len(lines))
            start = chance.choice((0, len(lines[line])))
            lines[line] = lines[line][:start] + chance.choice(pieces) + lines[line][start:]
        if chance.random() < 0.2:
            del lines[chance.randrange(len(lines))]
        data = b"\n".join(lines)
        try:
            upgraded = upgrade_text(data)
        except FillerError as error:
            assert "Received: " in str(error), row["file"]  # noqa: PT017
            continue
        check(data, upgraded)
        done += 1
    assert done > 50
