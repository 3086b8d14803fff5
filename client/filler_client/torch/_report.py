"""Report of what has filled the parameters of a module."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from caffe_filler.printable import counted, number_text, printable
from caffe_filler.tables import table_lines

Status = Literal["filled", "tied", "left alone", "reset", "not filled"]

_COLUMNS = (
    ("parameter", "left"),
    ("shape", "left"),
    ("filler", "left"),
    ("fan in", "right"),
    ("fan out", "right"),
    ("std", "right"),
    ("measured", "right"),
    ("rule", "left"),
)
_WIDTH = 160


class InitEntry(NamedTuple):
    """A parameter or buffer of a module, and what has become of it.

    Attributes:
        name: its qualified name in the whole model.
        shape: the shape of the whole tensor.
        dtype: its data type, as PyTorch calls it: float32, bfloat16 ...
        status: `filled` by a rule; `tied`: filled under another name; `left alone`: a buffer that no rule names;
            `reset`: a buffer that its module's own `reset_parameters` has set; `not filled`: a parameter that no rule
            fits, or a buffer that was on the device meta and that nothing has set.
        rule: the rule that fits, in a few words.
        filler: the type of its filler.
        fan_in: inputs of each output, of the whole logical tensor; None where nothing is filled, so with the others.
        fan_out: outputs of each input, likewise.
        mean: the mean that theory expects of the whole tensor.
        std: the standard deviation that theory expects of it.
        measured_mean: the mean of values that this process holds, up to 8192 of them; None where it holds none.
        measured_std: their standard deviation.
        tied_to: the name under which a tied parameter was filled.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    status: Status
    rule: str = ""
    filler: str = ""
    fan_in: int | None = None
    fan_out: int | None = None
    mean: float | None = None
    std: float | None = None
    measured_mean: float | None = None
    measured_std: float | None = None
    tied_to: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class InitReport:
    """All parameters and buffers of a module in their order, and what has become of each.

    `print` shows a table, and so does a notebook; `report["blocks.0.attn.weight"]` is one entry.

    Attributes:
        entries: the parameters and buffers.
        seed: the seed.
        unused: rules that fit no parameter of this module, in a few words each.
    """

    entries: tuple[InitEntry, ...]
    seed: int
    unused: tuple[str, ...] = ()

    @property
    def not_filled(self) -> tuple[InitEntry, ...]:
        """The parameters that no rule fits."""
        return tuple(entry for entry in self.entries if entry.status == "not filled")

    def table(self, width: int = _WIDTH) -> str:
        """Return the report as a table, in lines of so many characters as far as words allow."""
        return "\n".join([*table_lines(_COLUMNS, [_cells(entry) for entry in self.entries], width), *self._notes()])

    def __getitem__(self, name: str) -> InitEntry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __iter__(self) -> Iterator[InitEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for entry in self.entries:
            counts[entry.status] = counts.get(entry.status, 0) + 1
        what = ", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing to fill"
        return f"<InitReport: {what}; seed {self.seed}>"

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:{side}'>{title}</th>" for title, side in _COLUMNS)
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:{side}'>{html.escape(printable(cell))}</td>"
                for cell, (_, side) in zip(_cells(entry), _COLUMNS, strict=True)
            )
            + "</tr>"
            for entry in self.entries
        )
        notes = "".join(f"<p>{html.escape(printable(note))}</p>" for note in self._notes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"

    def _notes(self) -> list[str]:
        notes = [repr(self)[1:-1]]
        if self.not_filled:
            notes.append(
                f"{counted(len(self.not_filled), 'parameter')} that no rule fits: "
                "they keep what they held, or are NaN if they were on the device meta"
            )
        if self.unused:
            notes.append(f"rules that fit nothing here: {'; '.join(self.unused)}")
        return notes


def _cells(entry: InitEntry) -> list[str]:
    filler = f"constant {entry.mean:g}" if entry.filler == "constant" else entry.filler
    what = {"filled": filler, "tied": f"tied to {entry.tied_to}"}.get(entry.status, entry.status)
    return [
        entry.name,
        "x".join(map(str, entry.shape)) or "scalar",
        what,
        number_text(entry.fan_in),
        number_text(entry.fan_out),
        number_text(entry.std),
        number_text(entry.measured_std),
        entry.rule,
    ]
