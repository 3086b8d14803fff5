"""Edits of a text that leave it tidy: no empty line where a field was, no comment lost, new lines indented."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from filler_server.prototxt.rewrite.syntax import Block, comments

_BLANK = " \t\r\v\f"
_COMMENT_LINE = re.compile(r"[ \t\r\v\f]*+#")


@dataclass(slots=True)
class _Removal:
    """A field to take out, and what to put in its place: comments, then printed lines, then pieces of the source."""

    start: int
    end: int
    comments: list[str]
    lines: list[str]
    kept: list[str]


class Edits:
    """Edits of one text, collected and then made at once; no two of them may overlap.

    Offsets are indices of the text. Printed lines hold no comments.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        first = source.find("\n")
        self._newline = "\r\n" if source[max(first - 1, 0) : first] == "\r" else "\n"
        self._pieces: list[tuple[int, int, str]] = []
        self._removals: list[_Removal] = []

    def replace(self, start: int, end: int, text: str) -> None:
        """Put a text in place of whole tokens."""
        self._pieces.append((start, end, text))

    def remove(self, start: int, end: int, lines: Sequence[str] = (), kept: Sequence[tuple[int, int]] = ()) -> None:
        """Take out a field, but not the comments in it.

        Args:
            start: offset of its name.
            end: offset after it.
            lines: what to print in its place.
            kept: start and end of the fields in it that stay, in their order, after what is printed.
        """
        gaps = zip([start, *(last for _, last in kept)], [*(first for first, _ in kept), end], strict=True)
        moved = [comment for gap in gaps for comment in comments(self._source, *gap)]
        pieces = [self._source[first:last] for first, last in kept]
        self._removals.append(_Removal(start, end, moved, list(lines), pieces))

    def insert_into(self, block: Block, lines: Sequence[str]) -> None:
        """Print lines at the end of a block."""
        line = self._line_start(block.close)
        if line is None:
            space = "" if self._source[block.close - 1] in _BLANK else " "
            self._pieces.append((block.close, block.close, f"{space}{_one_line(lines)} "))
            return
        starts = ((self._line_start(entry.start), entry.start) for entry in block.entries)
        indents = (self._source[start:end] for start, end in starts if start is not None)
        self._insert_lines(line, next(indents, self._source[line : block.close] + "  "), lines)

    def insert_before(self, start: int, lines: Sequence[str]) -> None:
        """Print lines in front of a field and of the comments right above it."""
        line = self._line_start(start)
        if line is None:
            self._pieces.append((start, start, _one_line(lines) + " "))
            return
        indent = self._source[line:start]
        while line and _COMMENT_LINE.match(self._source, above := self._source.rfind("\n", 0, line - 1) + 1):
            line = above
        self._insert_lines(line, indent, lines)

    def apply(self) -> str:
        """Return the edited text."""
        result = []
        position = 0
        for start, end, text in sorted([*self._pieces, *map(self._piece, self._runs())]):
            result += [self._source[position:start], text]
            position = end
        return "".join([*result, self._source[position:]])

    def _insert_lines(self, position: int, indent: str, lines: Sequence[str]) -> None:
        self._pieces.append((position, position, "".join(f"{indent}{line}{self._newline}" for line in lines)))

    def _runs(self) -> list[_Removal]:
        """The removals in order, neighbors on a line made one."""
        runs: list[_Removal] = []
        for removal in sorted(self._removals, key=lambda removal: removal.start):
            if runs and self._next(runs[-1].end) == removal.start:
                last = runs[-1]
                last.end = removal.end
                last.comments += removal.comments
                last.lines += removal.lines
                last.kept += removal.kept
            else:
                runs.append(removal)
        return runs

    def _piece(self, run: _Removal) -> tuple[int, int, str]:
        """Start, end and replacement of what changes with a run: with its line, if nothing else is on it."""
        line, follower = self._line_start(run.start), self._next(run.end)
        after = self._source[follower : follower + 1]
        ends_line = after in ("\n", "")
        if run.comments or run.lines or run.kept:
            if line is None or len(run.lines) + len(run.kept) == 1:
                return run.start, run.end, self._within_line(run, space=follower == run.end and not ends_line)
            return self._in_lines(run, self._source[line : run.start], follower, after)
        if line is not None and ends_line:
            return line, min(follower + 1, len(self._source)), ""
        if line is None and (ends_line or after == "#"):
            return self._blank_start(run.start), run.end, ""
        return run.start, follower, ""

    def _within_line(self, run: _Removal, *, space: bool) -> str:
        """Return the text that replaces fields so that the rest of the line can follow."""
        text = ""
        if run.comments:
            line = self._source.rfind("\n", 0, run.start) + 1
            indent = self._source[line : self._next(line)]
            text = "".join(f"{comment}{self._newline}{indent}" for comment in run.comments)
        printed = [_one_line(run.lines)] if run.lines else []
        return text + " ".join([*printed, *run.kept]) + (" " if space else "")

    def _in_lines(self, run: _Removal, indent: str, follower: int, after: str) -> tuple[int, int, str]:
        """Return the text that replaces fields that start their line; a comment after them goes above it."""
        lines = [*run.lines, *run.kept]
        if after == "#" and len(lines) > 1:
            line_end = self._source.find("\n", follower)
            (comment,) = comments(self._source, follower, line_end if line_end >= 0 else len(self._source))
            lines = [*run.comments, comment, *lines]
            end = follower + len(comment)
        else:
            stays = after not in ("\n", "")
            lines = [*run.comments, *lines, *([""] if stays else [])]
            end = follower if stays else run.end
        return run.start, end, f"{self._newline}{indent}".join(lines)

    def _line_start(self, offset: int) -> int | None:
        """Offset of the line's start, if there is nothing in front of this offset."""
        start = self._blank_start(offset)
        return start if start == 0 or self._source[start - 1] == "\n" else None

    def _blank_start(self, offset: int) -> int:
        """Offset of the blanks in front of this one."""
        while offset and self._source[offset - 1] in _BLANK:
            offset -= 1
        return offset

    def _next(self, offset: int) -> int:
        """Offset of what follows on the line, or of the line's end."""
        while offset < len(self._source) and self._source[offset] in _BLANK:
            offset += 1
        return offset


def _one_line(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)
