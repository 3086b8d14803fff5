"""Flags of the command line stand only in words that are for the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAG = re.compile(r"(?<![\w-])--[a-z]")
ON_THE_COMMAND_LINE = (
    "client/filler_client/cli/",
    "client/filler_client/_report.py",
    "filler_server/service/",
    "protos/caffe_filler/interface.py",
)
"""Rooms that only a command prints, the one that writes flags for messages, and the page that shows a command."""


def flags(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string with a flag, but for docstrings and for words that `either` chooses."""
    tree = ast.parse(source)
    exempt: set[int] = set()
    for node in ast.walk(tree):
        chosen = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "either"
        if chosen or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            exempt.update(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in exempt else None
        if isinstance(text, str) and FLAG.search(text):
            yield node.lineno, text


def test_flags_are_found() -> None:
    source = '"""--a."""\nX = "give --input x"\nY = f"{X}: --top"\nZ = either(python="a", cli=f"--b {X}")\nW = "a--b"\n'
    assert list(flags(source)) == [(2, "give --input x"), (3, ": --top")]


def test_python_users_are_not_told_flags() -> None:
    found = []
    for folder in ("client/filler_client", "filler_server", "protos/caffe_filler"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(ON_THE_COMMAND_LINE):
                found += [f"{name}:{line}: {text}" for line, text in flags(path.read_text(encoding="utf-8"))]
    assert found == []
