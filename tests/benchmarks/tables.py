"""Tables in Markdown that also read well as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.statistics import Spread

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(slots=True)
class Table:
    """A table; cells of the first column stand left, all others right.

    Attributes:
        title: what is compared, and in which unit.
        columns: headings.
        rows: one cell per column.
        notes: what a reader must know to judge the numbers.
    """

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row.

        Raises:
            ValueError: not one cell per column.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"the table has {len(self.columns)} columns. Received: {len(cells)} cells")
        self.rows.append(list(cells))

    def markdown(self) -> str:
        """Return the title, the table with its columns aligned, and the notes."""
        lines = [list(self.columns), *self.rows]
        widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(self.columns))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        text = [_line(list(self.columns), widths), _line(rule, widths), *(_line(row, widths) for row in self.rows)]
        notes = "".join(f"\n- {note}" for note in self.notes)
        return f"### {self.title}\n\n" + "\n".join(text) + "\n" + (f"{notes}\n" if notes else "")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(aligned)} |"


def digits(value: float) -> str:
    """Return a number with about three significant digits."""
    magnitude = abs(value)
    places = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 0.1 else 4
    return f"{value:.{places}f}"


def with_quartiles(value: Spread) -> str:
    """Return the median, and the quartiles in brackets."""
    return f"{digits(value.median)} [{digits(value.lower)}, {digits(value.upper)}]"


def size(nbytes: int) -> str:
    """Return a length in binary units."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if nbytes >= unit:
            return f"{nbytes / unit:g} {name}"
    return f"{nbytes} B"
