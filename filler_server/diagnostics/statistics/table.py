"""A verdict as a table, for people, and as plain values."""

from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from typing import Any

from caffe_filler.printable import counted, number_text, printable, shape_text
from caffe_filler.tables import table_lines
from filler_server.diagnostics.statistics.result import CheckedBlob, Result

COLUMNS = [
    *((title, "left") for title in ("blob", "shape", "filler", "state")),
    *((title, "right") for title in ("values", "fan in", "fan out", "zeros", "mean", "std", "promised", "min", "max")),
    *((title, "right") for title in ("z mean", "z var", "p KS")),
]
_WIDTH = 80


def rows(checked: Result) -> list[list[str]]:
    """Return the cells of each blob's line."""
    return [_cells(blob) for blob in checked.blobs]


def closing(checked: Result) -> Iterator[str]:
    """Yield the lines under a table: reasons and notes, then the verdict."""
    for blob in checked.blobs:
        for note in blob.notes:
            yield f"{blob.name}: {note}"
    for name, shape in checked.unused:
        yield f"{name}: no layer of the net takes it, {shape_text(shape)}"
    yield from checked.notes
    yield verdict(checked)


def verdict(checked: Result) -> str:
    """Return the verdict and how it was reached, as a sentence."""
    counts: dict[str, int] = {}
    for blob in checked.blobs:
        counts[blob.state] = counts.get(blob.state, 0) + 1
    states = ", ".join(f"{number:,} {state}" for state, number in counts.items()) or "none"
    failing = len(checked.failing)
    outcome = "passed" if checked.passed else f"failed by {counted(failing, 'blob')}"
    tests = f"{counted(checked.tests, 'test')}, significance {checked.significance:g} over all (Holm)"
    return f"{outcome}: {states}; {tests}"


def text_table(checked: Result) -> str:
    """Return a result as lines of text; characters that do not print are escaped."""
    table = table_lines(COLUMNS, rows(checked), _WIDTH)
    return "\n".join([printable(checked.source), *table, *map(printable, closing(checked))])


def html_table(checked: Result) -> str:
    """Return a result as an HTML table; characters that do not print are escaped."""

    def line(tag: str, cells: list[str]) -> str:
        inside = (
            f'<{tag} style="text-align: {side}">{escape(printable(cell))}</{tag}>'
            for cell, (_, side) in zip(cells, COLUMNS, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    head = line("th", [title for title, _ in COLUMNS])
    body = "\n".join(line("td", cells) for cells in rows(checked))
    under = "<br>".join(escape(printable(text)) for text in closing(checked))
    caption = escape(printable(checked.source))
    table = f"<table>\n<caption>{caption}</caption>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f"{table}\n<p>{under}</p>"


def checked_dict(checked: Result) -> dict[str, Any]:
    """Return a result as plain values; None where something is not known or is no finite number."""
    return {
        "source": checked.source,
        "expected": checked.expected,
        "significance": checked.significance,
        "correction": "Holm",
        "tests": checked.tests,
        "passed": checked.passed,
        "failing": [blob.name for blob in checked.failing],
        "blobs": [_blob_dict(blob) for blob in checked.blobs],
        "unused": [{"name": name, "shape": list(shape)} for name, shape in checked.unused],
        "notes": list(checked.notes),
        "warnings": [str(problem) for problem in checked.warnings],
    }


def _cells(blob: CheckedBlob) -> list[str]:
    figures, promised = blob.figures, blob.promised
    state = ", ".join([blob.state, *blob.findings])
    filled = f"= {blob.owner}" if blob.owner else blob.filler.replace('type: "', "").replace('"', "")
    first = [blob.name, shape_text(blob.shape), filled, state]
    if figures is None:
        return [*first, *[""] * (len(COLUMNS) - len(first))]
    share = f"{figures.zeros / figures.count:.1%}" if figures.count else ""
    counts = [number_text(figures.count), number_text(blob.fan_in), number_text(blob.fan_out), share]
    promise = None if promised is None else promised.std
    values = (figures.mean, figures.std, promise, figures.minimum, figures.maximum)
    mean, variance, distribution = (blob.test(name) for name in ("mean", "variance", "distribution"))
    scores = ["" if test is None else f"{test.statistic:+.2f}" for test in (mean, variance)]
    texts = ["" if value is None else f"{value:.3g}" for value in values]
    return [*first, *counts, *texts, *scores, "" if distribution is None else f"{distribution.probability:.2g}"]


def _blob_dict(blob: CheckedBlob) -> dict[str, Any]:
    figures, promised = blob.figures, blob.promised
    mean, variance, distribution = (blob.test(name) for name in ("mean", "variance", "distribution"))
    return {
        "name": blob.name,
        "shape": None if blob.shape is None else list(blob.shape),
        "state": blob.state,
        "filler": blob.filler or None,
        "owner": blob.owner,
        "dtype": blob.dtype,
        "fan_in": blob.fan_in,
        "fan_out": blob.fan_out,
        "count": None if figures is None else figures.count,
        "mean": None if figures is None else figures.mean,
        "std": None if figures is None else figures.std,
        "minimum": None if figures is None else figures.minimum,
        "maximum": None if figures is None else figures.maximum,
        "zeros": None if figures is None else figures.zeros,
        "nans": None if figures is None else figures.nans,
        "infinite": None if figures is None else figures.infinite,
        "zero_channels": blob.zero_channels,
        "repeated_channels": blob.repeated_channels,
        "promised": None
        if promised is None
        else {
            "mean": promised.mean,
            "std": promised.std,
            "minimum": promised.minimum,
            "maximum": promised.maximum,
            "text": promised.text,
        },
        "z_mean": None if mean is None else mean.statistic,
        "z_variance": None if variance is None else variance.statistic,
        "ks": None if distribution is None else distribution.statistic,
        "ks_error": None if distribution is None else distribution.error,
        "ks_probability": None if distribution is None else distribution.probability,
        "tests": [asdict(test) for test in blob.tests],
        "probability": blob.probability,
        "findings": list(blob.findings),
        "notes": list(blob.notes),
    }
