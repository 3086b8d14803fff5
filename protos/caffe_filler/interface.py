"""Options as the caller writes them, for advice in messages: in Python, or on the command line."""

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias, cast, get_args

Interface: TypeAlias = Literal["python", "cli"]

_NAMES = frozenset(get_args(Interface))

_current: ContextVar[Interface] = ContextVar("interface", default="python")
_FLAGS = {"inputs": "--input", "tops": "--top", "fillers": "--filler", "max_shard_bytes": "--max-shard-size"}
"""Flags that are not called as the argument is."""


def current_interface() -> Interface:
    """Return the interface that messages are for."""
    return _current.get()


def use_interface(name: str) -> None:
    """Word messages for an interface to the end of the current context; other names change nothing."""
    if name in _NAMES:
        _current.set(cast(Interface, name))


@contextmanager
def interface(name: Interface) -> Iterator[None]:
    """Word messages for an interface while the block runs."""
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def either(*, python: str, cli: str) -> str:
    """Return the words for the current interface."""
    return python if _current.get() == "python" else cli


def option_name(name: str) -> str:
    """Return the name of an option: `inputs`, or `--input` on the command line."""
    return name if _current.get() == "python" else _FLAGS.get(name, f"--{name.replace('_', '-')}")


def option(name: str, value: object = True) -> str:
    """Return an option as it is written: `lenient=True`, or `--lenient` on the command line.

    Args:
        name: its name in Python.
        value: its value; True is a flag.
    """
    if _current.get() == "python":
        return f"{name}={value!r}"
    return option_name(name) if value is True else f"{option_name(name)} {value}"


def stages_option(stages: Iterable[str]) -> str:
    """Return the option that names stages: `stages=['deploy']`, `--stage deploy`."""
    names = list(stages)
    return either(python=f"stages={names!r}", cli=" ".join(f"--stage {shlex.quote(name)}" for name in names))


def shape_option(name: str, blob: str, dims: str) -> str:
    """Return the option that gives the shape of one blob: `inputs={'data': (10, 3, H, W)}`, `--input data=10,3,H,W`.

    Args:
        name: name of the option in Python.
        blob: name of the blob.
        dims: dimensions with commas between them.
    """
    return shape_options(name, [(blob, dims)])


def shape_options(name: str, shapes: Iterable[tuple[str, str]]) -> str:
    """Return the options that give the shapes of some blobs; as `shape_option`."""
    if _current.get() == "cli":
        return " ".join(f"{option_name(name)} {shlex.quote(blob)}={dims}" for blob, dims in shapes)
    entries = (f"{blob!r}: ({dims.replace(',', ', ')}{',' if ',' not in dims else ''})" for blob, dims in shapes)
    return f"{name}={{{', '.join(entries)}}}"


def filler_option(blob: str) -> str:
    """Return the option that names another filler for a blob: `fillers={'up/0': 'TYPE'}`, `--filler up/0=TYPE`."""
    return either(python=f"fillers={{{blob!r}: 'TYPE'}}", cli=f"{option_name('fillers')} {shlex.quote(blob)}=TYPE")
