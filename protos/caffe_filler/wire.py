"""Protobuf's wire format, read and written without the generated classes, which copy what they read."""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

from caffe_filler.printable import counted

VARINT, I64, LEN, I32 = 0, 1, 2, 5
"""Wire types, by the names that protobuf's documentation gives them."""

_LONGEST_VARINT = 70
"""Bits of ten bytes of seven."""

_WORD = (1 << 64) - 1

Field: TypeAlias = tuple[int, int, int, int]
"""A field as it stands in a buffer: its tag, start and stop of its content, and of a varint its value."""


class Buffer(Protocol):
    """Bytes by their index: `bytes`, a memoryview, a mapped file."""

    def __getitem__(self, index: int, /) -> int:
        """Return one byte."""


class Malformed(Exception):
    """Bytes that are no message, or only a part of one.

    Attributes:
        position: the byte at which the message breaks off.
        reason: what is wrong there.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"{reason} at byte {position}")
        self.position = position
        self.reason = reason


def fields(buffer: Buffer, start: int, stop: int) -> Iterator[Field]:
    """Yield the fields of the message that lies at start <= byte < stop.

    Raises:
        Malformed: there lies no message, or only a part of one.
    """
    while start < stop:
        field_tag = buffer[start]
        if field_tag < 0x80:
            data = start + 1
        else:
            field_tag, data = read_varint(buffer, start, stop)
        wire_type = field_tag & 7
        value = 0
        if wire_type == LEN:
            length, data = read_varint(buffer, data, stop)
            end = data + length
        elif wire_type == VARINT:
            value, end = read_varint(buffer, data, stop)
        elif wire_type == I32:
            end = data + 4
        elif wire_type == I64:
            end = data + 8
        else:
            raise Malformed(data, f"wire type {wire_type} is unknown")
        if end > stop:
            raise Malformed(stop, f"expected {counted(end - data, 'byte')} and got {stop - data}")
        yield field_tag, data, end, value
        start = end


def read_varint(buffer: Buffer, start: int, stop: int) -> tuple[int, int]:
    """Return the number of 64 bits that starts at byte `start`, and the byte after it.

    Raises:
        Malformed: there is none before byte `stop`.
    """
    position, shift, value = start, 0, 0
    while position < stop:
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, position
        shift += 7
        if shift == _LONGEST_VARINT:
            raise Malformed(start, "a number is too long")
    raise Malformed(start, "a number is not complete")


def signed(value: int, bits: int = 64) -> int:
    """Return a varint's value as an integer of so many bits, in two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def varint(value: int) -> bytes:
    """Return a number of 0 or more as a varint: seven bits a byte, the low ones first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def tag(number: int, wire_type: int) -> int:
    """Return the tag of a field: its number above the three bits of its wire type."""
    return number << 3 | wire_type


def key(number: int, wire_type: int) -> bytes:
    """Return the tag of a field as it is written in front of it."""
    return varint(tag(number, wire_type))


def length_delimited(number: int, content: bytes) -> bytes:
    """Return a field of bytes, such as a message."""
    return key(number, LEN) + varint(len(content)) + content
