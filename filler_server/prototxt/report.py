"""What a reader has to say about a file that it could read."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that was passed over or mended; never silent, never fatal.

    Attributes:
        message: what it is and what was done about it.
        line: line in the source, from 1; None for binary input or for the file as a whole.
        column: column in the source, from 1.
        layer: name of the layer it belongs to, where there is one.
    """

    message: str
    line: int | None = None
    column: int | None = None
    layer: str | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"{self.line}:{self.column}: "
        whose = "" if self.layer is None else f"layer '{self.layer}': "
        return where + whose + self.message


MAX_PROBLEMS = 1000
"""Problems kept of one file; one more then tells how many are left out."""


class ProblemList:
    """Problems as a reader meets them, no more of them than anybody reads."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._left_out = 0

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, problem: Problem) -> None:
        """Append a problem, or count it where there are too many already."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)
        else:
            self._left_out += 1

    def assign(self, first: int, layer: str) -> None:
        """Say that the problems from index `first` on belong to a layer."""
        self._problems[first:] = [replace(problem, layer=layer) for problem in self._problems[first:]]

    def close(self) -> list[Problem]:
        """Return the problems, with the number of those left out as the last one."""
        left_out = [Problem(f"{self._left_out} more problems, not listed")] if self._left_out else []
        return self._problems + left_out
