"""Commands and programs of README run as they stand there, one after the other, and print what it says."""

import re
import shutil
from pathlib import Path

import pytest

from tests.documents import ROOT, blocks, run_page

README = ROOT / "README.md"
BLOCKS = blocks(README)


def test_every_block_is_known() -> None:
    assert {block.kind for block in BLOCKS} == {"sh", "python", "text"}
    assert len(BLOCKS) > 10
    assert len(README.read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.parametrize("line", [line for block in BLOCKS if block.kind == "sh" for line in block.text.splitlines()])
def test_a_shell_takes_each_line_as_it_is(line: str) -> None:
    """No prompt, and nothing that zsh makes something of when it is pasted: patterns without a match, comments."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
    assert not line.startswith("$ ")
    assert re.search(r"[?*\[\]()~^#!]", unquoted) is None
    assert re.search(r"(?:^|\s)=", unquoted) is None


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("openssl") is None, reason="needs bash and openssl")
def test_everything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page(README, tmp_path)
    assert names["weights"]["conv1/0"].shape == (96, 3, 11, 11)
    assert names["prob"].sum() == pytest.approx(1)
