"""Comments `# filler: ignore[FIL012]`, which keep lint quiet where they stand."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from filler_server.diagnostics.lint.selection import codes_of
from filler_server.diagnostics.lint.source import Source
from filler_server.prototxt.rewrite.syntax import Block, Entry

_COMMENT = re.compile(r"#+\s*filler:\s*ignore\s*\[([^\]]*)\]")


def patterns(comment: str) -> list[str] | None:
    """Return the codes and prefixes that a comment ignores, or None where it is not about lint."""
    found = _COMMENT.search(comment)
    return None if found is None else [part for text in found[1].split(",") if (part := text.strip())]


class Ignores:
    """The lines of a text on which rules are ignored.

    A comment after something counts for its line. One on a line of its own counts for the next line that is not a
    comment, and for the whole layer where one begins there.

    Args:
        source: the text.
        layers: field and block of its layers.
    """

    def __init__(self, source: Source, layers: "Sequence[tuple[Entry, Block] | None]" = ()) -> None:
        self._lines: dict[int, frozenset[str]] = {}
        self._layers: list[tuple[int, int]] = []
        found = [(place[0], comment, alone) for place, comment, alone in source.comments()]
        if not any(patterns(comment) for _, comment, _ in found):
            return
        ends = {first: last for layer in layers if layer for first, last in [source.lines_of(layer)]}
        lines = source.text.split("\n")
        code = [number for number, text in enumerate(lines, 1) if text.strip() and not text.lstrip().startswith("#")]
        for line, comment, alone in found:
            codes = frozenset(code for pattern in patterns(comment) or () for code in codes_of(pattern))
            if codes and alone:
                at = bisect_left(code, line)
                if at < len(code):
                    self._add(code[at], codes)
                    if code[at] in ends:
                        self._layers.append((code[at], ends[code[at]]))
            elif codes:
                self._add(line, codes)
        self._layers.sort()

    def ignores(self, code: str, line: int | None) -> bool:
        """Whether findings of a rule on a line are ignored."""
        if line is None or not self._lines:
            return False
        if code in self._lines.get(line, ()):
            return True
        # Layers do not lie in each other: the last one that begins before the line is the one that may hold it.
        at = bisect_right(self._layers, line, key=lambda layer: layer[0]) - 1
        return at >= 0 and line <= self._layers[at][1] and code in self._lines[self._layers[at][0]]

    def _add(self, line: int, codes: frozenset[str]) -> None:
        self._lines[line] = self._lines.get(line, frozenset()) | codes
