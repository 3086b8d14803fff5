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
itself would have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request and what is wrong with it, as in `google.rpc.BadRequest`."""

    field: str
    description: str


class FillerError(Exception):
    """Base of the tree.

    Attributes:
        status: name of the gRPC status code that stands for this class.
        violations: the fields at fault, where the error is about fields.
        metadata: what else identifies the cause (layer, line, limit), as strings, carried over the wire.
    """

    status: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        violations: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.metadata = dict(metadata)


class InvalidArgument(FillerError, ValueError):
    """The input is wrong, and would be wrong again."""

    status = "INVALID_ARGUMENT"


class PrototxtError(InvalidArgument):
    """A prototxt or binary message cannot be read.

    `line` and `column` count from 1 and are None for binary input.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        where = "" if line is None else f"{line}:{column}: "
        metadata = {} if line is None else {"line": str(line), "column": str(column)}
        super().__init__(where + message, metadata=metadata)

    @property
    def line(self) -> int | None:
        """Line of the cause, from 1."""
        return _number(self.metadata.get("line"))

    @property
    def column(self) -> int | None:
        """Column of the cause, from 1."""
        return _number(self.metadata.get("column"))


class NetError(InvalidArgument):
    """A net cannot be set up; `layer` is the name of the layer at fault, or None when it is the net as a whole."""

    def __init__(self, message: str, *, layer: str | None = None, line: int | None = None) -> None:
        places = [] if line is None else [f"line {line}"]
        if layer is not None:
            places.append(f"layer '{layer}'")
        metadata = {key: str(value) for key, value in (("layer", layer), ("line", line)) if value is not None}
        super().__init__(": ".join([", ".join(places), message] if places else [message]), metadata=metadata)

    @property
    def layer(self) -> str | None:
        """Name of the layer at fault."""
        return self.metadata.get("layer")

    @property
    def line(self) -> int | None:
        """Line on which the layer starts, from 1."""
        return _number(self.metadata.get("line"))


class FillerParameterError(InvalidArgument):
    """A FillerParameter makes no filler; `field` is the field at fault."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, violations=[FieldViolation(field, message)], metadata={"field": field})

    @property
    def field(self) -> str:
        """Name of the field at fault."""
        return self.metadata["field"]


class ShapeError(InvalidArgument):
    """A shape that a blob, or a blob of this filler, cannot have."""

    def __init__(self, message: str) -> None:
        super().__init__(message, violations=[FieldViolation("shape", message)])


class RegionError(InvalidArgument):
    """A region or an offset that does not lie inside its blob."""

    def __init__(self, message: str) -> None:
        super().__init__(message, violations=[FieldViolation("region", message)])


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


_BUSY = frozenset({"streams", "peer_streams", "sequential_streams", "idle_streams", "plans", "held_bytes", "calls"})
_CUT_OFF = frozenset({"stall_seconds", "call_seconds"})


class LimitExceeded(FillerError):
    """Over a limit of the server or the reader; the message names the limit, its value and what was asked."""

    status = "RESOURCE_EXHAUSTED"

    @property
    def is_busy(self) -> bool:
        """Others hold what the request needs; the same request may be answered later."""
        return self.metadata.get("limit") in _BUSY

    @property
    def is_cut_off(self) -> bool:
        """The call took too long; a stream can go on where it stood."""
        return self.metadata.get("limit") in _CUT_OFF


class Unavailable(FillerError, ConnectionError):
    """No server answers, or it is not ready."""

    status = "UNAVAILABLE"


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

    def __init__(self, message: str, *, code: str = "INTERNAL") -> None:
        super().__init__(message, metadata={"code": code})

    @property
    def code(self) -> str:
        """Name of the gRPC status code."""
        return self.metadata["code"]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
