"""Mistakes from public reports, each rebuilt small: what of them lint finds.

A file names the report, what went wrong, and the rule that finds it; after that come rules that find further mistakes
of the same report. `none` stands where no prototxt tells of it.
"""

import re
from pathlib import Path

import pytest

from tests.diagnostics.lint.looking import look

FILES = sorted((Path(__file__).parent / "history").glob("*.prototxt"))
HEAD = re.compile(
    r"# report: (https://\S+)\n# wrong: (?:.*\n)(?:#   .*\n)*# rules: (none|FIL[0-9]{3}(?: FIL[0-9]{3})*)\n"
)


def rules_of(path: Path) -> list[str]:
    head = HEAD.match(path.read_text(encoding="utf-8"))
    assert head is not None, path
    return [code for code in head[2].split() if code != "none"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_wrong_is_found_and_nothing_else(path: Path) -> None:
    assert {finding.code for finding in look(path.read_bytes())} == set(rules_of(path))


def test_nine_in_ten_are_found() -> None:
    found = [codes[0] for path in FILES if (codes := rules_of(path))]
    assert len(FILES) >= 28
    assert len(set(found)) >= 16
    assert len(found) >= 0.9 * len(FILES)
