"""Answers to a Fill that are one message.

On the wire a stream of one message is the answer of a unary call, which costs a client less. A server that promises to
send one message says so in the metadata of its answers: `metadata.SHORT_ANSWERS`, 1.
"""

from math import prod

from caffe_filler.v1 import filler_pb2

_VALUES = 8192
_BLOBS = 16
_REQUEST_BYTES = 16 << 10


def is_short(request: filler_pb2.FillRequest) -> bool:
    """Return whether a request is short, and asks for few blobs of few values."""
    return (
        len(request.blobs) <= _BLOBS
        and request.ByteSize() <= _REQUEST_BYTES
        and sum([prod(spec.shape.dim) for spec in request.blobs]) <= _VALUES
    )
