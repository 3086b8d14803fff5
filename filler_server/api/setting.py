"""Settings as fields of frozen dataclasses: each says once what it is, and flags, environment and files follow."""

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from caffe_filler.errors import InvalidArgument

ENVIRONMENT = "FILLER_SERVE_"
"""Prefix of the names of environment variables."""

_KINDS = (bool, int, float, str, Path)
_UNITS: dict[type, str] = {int: "N", float: "X", str: "TEXT", Path: "FILE"}


def setting(
    default: Any,
    text: str,
    *,
    protects: str | None = None,
    unit: str | None = None,
    minimum: int | None = None,
    above: int | None = None,
) -> Any:
    """Declare a field of a dataclass of settings.

    Args:
        default: its value when nothing else is said; nothing that can be changed.
        text: what it is, as a sentence for a reader of `--help`.
        protects: what is spared by it, where it is a limit.
        unit: what its number counts, as `BYTES` or `SECONDS`.
        minimum: the least that it can be.
        above: what it is more than.
    """
    help_text = text if protects is None else f"{text} Protects {protects}."
    return field(default=default, metadata={"help": help_text, "unit": unit, "minimum": minimum, "above": above})


def section(kind: type, *, prefix: str) -> Any:
    """Declare a field that holds a dataclass of settings: a table of the file; flags begin with `prefix`."""
    return field(default_factory=kind, metadata={"prefix": prefix})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        section: table of the file, "" for none.
        name: key there, and name of the field.
        prefix: what its flag begins with.
        kind: bool, int, float, str or Path.
        many: whether it is a sequence of these.
        optional: whether it may be None, for "not set".
        choices: the only values of a str, where there are such.
        words: what may stand in place of a number.
        default: its value when nothing else is said.
        text: what it is.
        unit: what its value is, for `--help`.
        minimum: the least that a number can be, or None.
        above: what a number is more than, or None.
    """

    section: str
    name: str
    prefix: str
    kind: type
    many: bool
    optional: bool
    choices: tuple[str, ...]
    words: tuple[str, ...]
    default: Any
    text: str
    unit: str
    minimum: int | None
    above: int | None

    @property
    def key(self) -> str:
        """Its key in a file: `limits.streams`."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def parameter(self) -> str:
        """Its name among all settings: `max_streams`."""
        return f"{self.prefix}_{self.name}" if self.prefix else self.name

    @property
    def flag(self) -> str:
        """Its flag: `--max-streams`."""
        return f"--{self.parameter.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its environment variable: `FILLER_SERVE_MAX_STREAMS`."""
        return f"{ENVIRONMENT}{self.parameter.upper()}"

    def check(self, value: Any, source: str) -> Any:
        """Return the value as the field holds it.

        Raises:
            InvalidArgument: it has another type or is out of range; the message names `source`.
        """
        if value is None and self.optional:
            return None
        if self.many:
            if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
                raise InvalidArgument(f"{source} is a list of strings. Received: {self.name}={value!r}")
            return tuple(self._check_one(item, source) for item in value)
        return self._check_one(value, source)

    def _check_one(self, value: Any, source: str) -> Any:
        if isinstance(value, str) and value in self.words:
            return value
        accepted: tuple[type, ...] = {float: (int, float), Path: (str, Path)}.get(self.kind, (self.kind,))
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.kind is not bool):
            kind = {Path: "the path of a file", str: "a string", bool: "true or false"}.get(self.kind, "a number")
            kind = " or ".join(["a whole number", *self.words]) if self.kind is int else kind
            raise InvalidArgument(f"{source} is {kind}. Received: {self.name}={value!r}")
        value = self.kind(value)
        if self.choices and value not in self.choices:
            raise InvalidArgument(f"{source} is one of {', '.join(self.choices)}. Received: {self.name}={value!r}")
        if self.kind is float and not isfinite(value):
            raise InvalidArgument(f"{source} is finite. Received: {self.name}={value!r}")
        if self.minimum is not None and not value >= self.minimum:
            raise InvalidArgument(f"{source} is at least {self.minimum:g}. Received: {self.name}={value!r}")
        if self.above is not None and not value > self.above:
            raise InvalidArgument(f"{source} is more than {self.above:g}. Received: {self.name}={value!r}")
        return value


def settings_of(kind: type, *, of_section: str = "", prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a dataclass, those of its sections included, in the order of the fields."""
    hints = get_type_hints(kind)
    for entry in fields(kind):
        hint = hints[entry.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from settings_of(hint, of_section=entry.name, prefix=entry.metadata["prefix"])
            continue
        parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        optional = type(None) in parts
        hint, *others = (part for part in parts if part is not type(None))
        words = tuple(word for part in others for word in get_args(part))
        many = get_origin(hint) is Sequence
        if many:
            (hint,) = get_args(hint)
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        base = str if choices else hint
        if base not in _KINDS:
            raise TypeError(f"no setting has this type. Received: {kind.__name__}.{entry.name}: {hint}")
        yield Setting(
            section=of_section,
            name=entry.name,
            prefix=prefix,
            kind=base,
            many=many,
            optional=optional,
            choices=choices,
            words=words,
            default=entry.default,
            text=entry.metadata["help"],
            unit=entry.metadata["unit"] or _UNITS.get(base, ""),
            minimum=entry.metadata["minimum"],
            above=entry.metadata["above"],
        )


@cache
def _known_settings(kind: Any) -> tuple[Setting, ...]:
    return tuple(settings_of(kind))


def check_fields(instance: Any) -> None:
    """Make sure that each setting of a dataclass has a value that it can have; for its `__post_init__`.

    Raises:
        InvalidArgument: one has another type or is out of range.
    """
    kind: Any = type(instance)
    for entry in _known_settings(kind):
        if not entry.section:
            object.__setattr__(instance, entry.name, entry.check(getattr(instance, entry.name), entry.name))
