from collections.abc import Iterable, Iterator
from itertools import cycle

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import BlobShape
from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2
from filler_client._answer import ExpectedStream
from filler_client._backend import Piece, StreamRequest
from filler_client._resume import StreamPosition


def position_of(request: StreamRequest) -> StreamPosition:
    """The position at the start of a request."""
    return StreamPosition(ExpectedStream(request))


def whole_net(net: bytes = b"a net of which nothing is known") -> filler_pb2.FillNetRequest:
    """The request for all blobs of some net."""
    return filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=net))


NO_VALUES = filler_pb2.Region(flat=filler_pb2.Range(stop=0))


def header(name: str, count: int) -> filler_pb2.BlobHeader:
    """The header of a float32 blob; one without values is a region of one."""
    region = None if count else NO_VALUES
    return filler_pb2.BlobHeader(name=name, shape=BlobShape(dim=[count or 1]), region=region, bytes=4 * count)


def spec(name: str, count: int) -> filler_pb2.BlobSpec:
    """Return the request for the blob of `header`."""
    region = None if count else NO_VALUES
    return filler_pb2.BlobSpec(name=name, shape=BlobShape(dim=[count or 1]), region=region)


def piece(
    blob: int, offset: int, data: bytes, *, last: bool = False, head: filler_pb2.BlobHeader | None = None
) -> Piece:
    """A piece of the wire with the right checksum."""
    return filler_pb2.Piece(blob=blob, offset=offset, data=data, last=last, crc32c=crc32c(data), header=head)  # type: ignore[return-value]


def message(*pieces: object, blobs: int | None = None) -> bytes:
    """An encoded message, the first of a stream where `blobs` is given."""
    stream_header = None if blobs is None else filler_pb2.StreamHeader(blobs=blobs)
    return filler_pb2.FillResponse(pieces=pieces, header=stream_header).SerializeToString()  # type: ignore[arg-type]


class Server:
    """Streams some blobs from any place in pieces of any length."""

    def __init__(self, blobs: list[bytes]) -> None:
        self.blobs = blobs

    def stream(self, start: filler_pb2.Position, lengths: Iterator[int]) -> Iterator[bytes]:
        blobs: int | None = len(self.blobs)
        offset = start.offset
        for blob in range(start.blob, len(self.blobs)):
            data = self.blobs[blob]
            head: filler_pb2.BlobHeader | None = header(f"blob{blob}", len(data) // 4)
            while True:
                part = data[offset : offset + next(lengths)]
                last = offset + len(part) == len(data)
                yield message(piece(blob, offset, part, last=last, head=head), blobs=blobs)
                offset, blobs, head = offset + len(part), None, None
                if last:
                    break
            offset = 0
        if blobs is not None:
            yield message(blobs=blobs)


@given(
    st.lists(st.binary(max_size=10).map(lambda data: data * 4), max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
def test_connections_that_break_anywhere_give_every_byte_once(
    blobs: list[bytes], lengths: list[int], messages: list[int]
) -> None:
    server = Server(blobs)
    request = filler_pb2.FillRequest(blobs=[spec(f"blob{number}", len(data) // 4) for number, data in enumerate(blobs)])
    position = position_of(request)
    received: list[bytearray] = [bytearray() for _ in blobs]
    finished: list[str] = []
    for budget in cycle(messages):
        position.set_start(request)
        for taken, encoded in enumerate(server.stream(request.start, cycle(lengths))):
            if taken == budget:
                break
            for part in position.read(encoded):
                number = int(part.header.name.removeprefix("blob"))
                assert part.offset == len(received[number])
                received[number] += part.data
                if part.last:
                    finished.append(part.header.name)
        else:
            position.check_complete()
            break
        if len(finished) < len(blobs):
            with pytest.raises(DataLoss, match=f"the stream ended after {len(finished)} of {len(blobs)} blobs"):
                position.check_complete()
    assert [bytes(part) for part in received] == blobs
    assert finished == [f"blob{number}" for number in range(len(blobs))]


def test_a_request_keeps_its_own_start() -> None:
    request = whole_net()
    request.start.blob, request.start.offset = 2, 4
    position = position_of(request)
    position.set_start(request)
    assert request.start == filler_pb2.Position(blob=2, offset=4)
    first = message(piece(2, 4, b"tail", last=True, head=header("c", 2)), blobs=3)
    assert [(part.offset, bytes(part.data), part.last) for part in position.read(first)] == [(4, b"tail", True)]
    position.check_complete()


def test_a_request_from_the_beginning_has_no_start() -> None:
    request = whole_net()
    position_of(request).set_start(request)
    assert not request.HasField("start")


def test_the_position_moves_when_a_piece_is_taken_and_not_before() -> None:
    position = position_of(whole_net())
    request = whole_net()
    parts = position.read(message(piece(0, 0, b"1234", head=header("a", 2)), piece(0, 4, b"5678", last=True), blobs=1))
    next(parts)
    position.set_start(request)
    assert not request.HasField("start")
    next(parts)
    position.set_start(request)
    assert request.start == filler_pb2.Position(blob=0, offset=4)
    assert list(parts) == []
    position.set_start(request)
    assert request.start == filler_pb2.Position(blob=1, offset=0)


def flipped(encoded: bytes, data: bytes) -> bytes:
    at = encoded.index(data)
    return encoded[:at] + bytes([encoded[at] ^ 4]) + encoded[at + 1 :]


def box(*lengths: int) -> filler_pb2.Region:
    """A region as in a header."""
    return filler_pb2.Region(box=filler_pb2.Box(axes=[filler_pb2.Range(start=1, stop=1 + n) for n in lengths]))


A = header("a", 2)
WRONG = {
    "a changed bit": (
        [flipped(message(piece(0, 0, b"ABCDEFGH", last=True, head=A)), b"ABCD")],
        "the checksum of 8 bytes",
    ),
    "another blob": ([message(piece(1, 0, b"12345678", last=True, head=A))], "Received: byte 0 of blob 1$"),
    "another place": ([message(piece(0, 4, b"5678", last=True, head=A))], "byte 0 of blob 0 should follow"),
    "a gap": ([message(piece(0, 0, b"12", head=A), piece(0, 4, b"5678", last=True))], "Received: byte 4 of blob 0$"),
    "a doubled piece": ([message(piece(0, 0, b"12", head=A))] * 2, "byte 2 of blob 0 should follow. Received: byte 0"),
    "no header": ([message(piece(0, 0, b"12345678", last=True))], "blob 0 came without a header"),
    "too many bytes": ([message(piece(0, 0, b"123456789", last=True, head=A))], "Received: a piece that ends at 9"),
    "last too early": ([message(piece(0, 0, b"1234", last=True, head=A))], "blob 'a' has 8 bytes. Received"),
    "no last": ([message(piece(0, 0, b"12345678", head=A))], "blob 'a' has 8 bytes. Received: a piece that ends at 8"),
    "a piece of nothing": ([message(piece(0, 0, b"", head=A))], "Received: a piece that ends at 0"),
    "another header": (
        [message(piece(0, 0, b"1234", head=A)), message(piece(0, 4, b"5678", last=True, head=header("b", 2)))],
        "blob 'a' came with another header after the connection broke",
    ),
    "another number of blobs": ([message(blobs=2), message(blobs=3)], "had 2 blobs before. Received: 3"),
    "garbage": ([b"\xff\xff"], "a message of 2 bytes is not a FillResponse"),
    "bytes that are not those of the shape": (
        [message(piece(0, 0, b"", head=filler_pb2.BlobHeader(name="a", shape=BlobShape(dim=[2]), bytes=4)))],
        "the header of blob 0 contradicts itself. Received: ",
    ),
    "bytes that are not those of the region": (
        [
            message(
                piece(0, 0, b"", head=filler_pb2.BlobHeader(shape=BlobShape(dim=[9, 9]), region=box(2, 3), bytes=20))
            )
        ],
        "the header of blob 0 contradicts itself. Received: ",
    ),
    "a region that ends before it starts": (
        [
            message(
                piece(0, 0, b"", head=filler_pb2.BlobHeader(shape=BlobShape(dim=[9, 9]), region=box(-1, -1), bytes=4))
            )
        ],
        "the header of blob 0 contradicts itself. Received: ",
    ),
    "an unknown dtype": (
        [message(piece(0, 0, b"", head=filler_pb2.BlobHeader(shape=BlobShape(dim=[1]), dtype=9, bytes=4)))],  # type: ignore[arg-type]
        "the header of blob 0 contradicts itself. Received: ",
    ),
}


@pytest.mark.parametrize(("messages", "text"), WRONG.values(), ids=WRONG.keys())
def test_what_is_not_the_stream_that_should_come(messages: Iterable[bytes], text: str) -> None:
    position = position_of(whole_net())
    with pytest.raises(DataLoss, match=text):
        for encoded in messages:
            for _ in position.read(encoded):
                pass


def test_after_a_wrong_piece_the_stream_goes_on_before_it() -> None:
    position = position_of(whole_net())
    request = whole_net()
    good = message(piece(0, 0, b"1234", head=A), blobs=1)
    for encoded in (good, flipped(message(piece(0, 4, b"5678", last=True)), b"5678")):
        try:
            list(position.read(encoded))
        except DataLoss:
            position.set_start(request)
    assert request.start == filler_pb2.Position(blob=0, offset=4)
    (part,) = position.read(message(piece(0, 4, b"5678", last=True, head=A), blobs=1))
    assert bytes(part.data) == b"5678"
    position.check_complete()


def test_a_stream_without_a_message_is_not_complete() -> None:
    with pytest.raises(DataLoss, match="ended after 0 of None blobs"):
        position_of(whole_net()).check_complete()


def test_a_stream_that_ends_within_a_blob_is_not_complete() -> None:
    position = position_of(whole_net())
    list(position.read(message(piece(0, 0, b"1234", head=A), blobs=1)))
    with pytest.raises(DataLoss):
        position.check_complete()
