"""A look at a binary message before protobuf reads it, which takes hundreds of bytes of memory for two of the file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from caffe_filler.printable import counted
from caffe_filler.wire import LEN, Malformed, fields
from filler_server.cancellation import checkpoint
from filler_server.prototxt.limits import ReadLimits

_NO_COUNTS: Mapping[str, tuple[str, int]] = MappingProxyType({})

_EVERY = 1024
"""Fields between two checkpoints."""

_BLOCK = 1 << 16
_NOT_LAST = bytes(range(0x80, 0x100))
"""The bytes of varints that others of the same number follow."""

_LAYERS = (caffe_pb2.LayerParameter.DESCRIPTOR.full_name, caffe_pb2.V1LayerParameter.DESCRIPTOR.full_name)

_MESSAGE = 32
"""Bytes that a message takes besides its fields, about."""

_VARINTS = frozenset(
    {
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_ENUM,
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
_SIZES = {
    FieldDescriptor.CPPTYPE_BOOL: 1,
    FieldDescriptor.CPPTYPE_INT32: 4,
    FieldDescriptor.CPPTYPE_UINT32: 4,
    FieldDescriptor.CPPTYPE_ENUM: 4,
    FieldDescriptor.CPPTYPE_FLOAT: 4,
    FieldDescriptor.CPPTYPE_STRING: 16,
}
"""Bytes that a value takes in memory; 8 where nothing is said. Of a string and of a message it is the place for one."""


def check_wire(
    data: bytes, descriptor: Any, limits: ReadLimits, *, most: Mapping[str, tuple[str, int]] = _NO_COUNTS
) -> int:
    """Count the fields, numbers and layers of a message without reading it; the values of blobs do not count.

    Args:
        data: the message.
        descriptor: its type.
        limits: `layers` and `fields` are held here.
        most: by full names of message types how many there may be, each with the name of that limit.

    Returns:
        The bytes of memory that the message will take, about.

    Raises:
        PrototxtError: the data is not a message; what this overlooks, protobuf will find.
        LimitExceeded: there are more than allowed.
    """
    limited = {**dict.fromkeys(_LAYERS, ("layers", limits.layers)), **most}
    counts: dict[str, int] = {}
    memory, seen, count = _layout(descriptor).size, 0, 0
    regions: list[tuple[int, int, Any]] = [(0, len(data), descriptor)]
    try:
        while regions:
            checkpoint()
            start, stop, message = regions.pop()
            layout = _layout(message)
            repeated, messages, is_blob = layout.repeated, layout.messages, layout.is_blob
            for tag, content, end, _ in fields(data, start, stop):
                seen += 1
                if not seen % _EVERY:
                    checkpoint()
                number, is_bytes = tag >> 3, tag & 7 == LEN
                count += not is_blob
                memory += repeated.get(number, 0)
                if is_bytes:
                    child = messages.get(number)
                    if child is not None:
                        count += is_blob
                        inner = _layout(child)
                        memory += inner.size
                        if inner.name in limited:
                            name, limit = limited[inner.name]
                            counts[name] = counts.get(name, 0) + 1
                            if counts[name] > limit:
                                raise LimitExceeded.over(name, limit, counts[name])
                        if inner.grows and end > content:
                            regions.append((content, end, child))
                    elif number in layout.varints:
                        numbers = _packed(data, content, end, limits.fields - count)
                        count += numbers
                        memory += numbers * repeated[number]
                    else:
                        memory += end - content
                if count > limits.fields:
                    limits.check("fields", count)
    except Malformed as error:
        raise _no_message(error, data) from None
    return memory


def _packed(data: bytes, start: int, stop: int, most: int) -> int:
    """Count the varints that lie packed at start <= byte < stop, or so many of them that they are more than `most`."""
    count = 0
    for block in range(start, stop, _BLOCK):
        count += len(data[block : min(block + _BLOCK, stop)].translate(None, _NOT_LAST))
        if count > most:
            break
    return count


@dataclass(frozen=True, slots=True)
class _Layout:
    """Facts of a message type.

    Attributes:
        name: its full name.
        size: bytes that a message without repeated fields takes.
        messages: types of the fields that are messages, by number.
        repeated: bytes that one more value takes, by the numbers of the fields that may have any number of them.
        varints: numbers of the fields that are integers, of which a packed list may stand in one field of bytes.
        grows: whether there may be any number of messages or values in it.
        is_blob: whether it holds the values of a blob, which take no more memory than in the file.
    """

    name: str
    size: int
    messages: dict[int, Any]
    repeated: dict[int, int]
    varints: frozenset[int]
    grows: bool
    is_blob: bool


@cache
def _layout(message: Any) -> _Layout:
    sizes = {field.number: _SIZES.get(field.cpp_type, 8) for field in message.fields}
    repeated = [field.number for field in message.fields if field.is_repeated]
    messages = {field.number: field.message_type for field in message.fields if field.message_type is not None}
    return _Layout(
        name=message.full_name,
        size=_MESSAGE + sum(8 if number in repeated else size for number, size in sizes.items()),
        messages=messages,
        repeated={number: sizes[number] for number in repeated},
        varints=frozenset(field.number for field in message.fields if field.is_repeated and field.cpp_type in _VARINTS),
        grows=bool(messages or repeated),
        is_blob=message.full_name == caffe_pb2.BlobProto.DESCRIPTOR.full_name,
    )


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
        f"not a binary message, or not all of it: broken at byte {error.position}. "
        f"Received: {counted(len(data), 'byte')}"
    )
