"""An explanation of a filler, or of the parameters of a module, to be shown."""

from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any

from caffe_filler.printable import number_text, printable, shape_text
from filler_server.diagnostics.explain.formulas import Formula
from filler_server.diagnostics.explain.plot import Bars, bars, plot
from filler_server.fillers.distributions import Distribution

_COLUMNS = 60
_LINES = 6
_LEFT = 'style="text-align: left"'


@dataclass(frozen=True, slots=True)
class Explanation:
    """One filler, for one blob or for any.

    Attributes:
        name: of the parameter of a module that it fills; empty of a filler alone.
        filler: it as prototxt in one line; empty where it depends on a shape that is not known.
        description: its values in a sentence.
        formula: its formula; None of a type of the user's own.
        shape: shape of the blob, None where it is not known.
        fan_in, fan_out: as Caffe counts them for the shape.
        distribution: of the values; None where it depends on a shape that is not known.
        paper: where it was published.
        calls: for "torch", "keras" and "jax" the call of the same distribution, or None where there is none.
        notes: what differs between these, and what to mind.
    """

    name: str
    filler: str
    description: str
    formula: Formula | None
    shape: tuple[int, ...] | None
    fan_in: int | None
    fan_out: int | None
    distribution: Distribution | None
    paper: str | None
    calls: dict[str, str | None]
    notes: tuple[str, ...]

    @property
    def bars(self) -> Bars | None:
        """The distribution as 60 bars; None where it is not known, or has one value alone."""
        return None if self.distribution is None else bars(self.distribution, _COLUMNS)

    def rows(self) -> list[tuple[str, str]]:
        """Return what there is to tell as titles and texts, but for the notes."""
        found = [("filler", self.filler), ("values", self.description)]
        if self.formula is not None:
            found.append(("formula", self.formula.symbols))
            if self.formula.numbers not in (None, self.formula.symbols):
                found.append(("numbers", self.formula.numbers or ""))
        if self.shape is not None:
            found.append(("shape", shape_text(self.shape)))
        if self.fan_in is not None:
            found.append(("fans", f"fan_in {self.fan_in:,}, fan_out {self.fan_out:,}"))
        if self.distribution is not None:
            of = self.distribution
            moments = f"mean {number_text(of.mean)}, std {number_text(of.std)}"
            found.append(("moments", f"{moments}, from {number_text(of.minimum)} to {number_text(of.maximum)}"))
        if self.paper is not None:
            found.append(("paper", self.paper))
        found += [
            (title, call or "no initializer of its own has this distribution") for title, call in self.calls.items()
        ]
        return [(title, text) for title, text in found if text]


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation; lines of text in print, a table in a notebook.

    Attributes:
        source: what was explained.
        parts: one for a filler, or one for each parameter of a module.
        notes: what else there is to know.
    """

    source: str
    parts: tuple[Explanation, ...]
    notes: tuple[str, ...] = ()

    def lines(self, *, plain: bool = True) -> list[str]:
        """Return the explanation as lines of text; characters that do not print are escaped.

        Args:
            plain: whether plots are drawn in ASCII rather than in block characters.
        """
        found: list[str] = []
        for part in self.parts:
            if found:
                found.append("")
            if part.name:
                found.append(f"{self.source} {part.name}")
            found += [printable(f"{title:8}{text}") for title, text in part.rows()]
            shares = part.bars
            if shares is not None:
                found += ["", *(f"{'':8}{line}".rstrip() for line in plot(shares, _LINES, plain=plain)), ""]
            found += [printable(f"{'note':8}{note}") for note in part.notes]
        return [*found, *(printable(f"{'note':8}{note}") for note in self.notes)]

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values, which JSON can hold: what `filler explain --json` prints."""
        return {
            "source": self.source,
            "parameters": [_part_dict(part) for part in self.parts],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        names = ", ".join(part.name for part in self.parts if part.name)
        return printable(f"Explained({self.source!r}{f', {names}' if names else ''})")

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        tables = []
        for part in self.parts:
            rows = [*part.rows(), *(("note", note) for note in part.notes)]
            cells = "\n".join(
                f"<tr><th {_LEFT}>{title}</th><td {_LEFT}>{escape(printable(text))}</td></tr>" for title, text in rows
            )
            caption = escape(printable(f"{self.source} {part.name}".strip()))
            shares = part.bars
            drawn = "" if shares is None else f"<pre>{escape(chr(10).join(plot(shares, _LINES, plain=False)))}</pre>"
            tables.append(f"<table>\n<caption>{caption}</caption>\n<tbody>\n{cells}\n</tbody>\n</table>\n{drawn}")
        return "\n".join([*tables, *(f"<p>{escape(printable(note))}</p>" for note in self.notes)])


def _part_dict(part: Explanation) -> dict[str, Any]:
    of, shares = part.distribution, part.bars
    figures = (None,) * 4 if of is None else (of.mean, of.std, of.minimum, of.maximum)
    mean, std, low, high = (None if value is None or not isfinite(value) else float(value) for value in figures)
    return {
        "name": part.name or None,
        "filler": part.filler or None,
        "description": part.description or None,
        "formula": None if part.formula is None else part.formula.symbols,
        "numbers": None if part.formula is None else part.formula.numbers,
        "shape": None if part.shape is None else list(part.shape),
        "fan_in": part.fan_in,
        "fan_out": part.fan_out,
        "mean": mean,
        "std": std,
        "minimum": low,
        "maximum": high,
        "paper": part.paper,
        "calls": dict(part.calls),
        "plot": None if shares is None else {"low": shares.low, "high": shares.high, "shares": list(shares.shares)},
        "notes": list(part.notes),
    }
