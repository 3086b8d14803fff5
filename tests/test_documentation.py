"""The documentation: its programs run, and it has every public name."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

import filler_client
from tests.documents import ROOT, Block, blocks, run_page

PAGES = ROOT / "client" / "docs" / "pages"
GUIDES = sorted((PAGES / "guides").glob("*.md"))
FRAMEWORKS = re.compile(r"\bimport torch\b|\binitialize_\(|\bfiller_client\.jax\b|\bfiller export\b")


def needs_frameworks(block: Block) -> bool:
    return FRAMEWORKS.search(block.text) is not None


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_guides_run(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(guide, tmp_path, takes=lambda block: not needs_frameworks(block))


@pytest.mark.frameworks
@pytest.mark.parametrize(
    "guide", [path for path in GUIDES if any(map(needs_frameworks, blocks(path)))], ids=lambda path: path.stem
)
def test_guides_run_with_frameworks(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for framework in ("torch", "jax", "onnxruntime"):
        pytest.importorskip(framework)
    monkeypatch.chdir(tmp_path)
    run_page(guide, tmp_path)


@pytest.mark.parametrize("module", ["filler_client", "filler_client.torch", "filler_client.jax", "filler_client.ray"])
def test_the_reference_has_every_public_name_once(module: str) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (PAGES / "reference").glob("*.md"))
    found = Counter(re.findall(rf"^::: {re.escape(module)}\.(\w+)$", pages, re.MULTILINE))
    assert set(found.values()) == {1}
    if module == "filler_client":
        assert sorted(found) == sorted(filler_client.__all__)
    else:
        source = (ROOT / "client" / module.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
        listed = re.search(r"__all__ = \[(.*?)\]", source, re.DOTALL)
        assert listed is not None
        assert sorted(found) == sorted(re.findall(r'"(\w+)"', listed[1]))
