"""Dimensions that may be unknown, and what can be reckoned with them all the same.

A data source without known sizes and a layer of a type that nobody knows leave dimensions open. Such a dimension is an
`Unknown`; it takes part in arithmetic like a number, gives `Unknown` again, and remembers which tops would settle it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

from caffe_filler.errors import NetError
from filler_server.net.plan import Shape


@dataclass(frozen=True, slots=True)
class Origin:
    """A top whose shape nothing in the net tells.

    Attributes:
        top: its name.
        option: name of the option that settles it, `inputs` or `tops`.
        example: the value to give with it, letters for what is not known, e.g. `10,C,227,227`.
    """

    top: str
    option: str
    example: str


_MOST_ORIGINS = 8
"""An `Unknown` gathers no more origins once it has so many: nobody reads on, and dense nets would gather thousands."""


class Unknown:
    """A dimension, or a whole shape with its number of axes, that is not known; taken to be positive.

    Comparing needs a known value on both sides: ask `differ`, or test with `isinstance` first.
    """

    __slots__ = ("origins",)

    def __init__(self, origins: frozenset[Origin]) -> None:
        self.origins = origins

    def __add__(self, other: "int | Unknown") -> "Unknown":
        if isinstance(other, Unknown) and other.origins != self.origins and len(self.origins) < _MOST_ORIGINS:
            return Unknown(self.origins | other.origins)
        return self

    __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __add__


Dim: TypeAlias = int | Unknown
Dims: TypeAlias = tuple[Dim, ...] | Unknown


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of dimensions, 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def count(dims: Dims, start: int = 0, stop: int | None = None) -> Dim:
    """Return the number of values in the axes from `start` up to `stop`, as Caffe's `Blob::count`."""
    return dims if isinstance(dims, Unknown) else product(dims[start:stop])


def quotient(dividend: Dim, divisor: Dim) -> Dim:
    """Return dividend / divisor, rounded toward zero as C++ does."""
    if isinstance(dividend, int) and isinstance(divisor, int):
        magnitude = abs(dividend) // abs(divisor)
        return magnitude if (dividend < 0) == (divisor < 0) else -magnitude
    return dividend + divisor


def differ(one: Dim, other: Dim) -> bool:
    """Whether both dimensions are known and are not the same."""
    return isinstance(one, int) and isinstance(other, int) and one != other


def shapes_differ(one: Dims, other: Dims) -> bool:
    """Whether two shapes are different in what is known of both."""
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return False
    return len(one) != len(other) or any(map(differ, one, other))


def refine(one: Dims, other: Dims) -> Dims:
    """Return the shape of two blobs that have the same, each dimension from whichever of them knows it."""
    if isinstance(one, Unknown):
        return other
    if isinstance(other, Unknown):
        return one
    return tuple(mine if isinstance(mine, int) else theirs for mine, theirs in zip(one, other, strict=True))


def origins(dims: Dims) -> frozenset[Origin]:
    """Return what would settle the unknown dimensions of a shape."""
    if isinstance(dims, Unknown):
        return dims.origins
    return frozenset[Origin]().union(*(dim.origins for dim in dims if isinstance(dim, Unknown)))


def known(dim: Dim) -> int | None:
    """Return a dimension as a plan shows it, None for one that is unknown."""
    return dim if isinstance(dim, int) else None


def to_shape(dims: Dims) -> Shape:
    """Return the shape as a plan shows it, None for what is unknown."""
    if isinstance(dims, Unknown):
        return None
    if all(isinstance(dim, int) for dim in dims):
        return cast(tuple[int, ...], dims)
    return tuple(map(known, dims))


def text(dims: Dim | Dims | None) -> str:
    """Return a dimension or a shape in words, with `?` for what is unknown: `[10, ?, 227, 227]`."""
    if isinstance(dims, tuple):
        return f"[{', '.join(map(text, dims))}]"
    return str(dims) if isinstance(dims, int) else "?"


def refusal(cause: str, *, layer: str | None, line: int | None, **received: object) -> NetError:
    """Return the error for a layer that cannot be set up, ending with the values received; too long names are cut."""
    values = ", ".join(f"{name}={_shown(value)}" for name, value in received.items())
    name = None if layer is None else shortened(layer)
    return NetError(f"{shortened(cause.rstrip('.'), 1000)}. Received: {shortened(values, 2000)}", layer=name, line=line)


def _shown(value: object) -> str:
    if isinstance(value, Unknown) or (isinstance(value, tuple) and all(isinstance(x, int | Unknown) for x in value)):
        return shortened(text(value))
    return shortened(repr(value))


def shortened(words: str, most: int = 200) -> str:
    """Return words, but no more than so many characters of them."""
    return words if len(words) <= most else f"{words[:most]}..."
