"""Every error that client, library and service raise.

    FillerError
    ├── InvalidArgument        the input is wrong, and would be wrong again (also a ValueError)
    │   ├── PrototxtError          a prototxt cannot be read; carries line and column
    │   ├── NetError               a layer cannot be set up; carries the layer's name
    │   ├── FillerParameterError   a FillerParameter makes no filler; carries the field
    │   ├── ShapeError             a shape that the filler or the blob cannot have
    │   ├── WeightsError           a file of weights cannot be read
    │   └── RegionError            a region or an offset outside its blob
    ├── NotFound               a name that does not exist (also a LookupError)
    │   ├── UnknownFiller
    │   └── UnknownBlob
    ├── Unauthenticated        the server wants a token that it knows (also a PermissionError)
    ├── LimitExceeded          over a limit of the server or the reader
    ├── Unavailable            no server answers, or it is not ready (also a ConnectionError)
    ├── DeadlineExceeded       the time given is over (also a TimeoutError)
    ├── Cancelled              the caller gave up
    ├── DataLoss               bytes arrived that are not the bytes sent
    └── ServiceError           any other status of a server

Each class names the gRPC status that stands for it on the wire. A remote client raises the same class as the library
itself would have, with the same attributes. Every error can be pickled.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any, ClassVar, Self, TypeAlias

from caffe_filler.notes import Note

_Details: TypeAlias = Mapping[str, Callable[[str], Any]]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request and what is wrong with it, as in `google.rpc.BadRequest`."""

    field: str
    description: str


def advised(reason: str, remedy: str) -> str:
    """Return what is wrong with what would settle it, in front of what was received.

    >>> advised("no such type. Received: type='a'", "--lenient passes over it")
    "no such type; --lenient passes over it. Received: type='a'"
    """
    what, received, values = reason.partition(". Received: ")
    return f"{what}; {remedy}{received}{values}"


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


class FillerError(Exception):
    """Base of the tree.

    Attributes:
        status: name of the gRPC status code that stands for this class.
        reason: what is wrong, without where.
        violations: the fields at fault, where the error is about fields.
        field: name of the one field at fault, as the reason has it; None where it is not one.
        line: line of the file at fault, from 1; None where no line is.
        column: column of the file at fault, from 1; None where no column is.
        layer: name of the layer at fault; None where no layer is.
        blob: name of the blob at fault; None where no blob is.
        file: path of the file at fault, on this machine; None where none was named.
        warnings: what was passed over in the file before; it may explain the error.

    Args:
        message: the reason.
        field: the one field at fault, which becomes the one violation.
        violations: the fields at fault where they are several, or where what is wrong with them is not the reason.
    """

    status: ClassVar[str] = "INTERNAL"
    field: str | None = None
    line: int | None = None
    column: int | None = None
    layer: str | None = None
    blob: str | None = None
    file: str | None = None
    warnings: tuple[Note, ...] = ()

    _details: ClassVar[_Details] = {
        "field": str,
        "layer": str,
        "line": int,
        "column": int,
        "blob": str,
    }
    """The attributes that travel over the wire, with what reads each from its text there."""

    _places: tuple[str, ...] = ()
    """Places of the error, in words, the outermost first."""

    def __init__(self, message: str, *, field: str | None = None, violations: Iterable[FieldViolation] = ()) -> None:
        super().__init__(message)
        self.reason = message
        self.field = field
        self.violations = tuple(violations) if field is None else (FieldViolation(field, message),)

    @property
    def message(self) -> str:
        """The place of the error and what is wrong there; also the error's `str`."""
        return ": ".join((*self._places, self.reason))

    @property
    def metadata(self) -> dict[str, str]:
        """Further facts of the cause (layer, line, limit), as strings, as they travel over the wire."""
        values = {name: getattr(self, name) for name in self._details}
        return {name: str(value) for name, value in values.items() if value is not None}

    def within(self, context: str = "", *, field: str = "", blob: str | None = None) -> Self:
        """Say in what the error lies, and return it.

        Args:
            context: goes in front of the message, such as `blob 'conv1/0'`.
            field: goes in front of the fields at fault, such as `blobs[3]`.
            blob: name of the blob at fault.
        """
        if context:
            self._places = (context, *self._places)
        if field:
            self.violations = tuple(replace(entry, field=f"{field}.{entry.field}") for entry in self.violations)
        if blob is not None:
            self.blob = blob
        return self

    def advise(self, remedy: str) -> Self:
        """Say what would settle it, in front of what was received, and return the error."""
        self.reason = advised(self.reason, remedy)
        return self

    def after(self, warnings: Iterable[Note]) -> Self:
        """Keep what was to be told of the file before the error, unless that is done already, and return the error."""
        self.warnings = self.warnings or tuple(
            Note(warning.message, warning.line, warning.column, warning.layer) for warning in warnings
        )
        return self

    def in_file(self, path: str | PathLike[str]) -> Self:
        """Name the file in which the error lies, unless it has one, and return the error."""
        if self.file is None:
            self.file = fspath(path)
            self._places = self._places_in(self.file)
        return self

    def _places_in(self, file: str) -> tuple[str, ...]:
        return (file, *self._places)

    @classmethod
    def restored(cls, message: str, *, violations: Iterable[FieldViolation] = (), metadata: Mapping[str, str]) -> Self:
        """Return the error of this class that another process had, from its message and its `metadata`.

        Metadata of other names, or that cannot be read, are left out.
        """
        error = cls.__new__(cls, message)
        # The constructors of the classes word their message; here it is worded already.
        FillerError.__init__(error, message, violations=violations)
        for name, read in cls._details.items():
            if name in metadata:
                try:
                    setattr(error, name, read(metadata[name]))
                except ValueError:
                    continue
        return error

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Callable[..., "FillerError"], tuple[Any, ...], dict[str, Any]]:
        return _bare, (type(self), self.reason), self.__dict__.copy()


def _bare(kind: type[FillerError], reason: str) -> FillerError:
    return kind.restored(reason, metadata={})


class InvalidArgument(FillerError, ValueError):
    """The input is wrong, and would be wrong again."""

    status = "INVALID_ARGUMENT"


class PrototxtError(InvalidArgument):
    """A prototxt or binary message cannot be read.

    `line` and `column` count from 1 and are None for binary input.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line, self.column = line, column
        if line is not None:
            self._places = (f"{line}:{column}",)

    @classmethod
    def restored(cls, message: str, *, violations: Iterable[FieldViolation] = (), metadata: Mapping[str, str]) -> Self:
        """Return the error as `FillerError.restored` does, its place in the file apart from the reason."""
        error = super().restored(message, violations=violations, metadata=metadata)
        place = f"{error.line}:{error.column}"
        if error.line is not None and message.startswith(f"{place}: "):
            error._places, error.reason = (place,), message.removeprefix(f"{place}: ")
        return error

    def _places_in(self, file: str) -> tuple[str, ...]:
        # As in `net.prototxt:3:14`, which editors understand.
        alone = self.line is not None and len(self._places) == 1
        return (f"{file}:{self._places[0]}",) if alone else super()._places_in(file)


class NetError(InvalidArgument):
    """A net cannot be set up.

    `layer` is the name of the layer at fault, or None when it is the net as a whole; `line` is where it starts, from 1.
    """

    def __init__(self, message: str, *, layer: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.layer, self.line = layer, line
        places = [] if line is None else [f"line {line}"]
        if layer is not None:
            places.append(f"layer '{layer}'")
        if places:
            self._places = (", ".join(places),)


class FillerParameterError(InvalidArgument):
    """A FillerParameter makes no filler; `field` is the name of the field at fault."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, field=field)


class ShapeError(InvalidArgument):
    """A shape that a blob, or a blob of this filler, cannot have."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="shape")


class RegionError(InvalidArgument):
    """A region or an offset that does not lie inside its blob."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="region")


class WeightsError(InvalidArgument):
    """A file of weights cannot be read: it is none, it is damaged, or it is cut short."""


class NotFound(FillerError, LookupError):
    """A name that does not exist."""

    status = "NOT_FOUND"


class UnknownFiller(NotFound):
    """No filler of this type is registered."""


class UnknownBlob(NotFound):
    """The net has no blob of this name."""


class Unauthenticated(FillerError, PermissionError):
    """The server wants a token, and none came or one that it does not know."""

    status = "UNAUTHENTICATED"


_SHARED = frozenset({"streams", "sequential_streams", "idle_streams", "slow_requests", "plans", "held_bytes"})
_BUSY = _SHARED | {f"peer_{name}" for name in _SHARED} | {"calls"}
_CUT_OFF = frozenset({"stall_seconds", "call_seconds"})
_OVER = re.compile(r"over the limit (?P<limit>\w+)=(?P<value>\S+)\. Received: (?P<received>\S+)")


class LimitExceeded(FillerError):
    """Over a limit of the server or the reader.

    Attributes:
        limit: name of the limit; None where it is not known.
        value: what the limit is; None where it is not known.
        received: what was asked, or how much of it was seen before the limit ended it; None where it is not known.
    """

    status = "RESOURCE_EXHAUSTED"
    _details: ClassVar[_Details] = {"limit": str, "value": _number, "received": _number, **FillerError._details}

    limit: str | None = None
    value: float | None = None
    received: float | None = None

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        value: float | None = None,
        received: float | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.limit, self.value, self.received, self.line = limit, value, received, line
        if line is not None:
            self._places = (f"line {line}",)

    @classmethod
    def over(cls, limit: str, value: float, received: float, *, line: int | None = None) -> Self:
        """Return the error that names the limit, its value and what was asked."""
        message = f"over the limit {limit}={value}. Received: {received}"
        return cls(message, limit=limit, value=value, received=received, line=line)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Return the error of `over` from its message, None from any other.

        A server that cuts a call off from outside of its thread can send a message and nothing else.
        """
        found = _OVER.fullmatch(text)
        return None if found is None else cls.restored(text, metadata=found.groupdict())

    @property
    def is_busy(self) -> bool:
        """Others hold what the request needs; the same request may be answered later."""
        return self.limit in _BUSY

    @property
    def is_cut_off(self) -> bool:
        """The call took too long; a stream can go on where it stood."""
        return self.limit in _CUT_OFF


class Unavailable(FillerError, ConnectionError):
    """No server answers, or it is not ready.

    Attributes:
        is_lasting: whether it does not pass by itself, as far as the client can tell.
    """

    status = "UNAVAILABLE"
    is_lasting = False


class DeadlineExceeded(FillerError, TimeoutError):
    """The time given is over."""

    status = "DEADLINE_EXCEEDED"


class Cancelled(FillerError):
    """The caller gave up."""

    status = "CANCELLED"


class DataLoss(FillerError):
    """Bytes arrived that are not the bytes sent."""

    status = "DATA_LOSS"


class ServiceError(FillerError):
    """Any other status of a server; `code` is its name."""

    _details: ClassVar[_Details] = {"code": str, **FillerError._details}

    code: str = "INTERNAL"

    def __init__(self, message: str, *, code: str = "INTERNAL") -> None:
        super().__init__(message)
        self.code = code
