"""Messages of a stream to pieces, without copying their data.

The generated classes would copy every payload once more when it is read; here it stays a view of the message.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import crc32c
from google.protobuf.message import DecodeError

from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_NOTHING = memoryview(b"")

_SMALL = 256 << 10
"""Bytes of a message up to which the generated classes are faster, although they copy the data twice."""


@dataclass(slots=True)
class Frame:
    """One `caffe_filler.v1.Piece` as it stands in a message."""

    blob: int = 0
    header: filler_pb2.BlobHeader | None = None
    offset: int = 0
    crc32c: int = 0
    last: bool = False
    data: memoryview = _NOTHING

    def check(self) -> None:
        """Compare the data with its checksum.

        Raises:
            DataLoss: they differ.
        """
        received = crc32c.crc32c(self.data)
        if received != self.crc32c:
            raise DataLoss(
                f"the checksum of {len(self.data)} bytes at offset {self.offset} of blob {self.blob} is wrong. "
                f"Received: crc32c={received:#010x}, sent: {self.crc32c:#010x}"
            )


def read_message(message: bytes) -> tuple[filler_pb2.StreamHeader | None, list[Frame]]:
    """Return the header of a `FillResponse`, where it has one, and its pieces.

    Raises:
        DataLoss: the message is no `FillResponse`.
    """
    header: filler_pb2.StreamHeader | None = None
    frames: list[Frame] = []
    try:
        if len(message) <= _SMALL:
            return _parsed(filler_pb2.FillResponse.FromString(message))
        for number, value in _fields(memoryview(message)):
            if number == 1 and isinstance(value, memoryview):
                frames.append(_frame(value))
            elif number == 2 and isinstance(value, memoryview):
                header = filler_pb2.StreamHeader.FromString(bytes(value))
    except (IndexError, struct.error, DecodeError) as error:
        raise DataLoss(f"a message of {len(message)} bytes is not a FillResponse") from error
    return header, frames


def _parsed(response: filler_pb2.FillResponse) -> tuple[filler_pb2.StreamHeader | None, list[Frame]]:
    frames = [
        Frame(
            piece.blob,
            piece.header if piece.HasField("header") else None,
            piece.offset,
            piece.crc32c,
            piece.last,
            memoryview(piece.data),
        )
        for piece in response.pieces
    ]
    return response.header if response.HasField("header") else None, frames


def _frame(piece: memoryview) -> Frame:
    frame = Frame()
    for number, value in _fields(piece):
        if isinstance(value, memoryview):
            if number == 2:
                frame.header = filler_pb2.BlobHeader.FromString(bytes(value))
            elif number == 15:
                frame.data = value
        elif number == 1:
            frame.blob = value & 0xFFFFFFFF
        elif number == 3:
            frame.offset = value
        elif number == 4:
            frame.crc32c = value
        elif number == 5:
            frame.last = value != 0
    return frame


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an int, or a view of a length-delimited one."""
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            length, at = _varint(view, at)
            if length > end - at:
                raise IndexError
            yield key >> 3, view[at : at + length]
            at += length
        elif kind == _VARINT:
            value, at = _varint(view, at)
            yield key >> 3, value
        elif kind == _FIXED32:
            yield key >> 3, struct.unpack_from("<I", view, at)[0]
            at += 4
        elif kind == _FIXED64:
            yield key >> 3, struct.unpack_from("<Q", view, at)[0]
            at += 8
        else:
            raise IndexError


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise IndexError
