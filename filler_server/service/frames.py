"""Computed tensors to the messages of a stream, generated straight into the message's own buffer.

What comes out is the plain protobuf encoding of `FillResponse`. It is written by hand because the generated classes
would copy every payload twice; here the kernels write it once, where it is sent from.
"""

import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import crc32c

from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import varint
from filler_server import compiled
from filler_server.api.replies import encoded_header
from filler_server.engine.computed import ComputedTensor

MESSAGE_BYTES = 1 << 20
"""Payload of one message; the throughput is best between 512 KiB and 2 MiB."""

_PIECES = 64
"""Most pieces of one message: small blobs cost the reader more than their bytes do, and it should have some of them
while the next are computed."""

_ALIGNMENT = 8
_PAYLOAD_AT = bytes.__basicsize__ - 1
"""Offset of the payload in a bytes object; the object itself is aligned to 16."""

_TAG_PIECES = b"\x0a"
_TAG_STREAM_HEADER = b"\x12"
_TAG_BLOB = b"\x08"
_TAG_BLOB_HEADER = b"\x12"
_TAG_REQUEST_CRC = b"\x3d"
_TAG_OFFSET = b"\x18"
_TAG_CRC = b"\x25"
_NO_CRC = b"\0\0\0\0"
_LAST = b"\x28\x01"
_TAG_DATA = b"\x7a"

_TWO, _THREE = b"\x08\0", b"\x08\x80\0"
_PADDING = [b"", _THREE + 3 * _TWO, _TWO, _THREE, 2 * _TWO, _THREE + _TWO, 3 * _TWO, _THREE + 2 * _TWO]
"""Bytes that say nothing, by their number modulo 8: a number of the blob, which the one after them overrules."""

_LONGEST_PADDING = 9

_LONGEST_KEPT = 512
"""Bytes of a header up to which the framing of a small blob is kept."""

_varint = lru_cache(maxsize=4096)(varint)

ctypes.pythonapi.PyBytes_FromStringAndSize.restype = ctypes.py_object
ctypes.pythonapi.PyBytes_FromStringAndSize.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t]
ctypes.pythonapi.PyMemoryView_FromMemory.restype = ctypes.py_object
ctypes.pythonapi.PyMemoryView_FromMemory.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_PY_BUF_WRITE = 0x200


class _Piece(NamedTuple):
    """A piece laid out in a message: its framing, and where checksum and payload go."""

    tensor: ComputedTensor
    offset: int
    length: int
    framing: bytes
    crc_at: int
    data_at: int


def frames(
    tensors: Sequence[ComputedTensor],
    *,
    blob: int = 0,
    offset: int = 0,
    message_bytes: int = MESSAGE_BYTES,
    checksum: int | None = None,
    before_last: Callable[[], None] = lambda: None,
) -> Iterator[bytes]:
    """Yield encoded `FillResponse` messages with the blobs from byte `offset` of blob number `blob` on.

    `checksum` is that of the request, which the header of each blob repeats; `before_last` is called before the last
    message is yielded.
    """
    stream_header = filler_pb2.StreamHeader(
        blobs=len(tensors), bytes=sum(tensor.nbytes for tensor in tensors[blob:]) - offset
    ).SerializeToString()
    understood = b"" if checksum is None else _TAG_REQUEST_CRC + checksum.to_bytes(4, "little")
    prefix = _TAG_STREAM_HEADER + _varint(len(stream_header)) + stream_header
    first_of_blob = True
    is_last = False
    while not is_last:
        pieces: list[_Piece] = []
        size = len(prefix)
        taken = 0
        while blob < len(tensors) and taken < message_bytes and len(pieces) < _PIECES:
            tensor = tensors[blob]
            left, room = tensor.nbytes - offset, message_bytes - taken
            length = left if left <= room else min(left, _usable(room, offset, tensor))
            last = length == left
            header = encoded_header(tensor) if first_of_blob else b""
            piece = _lay_out(tensor, blob, offset, length, size, header=header, understood=understood, last=last)
            pieces.append(piece)
            size = piece.data_at + length
            taken += length + len(piece.framing)
            first_of_blob = last
            blob, offset = (blob + 1, 0) if last else (blob, offset + length)
        is_last = blob == len(tensors)
        if is_last:
            before_last()
        yield _build(prefix, pieces, size)
        prefix = b""


def _usable(room: int, offset: int, tensor: ComputedTensor) -> int:
    """Bytes of `room` to use so that the next piece starts on a value, and aligned."""
    end = (offset + room) // _ALIGNMENT * _ALIGNMENT
    return max(end, (offset // tensor.dtype.itemsize + 1) * tensor.dtype.itemsize) - offset


def _lay_out(
    tensor: ComputedTensor,
    blob: int,
    offset: int,
    length: int,
    at: int,
    *,
    header: bytes,
    last: bool,
    understood: bytes = b"",
) -> _Piece:
    """Encode all of a piece but checksum and payload, such that the payload is aligned.

    Args:
        tensor: the blob that it is of.
        blob: number of the blob.
        offset: where in the blob its payload begins.
        length: bytes of its payload.
        at: where in the message it begins.
        header: the encoded header of the blob; empty after its first piece.
        last: whether it ends the blob.
        understood: what comes at the end of the header and is the request's own.
    """
    is_kept = last and header and len(header) <= _LONGEST_KEPT
    encode = _framing if is_kept else _framing.__wrapped__
    before, after = encode(blob, header, len(understood) if header else 0, offset, length, last, at % _ALIGNMENT)
    framing = before + understood + after if header else before + after
    data_at = at + len(framing)
    tail = len(_NO_CRC) + (len(_LAST) if last else 0) + len(_TAG_DATA) + len(_varint(length))
    return _Piece(tensor, offset, length, framing, data_at - tail, data_at)


@lru_cache(maxsize=4096)
def _framing(
    blob: int, header: bytes, more: int, offset: int, length: int, last: bool, phase: int
) -> tuple[bytes, bytes]:
    """Encode a piece up to the end of its header, and from there up to its payload, with zeros for the checksum.

    The alignment comes from the number of the blob, which is said again and again: the last one counts. Varints longer
    than they need be would do for most parsers, but protobuf.js reads none of 6 to 9 bytes where 32 bits are wanted.

    Args:
        blob: number of the blob.
        header: its header, as far as all requests have the same.
        more: bytes of the rest of the header.
        offset: where in the blob its payload begins.
        length: bytes of its payload.
        last: whether it ends the blob.
        phase: where it begins, modulo the alignment.
    """
    front = _TAG_BLOB + _varint(blob)
    if header:
        front += _TAG_BLOB_HEADER + _varint(len(header) + more) + header
    back = _TAG_OFFSET + _varint(offset) + _TAG_CRC + _NO_CRC + (_LAST if last else b"") + _TAG_DATA + _varint(length)
    body = len(front) + more + len(back) + length
    # The length of the piece's length must not change with the padding.
    size_bytes = len(_varint(body + _LONGEST_PADDING))
    start = phase + len(_TAG_PIECES) + size_bytes
    padding = _PADDING[-(_PAYLOAD_AT + start + len(front) + more + len(back)) % _ALIGNMENT]
    prefix = _varint(body + len(padding))
    return _TAG_PIECES + _pad(prefix, size_bytes - len(prefix)) + padding + front, back


def _build(prefix: bytes, pieces: Sequence[_Piece], size: int) -> bytes:
    message, view = _uninitialized_bytes(size)
    view[: len(prefix)] = prefix
    # The cores that other threads could use are those that send.
    with compiled.alone():
        for tensor, offset, length, framing, crc_at, data_at in pieces:
            data = view[data_at : data_at + length]
            tensor.read_bytes(offset, data)
            view[data_at - len(framing) : data_at] = framing
            struct.pack_into("<I", view, crc_at, crc32c.crc32c(data))
    return message


def _uninitialized_bytes(size: int) -> tuple[bytes, memoryview]:
    """A new bytes object and a writable view of it, both valid while the object lives.

    gRPC takes nothing but bytes, and joining or copying into one would cost a pass over memory. Nobody else knows the
    object until it is returned.
    """
    message: bytes = ctypes.pythonapi.PyBytes_FromStringAndSize(None, size)
    address = id(message) + _PAYLOAD_AT
    view: memoryview = ctypes.pythonapi.PyMemoryView_FromMemory(address, size, _PY_BUF_WRITE)
    return message, view


def _pad(varint: bytes, count: int) -> bytes:
    """The same number in `count` bytes more."""
    if count == 0:
        return varint
    return varint[:-1] + bytes([varint[-1] | 0x80]) + b"\x80" * (count - 1) + b"\0"
