"""Position of a stream, so that it can go on elsewhere and nothing is lost, doubled or mixed up."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2
from filler_client._answer import ExpectedStream, blobs_asked_for
from filler_client._backend import Piece, StreamRequest
from filler_client._frames import Frame, read_message

_Sent = TypeVar("_Sent", contravariant=True)
_Entry = TypeVar("_Entry", covariant=True)


class Position(Protocol[_Sent, _Entry]):
    """Place in a stream up to which everything has come."""

    @property
    def is_complete(self) -> bool:
        """Everything that was asked for has come."""
        ...

    def set_start(self, request: _Sent, /) -> None:
        """Let the request go on from here, over a new connection."""
        ...

    def read(self, message: bytes, /) -> Iterator[_Entry]:
        """Yield what a message has, each entry checked, and move on after each."""
        ...

    def check_complete(self) -> None:
        """Make sure that the stream ended where it should."""
        ...


class StreamPosition:
    """Follows the messages of a stream over any number of connections, from the start of its request on."""

    def __init__(self, expected: ExpectedStream) -> None:
        self._expected = expected
        self._blob = expected.start.blob
        self._offset = expected.start.offset
        self._blobs = expected.count
        self._header: filler_pb2.BlobHeader | None = None
        self._shape: tuple[int, ...] = ()
        self._messages = self._received = self._announced = 0

    @property
    def is_complete(self) -> bool:
        """Everything that was asked for has come."""
        return self._blob == self._blobs and not self._offset

    def set_start(self, request: StreamRequest) -> None:
        """Let the request go on from here, over a new connection."""
        self._messages = self._received = self._announced = 0
        if self._blob or self._offset:
            request.start.blob, request.start.offset = self._blob, self._offset

    def read(self, message: bytes) -> Iterator[Piece]:
        """Yield the pieces of a message, each checked, and move on after each.

        Raises:
            DataLoss: a checksum is wrong, or a piece is not the one that follows, or not of what was asked for.
        """
        self._messages += 1
        is_empty = True
        for part in read_message(message):
            if isinstance(part, filler_pb2.StreamHeader):
                self._begin(part)
                continue
            is_empty = False
            header = self._check(part)
            yield Piece(header, self._shape, part.offset, part.data, part.last)
            self._advance(part)
        if is_empty and self._messages > 1:
            raise DataLoss(
                f"byte {self._offset} of blob {self._blob} should follow. Received: a message without pieces"
            )

    def check_complete(self) -> None:
        """Make sure that the stream ended where it should.

        Raises:
            DataLoss: blobs are missing.
        """
        if not self.is_complete:
            raise DataLoss(f"the stream ended after {self._blob} of {self._blobs} blobs")
        if self._announced and self._received != self._announced:
            raise DataLoss(f"the stream announced {self._announced} bytes. Received: {self._received} bytes")

    def _begin(self, header: filler_pb2.StreamHeader) -> None:
        self._expected.check_count(header.blobs)
        if self._blobs not in (None, header.blobs):
            raise DataLoss(f"the stream had {self._blobs} blobs before. Received: {header.blobs}")
        self._blobs = header.blobs
        self._announced = header.bytes

    def _check(self, frame: Frame) -> filler_pb2.BlobHeader:
        if self.is_complete:
            raise DataLoss(f"{blobs_asked_for(self._blobs)}. Received: blob {frame.blob} after the last one")
        if (frame.blob, frame.offset) != (self._blob, self._offset):
            raise DataLoss(
                f"byte {self._offset} of blob {self._blob} should follow. "
                f"Received: byte {frame.offset} of blob {frame.blob}"
            )
        header = self._header
        if frame.header is not None:
            if self._offset and header is not None and frame.header != header:
                raise DataLoss(f"blob '{header.name}' came with another header after the connection broke")
            header, self._shape = frame.header, self._expected.check(frame.blob, frame.header)
            self._header = header
        if header is None:
            raise DataLoss(f"blob {frame.blob} came without a header")
        end = frame.offset + len(frame.data)
        if end > header.bytes or frame.last != (end == header.bytes) or (end == frame.offset and not frame.last):
            raise DataLoss(f"blob '{header.name}' has {header.bytes} bytes. Received: a piece that ends at {end}")
        self._received += len(frame.data)
        if self._announced and self._received > self._announced:
            raise DataLoss(f"the stream announced {self._announced} bytes. Received: {self._received} bytes and more")
        frame.check()
        return header

    def _advance(self, frame: Frame) -> None:
        if frame.last:
            self._blob, self._offset, self._header = self._blob + 1, 0, None
        else:
            self._offset += len(frame.data)
