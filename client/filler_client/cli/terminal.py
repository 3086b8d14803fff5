"""What a person sees: tables with aligned numbers, warnings, progress of bytes."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from caffe_filler.v1 import filler_pb2

_UNBOUNDED = 10_000
"""Width of a table that nobody looks at in a terminal: nothing of it is cut off."""


class Advance(Protocol):
    """Notes progress: the bytes that are done, and what they belong to."""

    def __call__(self, nbytes: int, name: str) -> None:
        """Note `nbytes` more of `name`."""
        ...


def print_table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their titles; each column is a title and "left" or "right"."""
    console = Console(width=None if sys.stdout.isatty() else _UNBOUNDED)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title, justify in columns:
        table.add_column(Text(title), justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def print_warnings(warnings: Sequence[filler_pb2.Problem], source: object) -> None:
    """Print the warnings of a plan to standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for warning in warnings:
        place = (
            f"{source}"
            + (f":{warning.line}" if warning.line else "")
            + (f":{warning.column}" if warning.column else "")
        )
        layer = f"layer '{warning.layer}': " if warning.layer else ""
        console.print(Text.assemble(place, ": ", ("warning: ", "yellow"), layer, warning.message))


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """Show bytes, rate and time left on standard error while the block runs, when that is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)

        def advance(nbytes: int, name: str) -> None:
            bar.update(task, advance=nbytes, description=name)

        yield advance


def number(value: float) -> str:
    """Return a number with thousands separated, or in four significant digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def size(nbytes: float) -> str:
    """Return a number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} TiB"


def shape(dims: Sequence[int | None] | None) -> str:
    """Return a shape as 64x3x7x7, with ? for what is not known."""
    if dims is None:
        return "?"
    return "x".join("?" if dim is None else str(dim) for dim in dims) or "scalar"
