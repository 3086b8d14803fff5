"""Docstrings begin with a verb or a noun."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("client", "filler_server", "protos", "tests")
FILES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if not path.stem.endswith(("_pb2", "_pb2_grpc"))
)
EXEMPT = tuple(
    ROOT / "filler_server" / room
    for room in ("api", "engine", "fillers", "layouts", "net", "rng", "tensors", "weights")
)
QUESTIONS = {"How", "That", "What", "Whatever", "When", "Where", "Which", "Who", "Why"}


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, those of constants and attributes included."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


def test_docstrings_are_found() -> None:
    source = (
        '"""A."""\nX = 1\n"""B."""\nclass C:\n    """D."""\n    x: int\n    """E."""\n    def f():\n        """F."""\n'
    )
    assert sorted(docstrings(source)) == [(1, "A."), (3, "B."), (5, "D."), (7, "E."), (9, "F.")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_begin_with_a_verb_or_a_noun(folder: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / folder)]
    assert files
    questions = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in files
        for line, text in docstrings(path.read_text(encoding="utf-8"))
        if re.split(r"\W", text.strip(), maxsplit=1)[0] in QUESTIONS
    ]
    assert questions == []
