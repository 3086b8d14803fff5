"""The stream of a Digest: each message measured and compared with its request."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from caffe_filler.checksum import crc32c
from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import Malformed
from filler_client._answer import ExpectedStream, blobs_asked_for, short
from filler_client._backend import BlobDigest, StreamRequest
from filler_client._replies import check_fields

_LONGEST = 4 << 20
_MOST_FIELDS = 1 << 16
"""Bytes and fields of a message, several times what servers send: digests of some blobs and the blobs' names."""


def digest_request(request: StreamRequest) -> filler_pb2.DigestRequest:
    """Return the request for the digests of what another request fills."""
    if isinstance(request, filler_pb2.FillRequest):
        return filler_pb2.DigestRequest(fill=request)
    return filler_pb2.DigestRequest(fill_net=request)


class DigestPosition:
    """Follows the messages of a Digest over any number of connections."""

    def __init__(self, expected: ExpectedStream) -> None:
        self._expected = expected
        self._blob = expected.start.blob
        self._blobs = expected.count
        self._messages = 0

    @property
    def is_complete(self) -> bool:
        """Everything that was asked for has come."""
        return self._blob == self._blobs

    def set_start(self, request: filler_pb2.DigestRequest) -> None:
        """Let the request go on from here, over a new connection."""
        self._messages = 0
        if self._blob:
            asked = request.fill if request.HasField("fill") else request.fill_net
            asked.start.blob = self._blob

    def read(self, message: bytes) -> Iterator[BlobDigest]:
        """Yield the digests of a message, each checked, and move on after each.

        Raises:
            DataLoss: a checksum is wrong, or a digest is not the one that follows, or not of what was asked for.
        """
        response = _parsed(message)
        self._messages += 1
        if response.HasField("header"):
            self._begin(response.header)
        if not response.blobs and self._messages > 1:
            raise DataLoss(f"the digest of blob {self._blob} should follow. Received: a message without digests")
        for entry in response.blobs:
            yield self._checked(entry)
            self._blob += 1

    def check_complete(self) -> None:
        """Make sure that the stream ended where it should.

        Raises:
            DataLoss: blobs are missing.
        """
        if not self.is_complete:
            raise DataLoss(f"the stream ended after {self._blob} of {self._blobs} blobs")

    def _begin(self, header: filler_pb2.StreamHeader) -> None:
        self._expected.check_count(header.blobs)
        if self._blobs not in (None, header.blobs):
            raise DataLoss(f"the stream had {self._blobs} blobs before. Received: {header.blobs}")
        self._blobs = header.blobs

    def _checked(self, entry: filler_pb2.BlobDigest) -> BlobDigest:
        from filler_server.digests import Digest

        if self.is_complete:
            raise DataLoss(f"{blobs_asked_for(self._blobs)}. Received: blob {entry.blob} after the last one")
        if entry.blob != self._blob:
            raise DataLoss(f"the digest of blob {self._blob} should follow. Received: that of blob {entry.blob}")
        self._expected.check(entry.blob, entry.header)
        found = Digest(entry.low, entry.high)
        if crc32c(found.to_bytes()) != entry.crc32c:
            raise DataLoss(f"the digest of blob '{short(entry.header.name)}' is not the one that was sent")
        return BlobDigest(entry.header, found)


def _parsed(message: bytes) -> filler_pb2.DigestResponse:
    if len(message) > _LONGEST:
        raise DataLoss(f"a message of digests has at most {_LONGEST} bytes. Received: {len(message)}")
    try:
        check_fields(message, filler_pb2.DigestResponse.DESCRIPTOR, _MOST_FIELDS)
        return filler_pb2.DigestResponse.FromString(message)
    except (Malformed, DecodeError) as error:
        raise DataLoss(f"a message of {len(message)} bytes is not a DigestResponse") from error
