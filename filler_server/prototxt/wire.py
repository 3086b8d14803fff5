"""A look at a binary message before protobuf reads it, which takes hundreds of bytes of memory for two of the file."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from caffe_filler.errors import PrototxtError
from caffe_filler.wire import LEN, Malformed, fields
from filler_server.cancellation import checkpoint
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.schema import schema_of


def check_wire(data: bytes, descriptor: Any, limits: ReadLimits) -> None:
    """Count the fields and layers of a message without reading it; what is inside of blobs does not count.

    Raises:
        PrototxtError: the data is not a message; what this overlooks, protobuf will find.
        LimitExceeded: there are more than `layers` or `fields` allows.
    """
    count = layers = 0
    regions: list[tuple[int, int, Any]] = [(0, len(data), descriptor)]
    try:
        while regions:
            checkpoint()
            start, stop, message = regions.pop()
            growing = _growing(message)
            for tag, content, end, _ in fields(data, start, stop):
                count += 1
                if count > limits.fields:
                    limits.check("fields", count)
                if tag & 7 != LEN or (child := growing.get(tag >> 3)) is None:
                    continue
                layers += schema_of(child).is_layer
                if layers > limits.layers:
                    limits.check("layers", layers)
                if _growing(child):
                    regions.append((content, end, child))
    except Malformed as error:
        raise _no_message(error, data) from None


def outermost_fields(data: bytes, limits: ReadLimits) -> Iterator[tuple[int, int]]:
    """Number and wire type of each outermost field of a message.

    Raises:
        PrototxtError: the data is not a message.
        LimitExceeded: there are more than `fields` allows.
    """
    try:
        for count, (tag, *_) in enumerate(fields(data, 0, len(data)), 1):
            if count > limits.fields:
                limits.check("fields", count)
            yield tag >> 3, tag & 7
    except Malformed as error:
        raise _no_message(error, data) from None


def _no_message(error: Malformed, data: bytes) -> PrototxtError:
    return PrototxtError(
        f"not a binary message, or not all of it: broken at byte {error.position}. Received: {len(data)} bytes"
    )


@cache
def _growing(message: Any) -> dict[int, Any]:
    """Descriptors of the fields, by number, whose messages may come in any number or hold such ones."""
    return {
        field.number: field.message_type
        for field in message.fields
        if field.message_type is not None and (field.is_repeated or _growing(field.message_type))
    }
