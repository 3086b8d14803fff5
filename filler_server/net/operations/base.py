"""Base of all operations, and the operation of a layer of unknown type."""

import dataclasses
from math import isfinite
from struct import pack, unpack
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform

Extent: TypeAlias = int | None
"""A size, or None where it is not known."""

Extents: TypeAlias = tuple[int | None, ...]
"""Sizes along some axes."""

Floats: TypeAlias = tuple[float, ...]


_as_dataclass = dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Operation:
    """Computation of a layer.

    A subclass lists its attributes as a dataclass does, and is one, with keyword arguments only. (A decorator for each
    would compile four functions for each class, which takes longer than planning a net.)

    Operations are equal when they are of one class and all attributes are equal. They can be hashed.
    """

    kinds: ClassVar[dict[str, type["Operation"]]] = {}
    """Every class of operations by its name."""

    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        made: Any = _as_dataclass(cls)
        fields = dataclasses.fields(made)
        cls._defaults = {field.name: field.default for field in fields}
        if not cls.__name__.startswith("_"):
            Operation.kinds[cls.__name__] = cls

    def __init__(self, **attributes: object) -> None:
        own = self.__dict__
        own.update(self._defaults)
        own.update(attributes)
        if len(own) > len(self._defaults):
            unknown = ", ".join(name for name in attributes if name not in self._defaults)
            raise TypeError(f"{type(self).__name__} has no attribute {unknown}")
        missing = [name for name, value in own.items() if value is dataclasses.MISSING]
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the attributes."""
        return tuple(cls._defaults)

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name, in the order of the class."""
        return dict(self.__dict__)

    def replace(self, **attributes: object) -> Self:
        """Return the operation with other values for some attributes."""
        return type(self)(**{**self.__dict__, **attributes})

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(value)}" for name, value in self.__dict__.items() if value != self._defaults[name])
        return f"{type(self).__name__}({', '.join(shown)})"


_as_dataclass(Operation)


class Unknown(Operation):
    """A layer of which nobody here knows what it computes.

    Attributes:
        reason: why not.
    """

    reason: str = ""


class Custom(Operation):
    """A layer of a fork that is known by its shapes alone: what it computes is for its own code to say.

    Attributes:
        layer_type: its type.
        fields: what the prototxt says of it: paths as in `focal_loss_param.alpha`, with values as in prototxt.
    """

    layer_type: str
    fields: tuple[tuple[str, str], ...] = ()


class Python(Operation):
    """A layer written in Python.

    Attributes:
        module: what it is imported from.
        layer: its class there.
        param_str: what it is given.
    """

    module: str
    layer: str
    param_str: str = ""


def single(value: float) -> float:
    """Return the 32-bit float nearest to a number, as Caffe holds it.

    Raises:
        OverflowError: it is too large.
    """
    (nearest,) = unpack("<f", pack("<f", value))
    number: float = nearest
    return number


def shortest(value: float) -> float:
    """Return the number of fewest digits that is the same 32-bit float; the number itself if it is none."""
    if not isfinite(value):
        return value
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next((short for short in candidates if _rounds_to(short, value)), value)


def _rounds_to(short: float, value: float) -> bool:
    try:
        return single(short) == value
    except OverflowError:
        return False


def _shown(value: object) -> str:
    """Return a value in few characters."""
    if isinstance(value, float):
        return repr(shortest(value))
    if isinstance(value, tuple):
        inside = ", ".join(map(_shown, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def unknown_reason(operation: Operation) -> str | None:
    """Return why nobody here knows what an operation computes, None where it is known."""
    match operation:
        case Unknown(reason=why):
            return why or "what it computes is not known"
        case Custom():
            return "it is known by its shapes alone"
        case Python(module=module, layer=layer):
            return f"it is written in Python ({module}.{layer})"
    return None
