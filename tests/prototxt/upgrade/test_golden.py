"""Files of all ages upgraded by Caffe's own tools, and real files from everywhere."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from filler_server.prototxt import NetDocument, SolverDocument, read_net, read_solver


def test_every_upgrade_is_that_of_caffe(shared: Path) -> None:
    folder = shared / "golden" / "upgrade"
    cases = json.loads((folder / "index.json").read_text())
    assert len(cases) > 30
    for case in cases:
        data = (folder / case["input"]).read_bytes()
        if "output" not in case:
            with pytest.raises(PrototxtError):
                read_net(data, strict=True)
            continue
        document = read_solver(data) if case["kind"] == "solver" else read_net(data)
        message: Any = document.solver if isinstance(document, SolverDocument) else document.net
        expected = type(message)()
        if "binary" in case["kind"]:
            expected.ParseFromString((folder / case["output"]).read_bytes())
        else:
            text_format.Parse((folder / case["output"]).read_text(), expected)
        assert message == expected, case["name"]
        # The tool returns 1 when it complained and went on.
        complained = any("means nothing" in problem.message for problem in document.problems)
        assert complained == (case["returncode"] == 1), case["name"]
        current = any("already in latest" in line for line in case["log"])
        assert (document.changes == ()) == current, case["name"]


def rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "corpus" / "MANIFEST.tsv").open() as manifest:
        found = list(csv.DictReader(manifest, delimiter="\t"))
    assert len(found) > 120
    return found


def check_lines(data: bytes, document: NetDocument) -> None:
    assert len(document.layer_lines) == len(document.unknown) == len(document.net.layer)
    if document.format == "text":
        lines = data.decode(errors="replace").split("\n")
        for layer, line in zip(document.net.layer, document.layer_lines, strict=True):
            assert line is not None
            assert ("input" if layer.name == "input" else "layer") in lines[line - 1]


def test_every_real_file_gives_a_document_or_an_error(shared: Path) -> None:
    """Files that real Caffe reads are never refused, and no strict parse is reported on."""
    for row in rows(shared):
        data = (shared / "corpus" / row["file"]).read_bytes()
        accepted = row["real_caffe"] == "ok"
        try:
            document = read_solver(data) if row["kind"] == "solver" else read_net(data)
        except PrototxtError:
            assert not accepted, row["file"]
            continue
        assert row["kind"] not in ("broken", "other", "mean", "solverstate"), row["file"]
        if row["kind"] in ("net", "caffemodel"):
            assert isinstance(document, NetDocument)
            check_lines(data, document)
            assert len(document.net.layer) > 0
            assert not document.net.layers


def test_damaged_files_give_a_document_or_an_error(shared: Path) -> None:
    texts = [row for row in rows(shared) if row["kind"] in ("net", "solver", "broken")]
    chance = random.Random(0)
    for row in chance.sample(texts, 40):
        data = bytearray((shared / "corpus" / row["file"]).read_bytes())
        for _ in range(8):
            start = chance.randrange(len(data) + 1)
            data[start : start + chance.choice((0, 1, 40))] = chance.choice(
                (b"{", b"}", b'"', b"\xff", b"[", b"\n", b"-")
            )
            for read in (read_net, read_solver):
                try:
                    read(bytes(data))
                except (PrototxtError, LimitExceeded) as error:
                    assert "Received: " in str(error)  # noqa: PT017


def test_reading_what_was_upgraded_changes_nothing(shared: Path) -> None:
    for row in rows(shared):
        if row["kind"] == "net" and row["real_caffe"] == "ok":
            net = read_net((shared / "corpus" / row["file"]).read_bytes()).net
            again = read_net(text_format.MessageToString(net).encode(), strict=True)
            assert again.net == net, row["file"]
            assert again.changes == (), row["file"]
            assert caffe_pb2.NetParameter.FromString(net.SerializeToString()) == net
