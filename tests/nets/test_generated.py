"""The committed nets are what the generator prints, and every net here has its record."""

import json
import runpy
from pathlib import Path

NETS = Path(__file__).parent


def test_generated_files_equal_the_generator() -> None:
    generated = dict(runpy.run_path(str(NETS / "generate.py"))["nets"]())
    assert len(generated) == 13
    for name, text in generated.items():
        assert (NETS / name).read_text(encoding="utf-8") == text, f"{name} is stale: python tests/nets/generate.py"


def test_every_net_is_recorded() -> None:
    recorded = {record["file"] for record in json.loads((NETS / "published.json").read_text(encoding="utf-8"))}
    assert recorded == {path.name for path in NETS.glob("*.prototxt")}
