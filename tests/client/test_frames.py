import contextlib
import struct
from collections.abc import Iterator

import pytest
from crc32c import crc32c
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import DataLoss
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from filler_client import _frames
from filler_client._frames import Frame, read_message


def parts(message: bytes) -> tuple[filler_pb2.StreamHeader | None, list[Frame]]:
    """The header and the pieces of a message."""
    found = list(read_message(message))
    headers = [part for part in found if isinstance(part, filler_pb2.StreamHeader)]
    assert len(headers) <= 1
    return (headers[0] if headers else None), [part for part in found if isinstance(part, Frame)]


@pytest.fixture(scope="module", autouse=True, params=[0, _frames._SMALL], ids=["by hand", "small ones by protobuf"])
def small(request: pytest.FixtureRequest) -> Iterator[None]:
    """Try every message both ways, whatever its length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_frames, "_SMALL", request.param)
        yield


uint32s = st.integers(0, 2**32 - 1)
uint64s = st.integers(0, 2**64 - 1)

headers = st.builds(
    filler_pb2.BlobHeader,
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    bytes=uint64s,
    dtype=st.sampled_from(filler_pb2.DType.values()),
)
pieces = st.builds(
    filler_pb2.Piece,
    blob=uint32s,
    header=st.none() | headers,
    offset=uint64s,
    crc32c=uint32s,
    last=st.booleans(),
    data=st.binary(max_size=50),
)
stream_headers = st.none() | st.builds(filler_pb2.StreamHeader, blobs=uint32s, bytes=uint64s)
responses = st.builds(filler_pb2.FillResponse, pieces=st.lists(pieces, max_size=4), header=stream_headers)


def check(message: bytes, response: filler_pb2.FillResponse) -> None:
    """Hold what is read against what the stock class says."""
    header, frames = parts(message)
    assert header == (response.header if response.HasField("header") else None)
    assert len(frames) == len(response.pieces)
    for frame, piece in zip(frames, response.pieces, strict=True):
        assert (frame.blob, frame.offset, frame.crc32c, frame.last) == (
            piece.blob,
            piece.offset,
            piece.crc32c,
            piece.last,
        )
        assert frame.header == (piece.header if piece.HasField("header") else None)
        assert bytes(frame.data) == piece.data


@given(responses)
def test_messages_of_the_stock_classes(response: filler_pb2.FillResponse) -> None:
    check(response.SerializeToString(), response)


def varint(value: int, padding: int = 0) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    if padding:
        encoded[-1] |= 0x80
        encoded += b"\x80" * (padding - 1) + b"\0"
    return bytes(encoded)


def field(number: int, value: int | bytes, kind: int = 0, padding: int = 0) -> bytes:
    """A field in any wire type: 0 varint, 1 fixed64, 2 bytes, 5 fixed32."""
    tag = varint(number << 3 | kind)
    if isinstance(value, bytes):
        return tag + varint(len(value), padding) + value
    return (
        tag + {0: varint(value, padding), 1: struct.pack("<Q", value), 5: struct.pack("<I", value & 0xFFFFFFFF)}[kind]
    )


unknown_fields = st.one_of(
    st.builds(field, st.integers(16, 2**29 - 1), uint64s, st.sampled_from([0, 1, 5])),
    st.builds(field, st.integers(16, 2**29 - 1), st.binary(max_size=9), st.just(2)),
)


@given(responses, st.data())
def test_unknown_fields_are_passed_over(response: filler_pb2.FillResponse, data: st.DataObject) -> None:
    message = b"".join(data.draw(st.lists(unknown_fields, max_size=2)))
    if response.HasField("header"):
        message += field(2, response.header.SerializeToString() + data.draw(unknown_fields), 2)
    for piece in response.pieces:
        encoded = data.draw(unknown_fields) + piece.SerializeToString() + data.draw(unknown_fields)
        message += data.draw(unknown_fields) + field(1, encoded, 2)
    header, frames = parts(message)
    assert len(frames) == len(response.pieces)
    for frame, piece in zip(frames, response.pieces, strict=True):
        assert (frame.blob, frame.offset, bytes(frame.data)) == (piece.blob, piece.offset, piece.data)
    assert (header is not None) == response.HasField("header")


@given(uint32s, st.integers(0, 4), uint64s, st.booleans())
def test_fields_in_any_order_with_long_varints(blob: int, padding: int, offset: int, last: bool) -> None:
    offset &= 2**35 - 1
    piece = field(15, b"abc", 2, padding) + field(5, last, 0, padding) + field(4, 7, 5)
    piece += field(3, offset, 0, padding) + field(1, blob, 0, padding)
    message = field(1, piece, 2, min(padding, 3))
    check(message, filler_pb2.FillResponse.FromString(message))
    (frame,) = parts(message)[1]
    assert (frame.blob, frame.offset, frame.last, bytes(frame.data)) == (blob, offset, last, b"abc")


def test_the_last_of_a_repeated_number_counts() -> None:
    message = field(1, field(1, 5) + field(1, 6) + field(15, b"x", 2) + field(15, b"y", 2), 2)
    check(message, filler_pb2.FillResponse.FromString(message))


def test_the_data_of_large_pieces_is_not_copied() -> None:
    message = filler_pb2.FillResponse(pieces=[filler_pb2.Piece(data=bytes(1 << 20))]).SerializeToString()
    (frame,) = parts(message)[1]
    assert frame.data.obj is message


@given(responses, st.data())
def test_a_cut_message_is_data_loss_or_read_as_the_stock_classes_read_it(
    response: filler_pb2.FillResponse, data: st.DataObject
) -> None:
    message = response.SerializeToString()
    cut = message[: data.draw(st.integers(0, len(message)))]
    try:
        want = filler_pb2.FillResponse.FromString(cut)
    except DecodeError:
        with pytest.raises(DataLoss, match=f"^a message of {counted(len(cut), 'byte')} is not a FillResponse$"):
            parts(cut)
    else:
        check(cut, want)


@given(st.binary(max_size=60) | st.builds(lambda piece: field(1, piece, 2), st.binary(max_size=60)))
def test_garbage_gives_data_loss_and_nothing_else(message: bytes) -> None:
    with contextlib.suppress(DataLoss):
        parts(message)


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x80",
        b"\x0a" + b"\xff" * 10 + b"\x01",
        b"\x80" * 11,
        field(1, b"\x25\x00\x00", 2),
        field(1, b"\x11\x00", 2),
        field(1, field(2, b"\x0a\x05x", 2), 2),
        field(1, field(2, b"\x0a\x01\xff", 2), 2),
        field(2, b"\x08", 2),
        b"\x0b",
        b"\x0c",
        b"\x0e",
        b"\x0f",
    ],
)
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(DataLoss, match=f"a message of {counted(len(message), 'byte')} is not a FillResponse"):
        parts(message)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_any_changed_bit_of_the_data_is_noticed(data: bytes, draw: st.DataObject) -> None:
    Frame(crc32c=crc32c(data), data=memoryview(data)).check()
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    frame = Frame(blob=3, offset=8, crc32c=crc32c(data), data=memoryview(changed))
    with pytest.raises(DataLoss, match=f"the checksum of {counted(len(data), 'byte')} at offset 8 of blob 3 is wrong"):
        frame.check()
