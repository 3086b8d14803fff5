"""Values, calls and comments as Python source that says just that, whoever chose the text in them."""

from collections.abc import Mapping, Sequence
from math import isfinite

from caffe_filler.printable import printable
from filler_server.net.operations.base import shortest


class Source(str):
    """A piece of Python that stands as it is, where a value might."""

    __slots__ = ()


def literal(value: object) -> str:
    """Return a value as Python has it; a float in as few digits as tell the same 32-bit float.

    Raises:
        TypeError: there is no literal of its type.
    """
    match value:
        case Source():
            return str(value)
        case bool() | int() | None:
            return repr(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case tuple():
            inside = ", ".join(map(literal, value))
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        case _:
            raise TypeError(f"no literal for {type(value).__name__}")


def call(function: str, positional: Sequence[object] = (), named: Mapping[str, object] = {}) -> str:
    """Return a call of a function."""
    arguments = [*map(literal, positional), *(f"{name}={literal(value)}" for name, value in named.items())]
    return f"{function}({', '.join(arguments)})"


def comment(text: str) -> str:
    """Return text as a comment of one line."""
    return f"# {printable(text)}"


def _number(value: float) -> str:
    if not isfinite(value):
        return f'float("{value}")'
    return repr(shortest(value))


def _text(text: str) -> str:
    quoted = printable(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{quoted}"'
