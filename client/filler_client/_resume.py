"""Where a stream stands: so that it can go on elsewhere, and so that nothing is lost, doubled or mixed up."""

from collections.abc import Iterator
from math import prod

from caffe_filler import dtypes
from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2
from filler_client._backend import Piece, StreamRequest, region_shape
from filler_client._frames import Frame, read_message

_DTYPES = frozenset(filler_pb2.DType.values())


class StreamPosition:
    """Follows the messages of a stream over any number of connections, from the `start` of the request on."""

    def __init__(self, start: filler_pb2.Position) -> None:
        self._blob = start.blob
        self._offset = start.offset
        self._blobs: int | None = None
        self._header: filler_pb2.BlobHeader | None = None
        self._shape: tuple[int, ...] = ()

    def set_start(self, request: StreamRequest) -> None:
        """Let the request go on from here."""
        if self._blob or self._offset:
            request.start.blob, request.start.offset = self._blob, self._offset

    def pieces(self, message: bytes) -> Iterator[Piece]:
        """Yield the pieces of a message, each checked, and move on after each.

        Raises:
            DataLoss: a checksum is wrong, or a piece is not the one that follows.
        """
        stream_header, frames = read_message(message)
        if stream_header is not None:
            if self._blobs not in (None, stream_header.blobs):
                raise DataLoss(f"the stream had {self._blobs} blobs before. Received: {stream_header.blobs}")
            self._blobs = stream_header.blobs
        for frame in frames:
            header = self._check(frame)
            yield Piece(header, self._shape, frame.offset, frame.data, frame.last)
            self._advance(frame)

    def check_complete(self) -> None:
        """Make sure that the stream ended where it should.

        Raises:
            DataLoss: blobs are missing.
        """
        if self._blob != self._blobs or self._offset:
            raise DataLoss(f"the stream ended after {self._blob} of {self._blobs} blobs")

    def _check(self, frame: Frame) -> filler_pb2.BlobHeader:
        if (frame.blob, frame.offset) != (self._blob, self._offset):
            raise DataLoss(
                f"byte {self._offset} of blob {self._blob} should follow. "
                f"Received: byte {frame.offset} of blob {frame.blob}"
            )
        header = self._header
        if frame.header is not None:
            if self._offset and header is not None and frame.header != header:
                raise DataLoss(f"blob '{header.name}' came with another header after the connection broke")
            header, shape = frame.header, region_shape(frame.header)
            if not _is_sound(header, shape):
                raise DataLoss(f"the header of blob {frame.blob} contradicts itself. Received: {header!r}")
            self._header, self._shape = header, shape
        if header is None:
            raise DataLoss(f"blob {frame.blob} came without a header")
        end = frame.offset + len(frame.data)
        if end > header.bytes or frame.last != (end == header.bytes) or (end == frame.offset and not frame.last):
            raise DataLoss(f"blob '{header.name}' has {header.bytes} bytes. Received: a piece that ends at {end}")
        frame.check()
        return header

    def _advance(self, frame: Frame) -> None:
        if frame.last:
            self._blob, self._offset, self._header = self._blob + 1, 0, None
        else:
            self._offset += len(frame.data)


def _is_sound(header: filler_pb2.BlobHeader, shape: tuple[int, ...]) -> bool:
    """Say whether the blob's bytes are those of its shape and dtype, so that it can be received into an array."""
    if header.dtype not in _DTYPES:
        return False
    return min(shape, default=1) >= 0 and prod(shape) * dtypes.from_wire(header.dtype).itemsize == header.bytes
