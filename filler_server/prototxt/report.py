"""Reports of a reader on a file that it could read."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from caffe_filler.errors import PrototxtError
from caffe_filler.interface import option
from caffe_filler.notes import Note

Place: TypeAlias = tuple[int, int]
"""Line and column in a text, both from 1."""


@dataclass(frozen=True, slots=True)
class Problem(Note):
    """Something in a file that was passed over or mended; never silent, never fatal."""


@dataclass(frozen=True, slots=True)
class Change(Note):
    """Something in a file that was brought to the current format."""


_LONGEST_NAME = 200

MAX_PROBLEMS = 1000
"""Problems kept of one file; one more then tells how many are left out."""


class ProblemList:
    """Problems as a reader meets them, no more of them than anybody reads.

    Args:
        strict: whether the first problem is an error.
        lenient: whether a misspelled name is passed over as any strange one is.

    Attributes:
        last: index of the problem that was added last, or None if it was only counted.
    """

    def __init__(self, *, strict: bool = False, lenient: bool = False) -> None:
        self.last: int | None = None
        self._strict = strict
        self._lenient = lenient
        self._problems: list[Problem] = []
        self._left_out = 0

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def full(self) -> bool:
        """Whether more problems are only counted."""
        return len(self._problems) >= MAX_PROBLEMS

    def add(
        self,
        what: str,
        received: object,
        *,
        done: str = "passed over",
        place: Place | None = None,
        layer: str | None = None,
    ) -> None:
        """Take note of a problem, or only count it where there are too many already.

        Args:
            what: what is wrong.
            received: the thing itself, for the error that it is in strict reading.
            done: what becomes of it.
            place: where it stands.
            layer: the layer it belongs to.

        Raises:
            PrototxtError: reading is strict.
        """
        line, column = place or (None, None)
        if self._strict:
            raise PrototxtError(f"{what}. Received: {received}", line=line, column=column)
        if self.full:
            self._left_out += 1
            self.last = None
        else:
            self.last = len(self._problems)
            self._problems.append(Problem(f"{what}, {done}", line=line, column=column, layer=layer))

    def refuse_misspelled(self, what: str, received: str, *, place: Place) -> None:
        """Refuse a name that is a known one misspelled.

        Args:
            what: what does not have the name, and the one that is meant.
            received: the name, safe to print.
            place: where it stands.

        Raises:
            PrototxtError: unless reading is lenient.
        """
        if not self._lenient:
            remedy = "" if self._strict else f"; {option('lenient')} passes over it"
            raise PrototxtError(f"{what}{remedy}. Received: {received}", line=place[0], column=place[1])

    def assign(self, first: int, layer: str) -> None:
        """Say that the problems from index `first` on belong to a layer, whose name is cut if it is too long."""
        name = layer[:_LONGEST_NAME]
        self._problems[first:] = [replace(problem, layer=name) for problem in self._problems[first:]]

    def all(self) -> tuple[Problem, ...]:
        """Return the problems, with the number of those left out as the last one."""
        left_out = [Problem(f"{self._left_out} more problems, not listed")] if self._left_out else []
        return (*self._problems, *left_out)
