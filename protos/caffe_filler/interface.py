"""Options as the caller writes them, for advice in messages: in Python, or on the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias, cast, get_args

Interface: TypeAlias = Literal["python", "cli"]

_current: ContextVar[Interface] = ContextVar("interface", default="python")
_FLAGS = {"inputs": "--input", "tops": "--top"}
"""Flags that are not called as the argument is."""


def current_interface() -> Interface:
    """Return the interface that messages are for."""
    return _current.get()


def use_interface(name: str) -> None:
    """Word messages for an interface to the end of the current context; other names change nothing."""
    if name in get_args(Interface):
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


def option(name: str, value: object = True) -> str:
    """Return an option as it is written: `lenient=True`, or `--lenient` on the command line.

    Args:
        name: its name in Python.
        value: its value; True is a flag.
    """
    if _current.get() == "python":
        return f"{name}={value!r}"
    flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
    return flag if value is True else f"{flag} {value}"


def shape_option(name: str, blob: str, dims: str) -> str:
    """Return the option that gives the shape of one blob: `inputs={'data': (10, 3, H, W)}`, `--input data=10,3,H,W`.

    Args:
        name: name of the option in Python.
        blob: name of the blob.
        dims: dimensions with commas between them.
    """
    if _current.get() == "cli":
        return f"{_FLAGS[name]} {blob}={dims}"
    spaced = dims.replace(",", ", ")
    return f"{name}={{{blob!r}: ({spaced}{',' if ',' not in dims else ''})}}"
