import json
from pathlib import Path

import pytest

from tests.client.cli.command import run_anew, succeed


def test_it_says_what_was_compiled_and_where_it_lies() -> None:
    succeed("warm-up", "--quiet")
    told = json.loads(succeed("warm-up", "--json"))
    assert list(told) == ["cpu", "cache", "seconds", "parts"]
    assert all(Path(folder).is_dir() for folder in told["cache"])
    compiled = {part["name"]: part["compiled"] for part in told["parts"]}
    assert compiled["philox gaussian"] is compiled["caffe-1.55 gaussian"] is compiled["digests"] is False
    text = succeed("warm-up").decode()
    assert f"0 of {len(compiled)} parts compiled for {told['cpu']} in " in text
    assert text.endswith("".join(f"  {folder}\n" for folder in told["cache"]))


def test_a_cache_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "kernels"))
    done = run_anew("warm-up")
    assert done.returncode == 1
    assert b"others could run code through the cache of compiled kernels" in done.stderr
