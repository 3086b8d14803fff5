"""Messages of a stream to pieces, without copying their data.

The generated classes would copy every payload once more when it is read; here it stays a view of the message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from caffe_filler.checksum import crc32c
from caffe_filler.errors import DataLoss
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import I32, LEN, VARINT, Malformed, fields, tag

_PIECES, _STREAM_HEADER = tag(1, LEN), tag(2, LEN)
_BLOB, _OFFSET, _LAST = tag(1, VARINT), tag(3, VARINT), tag(5, VARINT)
_BLOB_HEADER, _CRC, _DATA = tag(2, LEN), tag(4, I32), tag(15, LEN)
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
        received = crc32c(self.data)
        if received != self.crc32c:
            raise DataLoss(
                f"the checksum of {counted(len(self.data), 'byte')} at offset {self.offset} of blob {self.blob} "
                f"is wrong. "
                f"Received: crc32c={received:#010x}, sent: {self.crc32c:#010x}"
            )


def read_message(message: bytes) -> Iterator[filler_pb2.StreamHeader | Frame]:
    """Yield the header of a `FillResponse`, where it has one, and its pieces.

    Of a large message each is read when it is asked for: it may hold millions of pieces without data, of which the
    first one is wrong.

    Raises:
        DataLoss: the message is not a `FillResponse`.
    """
    try:
        if len(message) <= _SMALL:
            yield from _parsed(filler_pb2.FillResponse.FromString(message))
            return
        view = memoryview(message)
        for field, start, stop, _ in fields(view, 0, len(view)):
            if field == _PIECES:
                yield _frame(view, start, stop)
            elif field == _STREAM_HEADER:
                yield filler_pb2.StreamHeader.FromString(message[start:stop])
    except (Malformed, DecodeError) as error:
        raise DataLoss(f"a message of {counted(len(message), 'byte')} is not a FillResponse") from error


def _parsed(response: filler_pb2.FillResponse) -> Iterator[filler_pb2.StreamHeader | Frame]:
    if response.HasField("header"):
        yield response.header
    for piece in response.pieces:
        yield Frame(
            piece.blob,
            piece.header if piece.HasField("header") else None,
            piece.offset,
            piece.crc32c,
            piece.last,
            memoryview(piece.data),
        )


def _frame(view: memoryview, start: int, stop: int) -> Frame:
    frame = Frame()
    for field, begin, end, value in fields(view, start, stop):
        if field == _BLOB:
            frame.blob = value & 0xFFFFFFFF
        elif field == _BLOB_HEADER:
            frame.header = filler_pb2.BlobHeader.FromString(bytes(view[begin:end]))
        elif field == _OFFSET:
            frame.offset = value
        elif field == _CRC:
            frame.crc32c = int.from_bytes(view[begin:end], "little")
        elif field == _LAST:
            frame.last = value != 0
        elif field == _DATA:
            frame.data = view[begin:end]
    return frame
