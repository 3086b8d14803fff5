"""A look at a binary message before protobuf reads it, which takes hundreds of bytes of memory for two of the file."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from caffe_filler.errors import PrototxtError
from filler_server.cancellation import checkpoint
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.schema import schema_of

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_wire(data: bytes, descriptor: Any, limits: ReadLimits) -> None:
    """Count the fields and layers of a message without reading it; what is inside of blobs does not count.

    Raises:
        PrototxtError: the data is no message; what this overlooks, protobuf will find.
        LimitExceeded: there are more than `layers` or `fields` allows.
    """
    fields = layers = 0
    regions: list[tuple[int, int, Any]] = [(0, len(data), descriptor)]
    while regions:
        checkpoint()
        position, end, message = regions.pop()
        growing = _growing(message)
        while position < end:
            fields += 1
            if fields > limits.fields:
                limits.check("fields", fields)
            key, position = _varint(data, position, end)
            if key & 7 == _BYTES:
                length, position = _varint(data, position, end)
                child = growing.get(key >> 3)
                if child is not None:
                    layers += schema_of(child).is_layer
                    if layers > limits.layers:
                        limits.check("layers", layers)
                    if _growing(child) and position + length <= end:
                        regions.append((position, position + length, child))
                position += length
            else:
                position = _behind_scalar(data, key & 7, position, end)
        if position > end:
            raise _no_message(end, len(data))


def outermost_fields(data: bytes, limits: ReadLimits) -> Iterator[tuple[int, int]]:
    """Number and wire type of each outermost field of a message.

    Raises:
        PrototxtError: the data is no message.
        LimitExceeded: there are more than `fields` allows.
    """
    fields = position = 0
    while position < len(data):
        fields += 1
        if fields > limits.fields:
            limits.check("fields", fields)
        key, position = _varint(data, position, len(data))
        if key & 7 == _BYTES:
            length, position = _varint(data, position, len(data))
            position += length
        else:
            position = _behind_scalar(data, key & 7, position, len(data))
        yield key >> 3, key & 7
    if position > len(data):
        raise _no_message(len(data), len(data))


def _behind_scalar(data: bytes, wire_type: int, position: int, end: int) -> int:
    """The position behind a number."""
    if wire_type == _VARINT:
        return _varint(data, position, end)[1]
    if wire_type not in (_FIXED32, _FIXED64):
        raise _no_message(position, len(data))
    return position + (4 if wire_type == _FIXED32 else 8)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read an integer; return it and the position behind it."""
    value = 0
    for index in range(10):
        if position + index >= end:
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _no_message(position, len(data))


def _no_message(position: int, length: int) -> PrototxtError:
    return PrototxtError(f"not a binary message, or not all of it: broken at byte {position}. Received: {length} bytes")


@cache
def _growing(message: Any) -> dict[int, Any]:
    """Descriptors of the fields, by number, whose messages may come in any number or hold such ones."""
    return {
        field.number: field.message_type
        for field in message.fields
        if field.message_type is not None and (field.is_repeated or _growing(field.message_type))
    }
