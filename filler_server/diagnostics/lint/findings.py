"""Findings of lint, as people and programs are given them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal, TypeAlias, overload

from caffe_filler.printable import counted, printable
from caffe_filler.tables import table_lines

Severity: TypeAlias = Literal["error", "warning", "note"]
"""`error`: Caffe refuses the file, or it cannot work. `warning`: a likely mistake. `note`: worth knowing."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_COLUMNS = [("code", "left"), ("severity", "left"), ("place", "left"), ("layer", "left"), ("message", "left")]
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """A likely mistake.

    Attributes:
        code: code of the rule, such as FIL012.
        severity: `error`, `warning` or `note`.
        file: path of the file, or what the caller calls it.
        line: line in the file, from 1; None for binary files.
        column: column, from 1, in characters.
        layer: name of the layer; None where it is about the file as a whole.
        message: what is wrong, with the numbers of the case.
        mend: what would mend it.
    """

    code: str
    severity: Severity
    file: str
    line: int | None
    column: int | None
    layer: str | None
    message: str
    mend: str

    @property
    def place(self) -> str:
        """File, line and column, as editors understand them."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return asdict(self)

    def __str__(self) -> str:
        layer = "" if self.layer is None else f"layer '{self.layer}': "
        return printable(f"{self.place}: {self.severity} {self.code}: {layer}{self.message}")


class Findings(Sequence[Finding]):
    """Findings in the order of the files and of their lines; a table for `print` and in a notebook."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._findings = tuple(findings)

    @property
    def failed(self) -> bool:
        """Whether there is an error or a warning: what makes `filler lint` exit with status 1."""
        return any(finding.severity != "note" for finding in self)

    def summary(self) -> str:
        """Return how many there are of each severity."""
        numbers = Counter(finding.severity for finding in self)
        kinds = ", ".join(counted(numbers[severity], severity) for severity in SEVERITIES if numbers[severity])
        return kinds or "no findings"

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> "Findings": ...

    def __getitem__(self, index: int | slice) -> "Finding | Findings":
        return Findings(self._findings[index]) if isinstance(index, slice) else self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Findings) and self._findings == other._findings

    def __hash__(self) -> int:
        return hash(self._findings)

    def __repr__(self) -> str:
        return f"Findings({self.summary()})"

    def __str__(self) -> str:
        return "\n".join([*table_lines(_COLUMNS, [_cells(finding) for finding in self], _WIDTH), self.summary()])

    def _repr_html_(self) -> str:
        def line(tag: str, cells: Iterable[str]) -> str:
            inside = (f'<{tag} style="text-align: left">{escape(printable(cell))}</{tag}>' for cell in cells)
            return f"<tr>{''.join(inside)}</tr>"

        titles = [*(title for title, _ in _COLUMNS), "mend"]
        body = "\n".join(line("td", [*_cells(finding), finding.mend]) for finding in self)
        head = line("th", titles)
        return (
            f"<table>\n<caption>{self.summary()}</caption>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        )


def _cells(finding: Finding) -> list[str]:
    return [finding.code, finding.severity, finding.place, finding.layer or "", finding.message]
