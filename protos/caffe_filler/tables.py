"""Tables as lines of text that fit a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

from caffe_filler.printable import printable

_GAP = "  "
_INDENT = "    "


def table_lines(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield the lines of a table, its titles first; characters that do not print are escaped.

    The last cell of a row may be longer than its column. Where the columns together are too wide, the last of them
    stand on lines of their own under the others, which are indented; no word is cut.

    Args:
        columns: for each column its title, and whether its cells stand `left` or `right`.
        rows: the cells of each row.
        width: number of characters of a line.
    """
    titles = [title for title, _ in columns]
    sides = [side for _, side in columns]
    lines = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [0] * len(columns)
    for cells in lines:
        last = max((index for index, cell in enumerate(cells) if cell), default=0)
        for index, cell in enumerate(cells):
            # Beside the last cell of a row nothing stands, so that it may run on under empty columns.
            if index < last or sides[index] == "right" or cells is titles or index == len(columns) - 1:
                widths[index] = max(widths[index], _width(cell))
    groups = _groups(widths, sides, width)
    for cells in lines:
        for group in groups:
            aligned = (_aligned(cells[index], sides[index], widths[index]) for index in group)
            text = _GAP.join(aligned).rstrip()
            if text or group.start == 0:
                yield from _wrapped(f"{_INDENT if group.start else ''}{text}", width)


def _groups(widths: Sequence[int], sides: Sequence[str], width: int) -> list[range]:
    """Return the columns that stand beside each other, line by line: all, or the figures at the end apart."""
    count = len(widths)

    def fits(start: int, stop: int) -> bool:
        used = sum(widths[start:stop]) + len(_GAP) * (stop - start - 1)
        return used + (len(_INDENT) if start else 0) <= width

    figures = [index for index in range(count - 1, 0, -1) if sides[index - 1 : index + 1] == ["left", "right"]]
    for start in (0, *figures):
        if fits(0, start or count) and fits(start, count):
            return [range(start), range(start, count)] if start else [range(count)]
    groups, start = [], 0
    for stop in range(1, count + 1):
        if stop == count or not fits(start, stop + 1):
            groups.append(range(start, stop))
            start = stop
    return groups


def _aligned(cell: str, side: str, width: int) -> str:
    padding = " " * (width - _width(cell))
    return padding + cell if side == "right" else cell + padding


def _width(text: str) -> int:
    """Return how many columns a text takes; a character of East Asia takes two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line in parts that fit, broken between words."""
    if _width(line) <= width:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent=2 * _INDENT, break_long_words=False, break_on_hyphens=False)
