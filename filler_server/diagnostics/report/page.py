"""The page: one file of HTML without scripts, which loads nothing.

All that comes from a net is escaped, and the Content-Security-Policy allows the style sheet of the page, by its digest,
and images of `data:` addresses.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from caffe_filler.printable import printable
from filler_server.diagnostics.report import events
from filler_server.diagnostics.report.contents import Card, Contents, Figure, cards, signal_figures
from filler_server.diagnostics.statistics import table
from filler_server.output import write_atomically
from filler_server.prototxt.report import Problem

_FOLDER = Path(__file__).parent
_MOST_LINES = 20_000
_MOST_LINE = 400
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_VALUE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Report:
    """A report of a net and its weights; in a notebook it shows the page.

    Attributes:
        html: the page.
        figures: its plots and images, by names of files without an ending.
        warnings: what is to be told of the net.
        runs: what TensorBoard is given.
    """

    html: str
    figures: dict[str, Figure]
    warnings: tuple[Problem, ...] = ()
    runs: tuple[events.Run, ...] = ()

    def save(self, path: Path) -> None:
        """Write the page to a file, which appears whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(path, self.html.encode())

    def save_figures(self, folder: Path) -> list[Path]:
        """Write each plot and image to a PNG file in a folder, which is made where it is missing; return their paths.

        Raises:
            OSError: one cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, figure in self.figures.items():
            paths.append(folder / f"{name}.png")
            write_atomically(paths[-1], figure.drawing.png())
        return paths

    def save_tensorboard(self, folder: Path) -> list[Path]:
        """Write an event file for TensorBoard for each set of weights, each into a folder of its own; return the paths.

        A file has a histogram of each blob, over a sample of up to 65,536 values, mean and standard deviation, and the
        signal, with the number of the value as its step. One that is there from an earlier report is replaced.

        Raises:
            Unavailable: tensorboardX is not installed.
            OSError: one cannot be written.
        """
        paths = []
        for run in self.runs:
            data, path = events.event_file(run), folder / run.name / events.FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
            paths.append(path)
        return paths

    def __repr__(self) -> str:
        return f"Report({len(self.html):,} characters, {len(self.figures)} figures)"

    def _repr_html_(self) -> str:
        return f'<iframe title="report" width="100%" height="800" srcdoc="{escape(self.html)}"></iframe>'


def render(contents: Contents) -> Report:
    """Return the page of these contents."""
    signals = [] if contents.signal is None else signal_figures(contents.signal, contents.plan)
    drawn, left_out = cards(contents)
    style = Markup((_FOLDER / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of this package
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "data": _data_address, "dims": _dims, "number": _number}
    lines = [
        printable(line.rstrip("\r").expandtabs(4)) for line in contents.source.split("\n", _MOST_LINES)[:_MOST_LINES]
    ]
    html = environment.get_template("page.html").render(
        contents=contents,
        style=style,
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        signals=signals,
        cards=drawn,
        left_out=left_out,
        lines=[line if len(line) <= _MOST_LINE else f"{line[:_MOST_LINE]} …" for line in lines],
        is_cut=contents.source.count("\n") > _MOST_LINES,
        closing=[table.closing(weights.checked) for weights in contents.weights],
        activations=_activations(contents),
    )
    warnings = dict.fromkeys(problem for weights in contents.weights for problem in weights.checked.warnings)
    return Report(html, _named(signals, drawn), tuple(warnings), events.runs(contents))


def _named(signals: list[Figure], drawn: list[Card]) -> dict[str, Figure]:
    found = {figure.name: figure for figure in signals}
    for number, card in enumerate(drawn, 1):
        for figure in card.figures:
            found[f"{number:03d}-{_UNSAFE.sub('_', card.name)[:80]}-{figure.name}"] = figure
    return found


def _activations(contents: Contents) -> list[int | None]:
    """Return the bytes of the tops of each layer as float32; None where a dimension is not known."""
    found: list[int | None] = []
    for layer in () if contents.plan is None else contents.plan.layers:
        total: int | None = 0
        for top in layer.tops:
            count = _count(top.shape)
            total = None if count is None or total is None else total + count * _VALUE_BYTES
        found.append(total)
    return found


def _count(shape: "tuple[int | None, ...] | None") -> int | None:
    if shape is None:
        return None
    count = 1
    for dim in shape:
        if dim is None:
            return None
        count *= dim
    return count


def _data_address(figure: Figure) -> str:
    return f"data:{figure.drawing.media};base64,{base64.b64encode(figure.drawing.data).decode()}"


def _dims(shape: "tuple[int | None, ...] | None") -> str:
    if shape is None:
        return "?"
    return " × ".join("?" if dim is None else f"{dim:,}" for dim in shape) or "scalar"


def _number(value: Any) -> str:
    return "?" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
