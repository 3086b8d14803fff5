"""Digests of a request's blobs to the messages of the wire."""

from collections.abc import Iterator

from crc32c import crc32c

from caffe_filler.v1 import filler_pb2
from filler_server import compiled
from filler_server.api.replies import blob_header
from filler_server.api.requests import Job
from filler_server.engine.digests import computed_digest

_BLOBS = 64
_SUMMED_BYTES = 256 << 20
"""Blobs, and bytes of their values, after which a message is sent: what the client has need not be summed again."""


def digest_replies(job: Job, checksum: int) -> Iterator[filler_pb2.DigestResponse]:
    """Yield the messages of a Digest, each with the next blobs.

    Args:
        job: the blobs.
        checksum: that of the request, which the header of each blob repeats.
    """
    reply = filler_pb2.DigestResponse(header=filler_pb2.StreamHeader(blobs=len(job.tensors)))
    summed = 0
    for number, tensor in enumerate(job.tensors[job.blob :], job.blob):
        # A call that sends nothing has no more of the processors than one that does.
        with compiled.alone():
            found = computed_digest(tensor)
        entry = reply.blobs.add(blob=number, header=blob_header(tensor), low=found.low, high=found.high)
        entry.header.request_crc32c = checksum
        entry.crc32c = crc32c(found.to_bytes())
        summed += tensor.nbytes
        if len(reply.blobs) == _BLOBS or summed >= _SUMMED_BYTES:
            yield reply
            reply, summed = filler_pb2.DigestResponse(), 0
    if reply.blobs or reply.HasField("header"):
        yield reply
