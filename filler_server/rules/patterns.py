"""Patterns of names, as those of files in a shell."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase, translate


class NamePatterns:
    """Patterns of qualified names of parameters; without any, every name fits.

    `*` stands for any characters, `?` for any one, `[ab]` for one of these, `[!ab]` for any other one.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = list(patterns)
        self._match = re.compile("|".join(map(translate, self._patterns))).match

    def fit(self, name: str, *, is_buffer: bool) -> bool:
        """Whether a pattern fits a name; one that fits a buffer ends with the buffer's own name."""
        if not is_buffer:
            return not self._patterns or self._match(name) is not None
        own = name.rpartition(".")[2]
        return any(pattern.rpartition(".")[2] == own and fnmatchcase(name, pattern) for pattern in self._patterns)


class ClassPatterns:
    """Patterns of names of classes; those with a dot are of qualified names. Without any, every class fits."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = [("." in pattern, re.compile(translate(pattern)).match) for pattern in patterns]

    def fit(self, names: Iterable[str]) -> bool:
        """Whether a pattern fits one of the names."""
        return not self._compiled or any(
            match(name) for name in names for dotted, match in self._compiled if dotted == ("." in name)
        )


def literal(name: str) -> str:
    """Return the pattern that fits a name alone."""
    return re.sub(r"[*?[]", r"[\g<0>]", name)


def is_pattern(name: str) -> bool:
    """Whether a pattern stands for more than one name."""
    return any(character in re.sub(r"\[[*?[]\]", "", name) for character in "*?[")
