"""Output for people: lines, tables with aligned numbers, warnings, progress of bytes.

Everything that a command prints goes through here, so that names and messages cannot steer the terminal.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click

from caffe_filler.printable import printable, printable_json
from caffe_filler.tables import table_lines


class Advance(Protocol):
    """Notes progress: the bytes that are done, and what they belong to."""

    def __call__(self, nbytes: int, name: str, more: int = 0) -> None:
        """Note `nbytes` more of `name`, and that `more` are to come than were expected."""
        ...


class LogLines(logging.Handler):
    """Prints what the library logs as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print_line(record.getMessage(), err=True)


@contextmanager
def standard_output() -> Iterator[None]:
    """Name standard output in an error of writing to it, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        # What is left in the buffer would fail once more at the end of the process.
        with Path(os.devnull).open("wb") as nowhere, contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from None


def print_line(text: str = "", *, err: bool = False) -> None:
    """Print one line, to standard output or standard error; characters that do not print are escaped."""
    _echo(printable(text), err=err)


def print_json(document: object, *, indent: int | None) -> None:
    """Print plain values as JSON, in one line without `indent`; characters that do not print are escaped."""
    _echo(printable_json(json.dumps(document, indent=indent, ensure_ascii=False)))


def print_text(text: str, *, err: bool = False) -> None:
    """Print a text as it is but for characters that do not print, line breaks and tabs aside."""
    _echo(printable(text, keep="\n\t"), nl=False, err=err)


def print_file(data: bytes) -> None:
    """Write a file to standard output: its very bytes, or on a terminal its text."""
    if sys.stdout.isatty():
        print_text(data.decode(errors="replace"))
    else:
        with standard_output():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def print_table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their titles, as wide as the terminal; each column is a title and "left" or "right".

    Plain, since the tables of Rich take seconds for a net of thousands of layers.
    """
    for line in table_lines(columns, rows, shutil.get_terminal_size().columns):
        _echo(line)


def print_warnings(warnings: Iterable[Any], source: object) -> None:
    """Print the warnings about a file to standard error."""
    _print_notes(warnings, source, ("warning: ", "yellow"))


def print_changes(changes: Iterable[Any], source: object) -> None:
    """Print what was changed of a file to standard error."""
    _print_notes(changes, source, ("changed: ", "cyan"))


def _print_notes(notes: Iterable[Any], source: object, kind: tuple[str, str]) -> None:
    """Print notes with `message`, `line`, `column` and `layer`: messages of the wire, or the library's own."""
    label, color = kind
    for note in notes:
        place = ":".join(str(part) for part in (source, note.line, note.column) if part)
        layer = f"layer '{note.layer}': " if note.layer else ""
        text = f"{printable(place)}: {click.style(label, fg=color)}{printable(layer + note.message)}"
        _echo(text, err=True)


@contextmanager
def progress(total: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show bytes, rate and time left on standard error while the block runs, when that is a terminal.

    Args:
        total: number of bytes; None where it is not known.
        quiet: whether nothing is shown even there.
    """
    if quiet or not (sys.stderr.isatty() or os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE")):
        # Nobody would see what takes a tenth of the time in which a command starts.
        yield lambda nbytes, name, more=0: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """The rate, in the units of all other sizes."""

        def render(self, task: Task) -> Text:
            """Return it as text."""
            return Text("?" if task.speed is None else f"{size(task.speed)}/s")

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        Speed(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)
        expected = [total]

        def advance(nbytes: int, name: str, more: int = 0) -> None:
            if expected[0] is not None:
                expected[0] += more
            bar.update(task, advance=nbytes, total=expected[0], description=printable(name))

        yield advance


def _echo(text: str, *, nl: bool = True, err: bool = False) -> None:
    with contextlib.nullcontext() if err else standard_output():
        click.echo(text, nl=nl, err=err)


def size(nbytes: float) -> str:
    """Return a number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} TiB"


def rate(nbytes: float, seconds: float) -> str:
    """Return how much was done in which time."""
    return f"{size(nbytes)} in {seconds:.2f} s ({size(nbytes / seconds)}/s)"
