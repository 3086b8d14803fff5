"""Signal of a net: what a client is given, as a table and as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from caffe_filler.printable import printable
from caffe_filler.tables import table_lines
from filler_server.diagnostics.signal.verdict import Verdict
from filler_server.net.plan import Value

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class ValueSignal:
    """Signal of a value; what is not known is None.

    Attributes:
        value: the value in the plan.
        layer: name of the layer that makes it.
        top: its name; of a layer that works in place it is the value after that layer.
        mean: mean of its elements.
        variance: variance of all of its elements.
        mean_square: mean of their squares.
        gradient_mean_square: mean square of the gradient of the loss with respect to them; 0 where no loss depends on
            them.
        zeros: share of elements that are exactly 0.
        saturated: share of elements of a TanH above 0.99 in size, of a Sigmoid below 0.01 or above 0.99.
        dead: share of channels of a ReLU that are 0 in the whole batch.
        unknown: why the activation is not known.
        gradient_unknown: why the gradient is not known.
        spread: standard deviation of these numbers over seeds, by their names; in theory that of the mean square alone.
    """

    value: Value
    layer: str
    top: str
    mean: float | None = None
    variance: float | None = None
    mean_square: float | None = None
    gradient_mean_square: float | None = None
    zeros: float | None = None
    saturated: float | None = None
    dead: float | None = None
    unknown: str | None = None
    gradient_unknown: str | None = None
    spread: "dict[str, float | None] | None" = None


@dataclass(frozen=True, slots=True)
class ParameterSignal:
    """Signal of a learnable blob; what is not known is None.

    Attributes:
        name: its name.
        mean_square: mean of the squares of its values.
        gradient_mean_square: mean square of the gradient of the loss with respect to them; None for statistics, and
            where the parts of a sum cancel.
        spread: as of `ValueSignal`; None in theory.
    """

    name: str
    mean_square: float | None = None
    gradient_mean_square: float | None = None
    spread: "dict[str, float | None] | None" = None

    @property
    def ratio(self) -> float | None:
        """The mean square of the gradient divided by that of the values."""
        if self.gradient_mean_square is None or not self.mean_square:
            return None
        return self.gradient_mean_square / self.mean_square


_VALUE_NUMBERS = ("mean", "variance", "mean_square", "gradient_mean_square", "zeros", "saturated")
_PARAMETER_NUMBERS = ("mean_square", "gradient_mean_square")


@dataclass(frozen=True, slots=True)
class SignalReport:
    """Signal of a net before any training. `print(report)` shows a table, and so does a notebook.

    Attributes:
        net: name of the net.
        phase: TRAIN or TEST.
        values: every value, in the order of the layers.
        parameters: every learnable blob, in the order of the layers; shared ones once, by their owner.
        verdict: whether the signal keeps its size.
        seeds: how many seeds were simulated; 0: the numbers are those of theory.
        notes: what is not known, and why; one line for each reason.
    """

    net: str
    phase: str
    values: tuple[ValueSignal, ...]
    parameters: tuple[ParameterSignal, ...]
    verdict: Verdict
    seeds: int = 0
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, list[dict[str, Any]]]:
        """Return the signal as plain values, which JSON can hold: what `filler signal --json` prints."""
        return {
            "values": [
                {"layer": value.layer, "top": value.top, **_numbers(value, _VALUE_NUMBERS)} for value in self.values
            ],
            "parameters": [{"name": blob.name, **_numbers(blob, _PARAMETER_NUMBERS)} for blob in self.parameters],
        }

    def __str__(self) -> str:
        lines = [printable(self.title), *table_lines(*value_table(self), _WIDTH)]
        if self.parameters:
            lines += ["", *table_lines(*parameter_table(self), _WIDTH)]
        return "\n".join([*lines, "", *map(printable, (*self.notes, *self.verdict.sentences))])

    def _repr_html_(self) -> str:
        tables = [_html(*value_table(self), self.title)]
        if self.parameters:
            tables.append(_html(*parameter_table(self), "parameters"))
        said = "".join(f"<p>{escape(printable(line))}</p>" for line in (*self.notes, *self.verdict.sentences))
        return "\n".join([*tables, said])

    @property
    def title(self) -> str:
        """The line above the tables."""
        how = f"simulated with {self.seeds} seed{'' if self.seeds == 1 else 's'}" if self.seeds else "in theory"
        return f"{self.net or 'net'} ({self.phase}), {how}"


Columns = Sequence[tuple[str, str]]
Rows = Sequence[Sequence[str]]


def value_table(report: SignalReport) -> tuple[Columns, Rows]:
    """Return columns and rows of the values."""
    shares = [
        name for name in ("saturated", "dead") if any(getattr(value, name) is not None for value in report.values)
    ]
    names = ["mean", "mean_square", "gradient_mean_square", "zeros", *shares]
    titles = ["mean", "mean square", "gradient", "zeros", *shares]
    rows = []
    for value in report.values:
        name = value.layer if value.layer == value.top else f"{value.layer}: {value.top}"
        cells = [_cell(value, number, share=number in ("zeros", "saturated", "dead")) for number in names]
        rows.append([name, *cells])
    return [("layer: top", "left"), *((name, "right") for name in titles)], rows


def parameter_table(report: SignalReport) -> tuple[Columns, Rows]:
    """Return columns and rows of the parameters."""
    rows = []
    for blob in report.parameters:
        ratio = "?" if blob.ratio is None else f"{blob.ratio:.3g}"
        rows.append([blob.name, _cell(blob, "mean_square"), _cell(blob, "gradient_mean_square"), ratio])
    titles = ("mean square", "gradient", "gradient / own")
    return [("parameter", "left"), *((name, "right") for name in titles)], rows


def _cell(part: ValueSignal | ParameterSignal, name: str, *, share: bool = False) -> str:
    number = getattr(part, name)
    if number is None:
        return "" if share and name != "zeros" else "?"
    spread = None if part.spread is None else part.spread.get(name)
    text = f"{100 * number:.3g}%" if share else f"{number:.3g}"
    return text if spread is None or share else f"{text} ±{spread:.1g}"


def _numbers(part: ValueSignal | ParameterSignal, names: Sequence[str]) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for name in names:
        numbers[name] = getattr(part, name)
        if part.spread is not None and name in part.spread:
            numbers[f"{name}_spread"] = part.spread[name]
    return numbers


def _html(columns: Columns, rows: Rows, caption: str) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (
            f'<{tag} style="text-align: {side}">{escape(printable(cell))}</{tag}>'
            for cell, (_, side) in zip(cells, columns, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    body = "\n".join(line("td", row) for row in rows)
    head = line("th", [name for name, _ in columns])
    above = f"<caption>{escape(printable(caption))}</caption>\n<thead>{head}</thead>"
    return f"<table>\n{above}\n<tbody>\n{body}\n</tbody>\n</table>"
