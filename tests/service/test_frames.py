import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.short_answers import is_short
from caffe_filler.v1 import filler_pb2
from filler_server.api.replies import blob_header, encoded_header
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.region import Region
from filler_server.service import frames as frames_module
from filler_server.service.frames import MESSAGE_BYTES, frames
from tests.flat_index import flat_index_blob
from tests.regions import regions, shapes

FillResponse = filler_pb2.FillResponse


def content(tensor: ComputedTensor) -> bytes:
    """All bytes of a tensor."""
    data = bytearray(tensor.nbytes)
    tensor.read_bytes(0, memoryview(data))
    return bytes(data)


def check_stream(
    messages: Sequence[bytes], tensors: Sequence[ComputedTensor], blob: int = 0, offset: int = 0
) -> list[filler_pb2.FillResponse]:
    """Hold a stream against every rule of filler.proto, as a stock client sees it; returns its messages."""
    parsed = [FillResponse.FromString(message) for message in messages]
    assert parsed, "the first message has the stream's header even where there is no blob"
    for first, message in enumerate(parsed):
        assert message.HasField("header") == (first == 0)
        assert message.pieces or first == 0
    sent = sum(len(piece.data) for message in parsed for piece in message.pieces)
    assert parsed[0].header == filler_pb2.StreamHeader(blobs=len(tensors), bytes=sent)
    received = bytearray()
    begin = offset
    with_header = True
    for message in parsed:
        for piece in message.pieces:
            tensor = tensors[blob]
            assert (piece.blob, piece.offset) == (blob, offset)
            assert piece.HasField("header") == with_header
            if with_header:
                assert piece.header == blob_header(tensor)
            assert piece.crc32c == crc32c(piece.data)
            received += piece.data
            offset += len(piece.data)
            with_header = piece.last
            assert piece.last == (offset == tensor.nbytes)
            assert piece.data or piece.last
            if piece.last:
                assert bytes(received) == content(tensor)[begin:]
                received.clear()
                blob, offset, begin = blob + 1, 0, 0
    assert (blob, offset) == (len(tensors), 0)
    return parsed


@st.composite
def blobs(draw: st.DrawFn) -> ComputedTensor:
    """A small blob, or a region of one, also an empty one."""
    shape = draw(shapes)
    dtype = draw(st.sampled_from([np.float32, np.float64, np.float16, ml_dtypes.bfloat16]))
    name = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    owner = draw(st.sampled_from([None, "other/0"]))
    return flat_index_blob(shape, draw(regions(shape)), dtype, name=name, owner=owner)


@given(st.lists(blobs(), max_size=8), st.sampled_from([1, 8, 20, 64, 200, 1000]))
def test_a_stream_keeps_the_rules(tensors: list[ComputedTensor], message_bytes: int) -> None:
    check_stream(list(frames(tensors, message_bytes=message_bytes)), tensors)


@given(st.lists(blobs(), min_size=1, max_size=5), st.sampled_from([1, 30, 200]), st.data())
def test_from_any_place_the_rest_comes(tensors: list[ComputedTensor], message_bytes: int, data: st.DataObject) -> None:
    blob = data.draw(st.integers(0, len(tensors) - 1))
    offset = data.draw(st.integers(0, tensors[blob].nbytes))
    check_stream(
        list(frames(tensors, blob=blob, offset=offset, message_bytes=message_bytes)), tensors, blob=blob, offset=offset
    )


def test_nothing_but_the_header_comes_after_the_last_blob() -> None:
    tensors = [flat_index_blob((3,))]
    (message,) = check_stream(list(frames(tensors, blob=1)), tensors, blob=1)
    assert message == FillResponse(header=filler_pb2.StreamHeader(blobs=1))


def test_no_blobs() -> None:
    (message,) = check_stream(list(frames([])), [])
    assert message == FillResponse(header=filler_pb2.StreamHeader())
    assert message.HasField("header")


def test_an_empty_region_is_one_piece_without_data() -> None:
    tensors = [flat_index_blob((4, 5), Region.box((4, 5), [(1, 1), (0, None)])), flat_index_blob((2,))]
    (message,) = check_stream(list(frames(tensors)), tensors)
    assert [(len(piece.data), piece.last) for piece in message.pieces] == [(0, True), (8, True)]
    assert message.pieces[0].header.bytes == 0
    assert message.pieces[0].header.region.box.axes[0] == filler_pb2.Range(start=1, stop=1)


def test_small_blobs_share_a_message() -> None:
    tensors = [flat_index_blob((512,), name=f"layer{number}/0") for number in range(400)]
    messages = check_stream(list(frames(tensors)), tensors)
    assert [len(message.pieces) for message in messages] == [64] * 6 + [16]


@given(st.data())
def test_a_short_answer_is_one_message(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 18))
    values, letters = data.draw(st.integers(1, 9000)), data.draw(st.integers(0, 17_000))
    names = [f"{number}".ljust(letters // max(count, 1), "x") for number in range(count)]
    request = filler_pb2.FillRequest(seed=2**64 - 1, dtype=filler_pb2.FLOAT64)
    for name in names:
        request.blobs.add(name=name).shape.dim.append(max(values // max(count, 1), 1))
    tensors = [flat_index_blob(tuple(spec.shape.dim), None, np.float64, name=spec.name) for spec in request.blobs]
    messages = list(frames(tensors, checksum=1))
    assert len(messages) == 1 or not is_short(request)
    assert is_short(request) == (
        count <= 16 and request.ByteSize() <= 16 << 10 and count * max(values // max(count, 1), 1) <= 8192
    )


def test_a_big_blob_spans_messages() -> None:
    tensors = [flat_index_blob((3, 300_000)), flat_index_blob((7,))]
    messages = list(frames(tensors))
    parsed = check_stream(messages, tensors)
    assert [[len(piece.data) for piece in message.pieces] for message in parsed] == [
        [MESSAGE_BYTES],
        [MESSAGE_BYTES],
        [MESSAGE_BYTES],
        [3_600_000 - 3 * MESSAGE_BYTES, 28],
    ]
    assert max(map(len, messages)) < MESSAGE_BYTES + 256


def test_long_names_do_not_make_a_message_long() -> None:
    tensors = [flat_index_blob((4,), name=f"{number:05}" * 6000) for number in range(100)]
    messages = list(frames(tensors))
    check_stream(messages, tensors)
    assert max(map(len, messages)) < MESSAGE_BYTES + 31_000
    assert len(messages) == 3


@given(st.lists(blobs(), max_size=6), st.sampled_from([64, 1000]), st.integers(0, 7))
def test_every_payload_is_aligned(tensors: list[ComputedTensor], message_bytes: int, offset: int) -> None:
    if not tensors or offset > tensors[0].nbytes:
        offset = 0
    messages = list(frames(tensors, offset=offset, message_bytes=message_bytes))
    for message in messages:
        start = np.frombuffer(message, np.uint8).ctypes.data
        for place in payload_places(message):
            assert (start + place) % 8 == 0
    # A start in the middle of a value shifts nothing but the first piece.
    for piece in check_stream(messages, tensors, offset=offset)[-1].pieces[1:]:
        assert piece.offset % 8 == 0


def payload_places(message: bytes) -> list[int]:
    """Return the offsets of the payloads in a message."""
    places = []
    at = 0
    while at < len(message):
        tag, at = message[at], at + 1
        length, at = varint(message, at)
        end = at + length
        while tag == 0x0A and at < end:
            field, at = varint(message, at)
            if field & 7 == 0:
                _, at = varint(message, at)
            elif field & 7 == 5:
                at += 4
            else:
                length, at = varint(message, at)
                if field >> 3 == 15:
                    places.append(at)
                at += length
        at = end
    return places


def varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return value, at


@given(st.lists(blobs(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_each_header_has_the_checksum_of_the_request(tensors: list[ComputedTensor], checksum: int) -> None:
    pieces = [
        piece
        for message in frames(tensors, message_bytes=64, checksum=checksum)
        for piece in FillResponse.FromString(message).pieces
        if piece.HasField("header")
    ]
    for piece, tensor in zip(pieces, tensors, strict=True):
        header = blob_header(tensor)
        header.request_crc32c = checksum
        assert piece.header == header


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_numbers_of_any_length_keep_payloads_aligned(dtype: Any) -> None:
    # Blob number and offset need varints of one to five bytes.
    huge = flat_index_blob((2**40,), Region.flat((2**40,), 0, None), dtype)
    for blob in (0, 127, 128, 2**14, 2**21, 2**28):
        for offset in (0, 1, 2**7, 2**14 + 1, 2**21, 2**28, 2**35 + 1, 2**40):
            for at in range(8):
                piece = frames_module._lay_out(huge, blob, offset, 64, at, header=encoded_header(huge), last=False)
                assert piece.data_at % 8 == 0
                message = piece.framing + b"\x5a" * 64
                (parsed,) = FillResponse.FromString(message).pieces
                assert (parsed.blob, parsed.offset, parsed.data) == (blob, offset, b"\x5a" * 64)
                assert payload_places(message) == [len(piece.framing)]
                assert piece.data_at == at + len(piece.framing)


def test_no_varint_is_longer_than_parsers_of_32_bits_read() -> None:
    huge = flat_index_blob((2**40,))
    for blob in (0, 127, 2**14, 2**21):
        for at in range(8):
            piece = frames_module._lay_out(huge, blob, 0, 64, at, header=b"", last=False)
            position, lengths = 1, []
            while position < len(piece.framing):
                _, after = varint(piece.framing, position)
                lengths.append(after - position)
                position = after + (4 if piece.framing[position] == 0x25 and lengths[-1] == 1 else 0)
            assert max(lengths) <= 5


def test_values_are_computed_in_the_message_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [flat_index_blob((1000,)), flat_index_blob((50,), dtype=np.float64)]
    computed: list[tuple[int, int]] = []
    for tensor in tensors:
        compute = tensor._compute

        def watched(start: int, out: Any, compute: Any = compute) -> None:
            computed.append((out.ctypes.data, out.nbytes))
            compute(start, out)

        monkeypatch.setattr(tensor, "_compute", watched)
    (message,) = frames(tensors)
    start = np.frombuffer(message, np.uint8).ctypes.data
    assert [(address - start, size) for address, size in computed] == list(
        zip(payload_places(message), [4000, 400], strict=True)
    )


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


class Failing:
    """Lets a tensor fail after some bytes."""

    def __init__(self, tensor: ComputedTensor, after: int) -> None:
        self._read, self._after = tensor.read, after

    def __call__(self, start: int, out: Any) -> None:
        if start >= self._after:
            raise OSError("no more")
        self._read(start, out)


def test_an_error_while_generating_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = flat_index_blob((1000,))
    monkeypatch.setattr(tensor, "read", Failing(tensor, 500))
    stream = frames([tensor], message_bytes=1024)
    assert len(next(stream)) > 1024
    next(stream)
    with pytest.raises(OSError, match="no more"):
        next(stream)


def test_a_stream_holds_one_message_at_a_time() -> None:
    import tracemalloc

    tensor = flat_index_blob((64 << 20,))
    stream = frames([tensor])
    next(stream)
    tracemalloc.start()
    try:
        for _, _message in zip(range(20), stream, strict=False):
            pass
        # The index filler itself takes 16 bytes for each value of a message.
        assert tracemalloc.get_traced_memory()[1] < 10 * MESSAGE_BYTES
    finally:
        tracemalloc.stop()


def test_parsers_in_pure_python_read_long_varints() -> None:
    tensors = [flat_index_blob((5, 7), name="a/0"), flat_index_blob((3,), dtype=np.float16, name="b/0", owner="a/0")]
    messages = list(frames(tensors, offset=3, message_bytes=64))
    program = """
import json, sys
from google.protobuf.internal import api_implementation
assert api_implementation.Type() == "python"
from caffe_filler.v1 import filler_pb2
for line in sys.stdin:
    message = filler_pb2.FillResponse.FromString(bytes.fromhex(line))
    print(json.dumps([[p.blob, p.offset, p.crc32c, p.last, p.header.name, p.data.hex()] for p in message.pieces]))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(message.hex() for message in messages),
        env={"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        capture_output=True,
        text=True,
        check=True,
    )
    got = [json.loads(line) for line in result.stdout.splitlines()]
    want = [
        [[p.blob, p.offset, p.crc32c, p.last, p.header.name, p.data.hex()] for p in message.pieces]
        for message in check_stream(messages, tensors, offset=3)
    ]
    assert got == want
