"""A plan as a table, for people: plain text, and HTML for a notebook."""

from collections.abc import Sequence
from html import escape

from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.printable import counted, number_text, printable, shape_text
from caffe_filler.tables import table_lines
from filler_server.net.planned import Blob, Layer, PlannedNet

_NUMBERS = ("fan_in", "fan_out", "std", "count")
"""Figures at the end of a blob's line."""

_WIDTH = 80


def columns(plan: PlannedNet) -> list[tuple[str, str]]:
    """Return the title of each column, and whether its cells stand `left` or `right`."""
    draws = [("draws", "right")] if plan.sequential else []
    numbers = [(name.replace("_", " "), "right") for name in _NUMBERS]
    return [("layer, blob", "left"), ("type, shape", "left"), *draws, ("tops, filler", "left"), *numbers]


def rows(plan: PlannedNet) -> list[list[str]]:
    """Return the cells of each line: one for each layer, and under it one for each of its blobs."""
    return [row for layer in plan.layers for row in _layer_rows(layer, draws=plan.sequential)]


def summary(plan: PlannedNet, default: str = "net") -> str:
    """Return the line above a table: the name, or a default where the net has none, phase and stages."""
    state = [plan.phase, *(f"stage {stage}" for stage in plan.state.stage)]
    return f"{plan.name or default} ({', '.join(state)})"


def text_table(plan: PlannedNet) -> str:
    """Return a plan as lines of text; characters that do not print are escaped."""
    table = table_lines(columns(plan), rows(plan), _WIDTH)
    return "\n".join([printable(summary(plan)), *table, counted(plan.parameters, "parameter")])


def html_table(plan: PlannedNet) -> str:
    """Return a plan as an HTML table; characters that do not print are escaped."""
    titles, sides = zip(*columns(plan), strict=True)

    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (
            f'<{tag} style="text-align: {side}">{escape(printable(cell))}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    body = "\n".join(line("td", row) for row in rows(plan))
    return (
        f"<table>\n<caption>{escape(printable(summary(plan)))}: {counted(plan.parameters, 'parameter')}</caption>\n"
        f"<thead>{line('th', titles)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def filler_cell(blob: Blob) -> str:
    """Return what fills a blob, without field names where none is needed: gaussian std: 0.01; or its owner."""
    if blob.owner:
        return f"= {blob.owner}"
    if blob.given:
        return "given"
    rest = caffe_pb2.FillerParameter()
    rest.CopyFrom(blob.filler)
    rest.ClearField("type")
    return f"{blob.filler.type} {text_format.MessageToString(rest, as_one_line=True)}".strip()


def _layer_rows(layer: Layer, *, draws: bool) -> list[list[str]]:
    tops = ", ".join(f"{top.name} {shape_text(top.shape)}" for top in layer.tops)
    drawn = "unknown" if layer.draws is None else number_text(layer.draws)
    first = [layer.name, layer.type, *([drawn] if draws else []), tops, *[""] * len(_NUMBERS)]
    return [first, *(_blob_cells(blob, draws=draws) for blob in layer.blobs)]


def _blob_cells(blob: Blob, *, draws: bool) -> list[str]:
    numbers = (number_text(getattr(blob, name)) for name in _NUMBERS)
    cells = [f"  {blob.name}", f"  {shape_text(blob.shape)}", *([""] if draws else []), f"  {filler_cell(blob)}"]
    return [*cells, *numbers]
