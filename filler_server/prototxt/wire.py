"""A look at a binary message before protobuf reads it, which takes hundreds of bytes of memory for two of the file."""

from functools import cache
from typing import Any

from caffe_filler.errors import PrototxtError
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
        position, end, message = regions.pop()
        growing = _growing(message)
        while position < end:
            fields += 1
            if fields > limits.fields:
                limits.check("fields", fields)
            key, position = _varint(data, position, end)
            kind = key & 7
            if kind == _VARINT:
                _, position = _varint(data, position, end)
            elif kind == _BYTES:
                length, position = _varint(data, position, end)
                child = growing.get(key >> 3)
                if child is not None:
                    layers += schema_of(child).is_layer
                    if layers > limits.layers:
                        limits.check("layers", layers)
                    if _growing(child) and position + length <= end:
                        regions.append((position, position + length, child))
                position += length
            elif kind in (_FIXED32, _FIXED64):
                position += 4 if kind == _FIXED32 else 8
            else:
                raise _no_message(position, len(data))
        if position > end:
            raise _no_message(end, len(data))


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
