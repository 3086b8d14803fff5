"""Comments `# filler: ignore[FIL012]`, which keep lint quiet where they stand."""

import re
from bisect import bisect_left
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
        self._ranges: list[tuple[int, int, frozenset[str]]] = []
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
                    self._ranges.append((code[at], ends.get(code[at], code[at]), codes))
            elif codes:
                self._ranges.append((line, line, codes))

    def ignores(self, code: str, line: int | None) -> bool:
        """Whether findings of a rule on a line are ignored."""
        return line is not None and any(first <= line <= last and code in codes for first, last, codes in self._ranges)
