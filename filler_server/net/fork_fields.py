"""Fields of a layer that only forks of Caffe have, as values of the type that a layer's set-up asks for."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from filler_server.net.dimensions import refusal
from filler_server.net.operations.base import single
from filler_server.prototxt.unknown import Value

T = TypeVar("T")

_BOOLS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}
_UINT32_MAX = (1 << 32) - 1
_MOST_VALUES = 10_000


class Unread(Exception):
    """A layer needs a block that a binary file has under a number that means different things in different forks."""


class ForkFields:
    """The fields of one layer that the schema does not have.

    A path names a field from the layer on, e.g. `permute_param.order` or `pooling_param.ceil_mode`. Values are checked
    when they are asked for.

    Args:
        values: the values by path; those of a block as a block.
        declared: the paths that may be asked for, with all that is inside; None is any.
        hidden: whether a block may be there although it is not among the values, as in a binary file.
        layer: name of the layer, for errors.
        line: the line on which it starts.
    """

    def __init__(
        self,
        values: Mapping[str, list[Value]],
        *,
        declared: Collection[str] | None = (),
        hidden: bool = False,
        layer: str | None = None,
        line: int | None = None,
    ) -> None:
        self._by_path = values
        self._declared = declared
        self._hidden = hidden
        self._layer = layer
        self._line = line
        self._errors: list[NetError] = []
        self._asked: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether a value was no such value as it was asked for."""
        return bool(self._errors)

    def forgive(self, error: NetError) -> None:
        """Let an error about a value not count."""
        if error in self._errors:
            self._errors.remove(error)

    def disregard(self, *paths: str) -> None:
        """Take note of fields that do not matter here."""
        self._asked.update(paths)

    def unasked(self) -> list[str]:
        """Return the paths of the values, of those that may be asked for, that nobody has asked for."""
        if not self._by_path:
            return []
        given = (
            path for outer, values in self._by_path.items() if self.declares(outer) for path in _paths(outer, values)
        )
        return sorted({path for path in given if not self._was_asked(path)})

    def declares(self, path: str) -> bool:
        """Whether a field may be asked for."""
        declared = self._declared
        return declared is None or path in declared or any(path.startswith(f"{known}.") for known in declared)

    def text(self, path: str) -> str | None:
        """Return the values of a field as they are written, or None where there is none."""
        return " ".join(map(_text, self._values(path))) or None

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Return all fields, by path, with their values as they are written, strings without quotes."""
        return tuple((path, _text(value)) for path, values in self._by_path.items() for value in values)

    def __contains__(self, path: str) -> bool:
        return bool(self._values(path))

    def integer(self, path: str, default: int, *, least: int = 0, most: int = _UINT32_MAX) -> int:
        """Return an integer, which must be in [least, most]."""
        return self._single(path, lambda value: self._integer(path, value, least, most), default)

    def integers(self, path: str, *, least: int = 0, most: int = _UINT32_MAX) -> tuple[int, ...]:
        """Return the integers of a repeated field, each of which must be in [least, most]."""
        return tuple(self._integer(path, value, least, most) for value in self._several(path))

    def number(self, path: str, default: float) -> float:
        """Return a number, as a 32-bit float."""
        return self._single(path, lambda value: self._number(path, value), default)

    def numbers(self, path: str) -> tuple[float, ...]:
        """Return the numbers of a repeated field, as 32-bit floats."""
        return tuple(self._number(path, value) for value in self._several(path))

    def flag(self, path: str, default: bool) -> bool:
        """Return a truth value."""
        return self._single(path, lambda value: self._flag(path, value), default)

    def word(self, path: str, default: str) -> str:
        """Return a string, or the name or number of an enum's value."""
        return self._single(path, lambda value: self._scalar(path, value), default)

    def choice(self, path: str, names: Sequence[str], default: str | None = None, *, first: int = 0) -> str:
        """Return the value of an enum by its name in lower case.

        Args:
            path: the field.
            names: the names of its values, in the order of their numbers.
            default: the name without a value; the first one by default.
            first: number of the first.
        """
        word = self.word(path, names[0] if default is None else default)
        numbers = {str(number): name for number, name in enumerate(names, start=first)}
        name = numbers.get(word, word)
        if name not in names:
            raise self._error(f"{path} must be one of {', '.join(names)}", word)
        return name.lower()

    def filler(self, path: str, default: caffe_pb2.FillerParameter | None = None) -> caffe_pb2.FillerParameter:
        """Return a filler; without a default it is an empty one where there is none."""
        empty = caffe_pb2.FillerParameter() if default is None else default
        return self._single(path, lambda value: self._filler(path, value), empty)

    def blocks(self, path: str) -> "list[ForkFields]":
        """Return the fields of each block of a repeated field; paths inside start at the block."""
        return [self._inside(path, value) for value in self._several(path)]

    def _values(self, path: str) -> list[Value]:
        if not self.declares(path):
            raise ValueError(f"not declared by the layer's type. Received: path={path!r}")
        if not self._by_path and not self._hidden:
            return []
        self._asked.add(path)
        names = path.split(".")
        for depth in range(len(names), 0, -1):
            values = self._by_path.get(".".join(names[:depth]))
            if values is not None:
                for end, name in enumerate(names[depth:], start=depth):
                    outer = ".".join(names[:end])
                    values = [inner for value in values for inner in self._block(outer, value).get(name, [])]
                return values
        if self._hidden and names[0] not in caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name:
            raise Unread(names[0])
        return []

    def _was_asked(self, path: str) -> bool:
        """Whether a field, or a block that it lies in, was asked for."""
        names = path.split(".")
        return path in self._asked or any(".".join(names[:depth]) in self._asked for depth in range(2, len(names)))

    def _several(self, path: str) -> list[Value]:
        values = self._values(path)
        if len(values) > _MOST_VALUES:
            raise self._error(f"{path} has more than {_MOST_VALUES} values", len(values))
        return values

    def _single(self, path: str, convert: Callable[[Value], T], default: T) -> T:
        values = self._values(path)
        if len(values) > 1:
            raise self._error(f"{path} is given twice; it holds one value", values[:2])
        return convert(values[0]) if values else default

    def _inside(self, path: str, value: Value) -> "ForkFields":
        inside = ForkFields(self._block(path, value), declared=None, layer=self._layer, line=self._line)
        inside._errors = self._errors
        return inside

    def _block(self, path: str, value: Value) -> dict[str, list[Value]]:
        if isinstance(value, str):
            raise self._error(f"{path} must be a block", value)
        return value

    def _scalar(self, path: str, value: Value) -> str:
        if not isinstance(value, str):
            raise self._error(f"{path} must not be a block", value)
        return value

    def _integer(self, path: str, value: Value, least: int, most: int) -> int:
        text = self._scalar(path, value)
        number = _parse_integer(text)
        if number is None or not least <= number <= most:
            raise self._error(f"{path} must be an integer in [{least}, {most}]", text)
        return number

    def _number(self, path: str, value: Value) -> float:
        text = self._scalar(path, value)
        try:
            number = single(float("" if "_" in text else text.removesuffix("f")))
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._error(f"{path} must be a finite number", text)
        return number

    def _flag(self, path: str, value: Value) -> bool:
        text = self._scalar(path, value)
        if text not in _BOOLS:
            raise self._error(f"{path} must be true or false", text)
        return _BOOLS[text]

    def _filler(self, path: str, value: Value) -> caffe_pb2.FillerParameter:
        filler = caffe_pb2.FillerParameter()
        fields = self._inside(path, value)
        for name in self._block(path, value):
            if name not in filler.DESCRIPTOR.fields_by_name:
                raise self._error(f"{path}: FillerParameter has no such field", name)
            setattr(filler, name, self._filler_value(fields, name))
        return filler

    def _filler_value(self, fields: "ForkFields", name: str) -> int | float | str:
        descriptor = caffe_pb2.FillerParameter.DESCRIPTOR.fields_by_name[name]
        if descriptor.enum_type is not None:
            word = fields.word(name, "")
            known = descriptor.enum_type.values_by_name.get(word)
            if known is None:
                raise self._error(f"{descriptor.enum_type.name} has no such value", word)
            return int(known.number)
        if descriptor.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return fields.word(name, "")
        if descriptor.cpp_type == FieldDescriptor.CPPTYPE_INT32:
            return fields.integer(name, 0, least=-(1 << 31), most=(1 << 31) - 1)
        return fields.number(name, 0)

    def _error(self, cause: str, received: object) -> NetError:
        error = refusal(cause, layer=self._layer, line=self._line, value=received)
        self._errors.append(error)
        return error


def _paths(outer: str, values: Sequence[Value]) -> Iterator[str]:
    """Yield the paths of the scalars in some values."""
    for value in values:
        if isinstance(value, str):
            yield outer
        else:
            for name, inner in value.items():
                yield from _paths(f"{outer}.{name}", inner)


def _text(value: Value) -> str:
    """Return a value as in prototxt, a block without its braces."""
    if isinstance(value, str):
        return value
    inside = (
        f"{name}: {one}" if isinstance(one, str) else f"{name} {{ {_text(one)} }}"
        for name, ones in value.items()
        for one in ones
    )
    return " ".join(inside)


def _parse_integer(text: str) -> int | None:
    """Return a decimal, octal (leading 0) or hexadecimal number as C++ reads it, or None if it is none."""
    digits = text.removeprefix("-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[:1] == "0" else 10
    if len(digits) > 32 or not digits.isascii() or not digits.isalnum() or digits[1:2] in ("o", "O", "b", "B"):
        return None
    try:
        number = int(digits, base)
    except ValueError:
        return None
    return -number if text.startswith("-") else number
