"""Lines of source: indented, broken where they are long, and text of strangers as docstrings."""

import io
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from caffe_filler.printable import printable
from filler_server.models.torch.literals import literal

WIDTH = 120
_INDENT = "    "
_OPEN, _CLOSE = "([{", ")]}"


def indented(lines: Iterable[str]) -> list[str]:
    """Return lines further to the right."""
    return [f"{_INDENT}{line}" if line else "" for line in lines]


def statements(lines: Iterable[str], levels: int) -> list[str]:
    """Return statements as lines that are so many levels further to the right, broken where they are too long."""
    parts = [part for line in lines for part in broken(line, WIDTH - len(_INDENT) * levels)]
    return [f"{_INDENT * levels}{part}" for part in parts]


def broken(line: str, width: int) -> list[str]:
    """Return a statement as several lines where it is too long and has a bracket to be broken in."""
    if len(line) <= width or line.startswith("#"):
        return [line]
    found = _last_bracket(line)
    if found is None:
        return [line]
    start, commas, end = found
    items = [line[before + 1 : after].strip() for before, after in pairwise([start, *commas, end])]
    items = [item for item in items if item]
    inside = ", ".join(items)
    tail = line[end:]
    if len(inside) + len(_INDENT) <= width:
        return [line[: start + 1], _INDENT + inside, tail]
    lines = [part for item in items for part in broken(f"{item},", width - len(_INDENT))]
    return [line[: start + 1], *indented(lines), tail]


def docstring(lines: Sequence[str]) -> list[str]:
    """Return lines of any text as those of a docstring."""
    escaped = [printable(line.replace("\\", "\\\\").replace('"', '\\"')).rstrip() for line in lines]
    if len(escaped) == 1:
        return [f'"""{escaped[0]}"""']
    return [f'"""{escaped[0]}', *escaped[1:], '"""']


def dictionary(values: Mapping[str, object]) -> str:
    """Return a dict as Python has it."""
    return f"{{{', '.join(f'{literal(key)}: {literal(value)}' for key, value in values.items())}}}"


def _last_bracket(line: str) -> tuple[int, list[int], int] | None:
    """Return where the longest outermost bracket opens, where the commas in it are, and where it closes."""
    depth, start = 0, 0
    commas: list[int] = []
    best: tuple[int, list[int], int] | None = None
    # What follows a colon is no part of the line yet.
    text = f"{line}\n    pass\n" if line.endswith(":") else line
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        column = token.start[1]
        if token.type != tokenize.OP or token.start[0] != 1:
            continue
        if token.string in _OPEN:
            if depth == 0:
                start, commas = column, []
            depth += 1
        elif token.string in _CLOSE:
            depth -= 1
            if depth == 0 and (best is None or column - start > best[2] - best[0]):
                best = start, commas, column
        elif token.string == "," and depth == 1:
            commas.append(column)
    return best
