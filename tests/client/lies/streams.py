"""Lies about the blobs of a stream."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from crc32c import crc32c

from caffe_filler.caffe.caffe_pb2 import BlobShape
from caffe_filler.v1 import filler_pb2

Messages = list[filler_pb2.FillResponse]

HUGE = 1 << 60


def pieces_of(messages: Messages) -> Iterator[filler_pb2.Piece]:
    for message in messages:
        yield from message.pieces


def in_headers(change: Callable[[filler_pb2.BlobHeader], None]) -> Callable[[Any, Messages], Messages]:
    """A lie in the header of every blob."""

    def lie(_: Any, messages: Messages) -> Messages:
        for piece in pieces_of(messages):
            if piece.HasField("header"):
                change(piece.header)
        return messages

    return lie


def in_pieces(change: Callable[[filler_pb2.Piece], None]) -> Callable[[Any, Messages], Messages]:
    """A lie in every piece."""

    def lie(_: Any, messages: Messages) -> Messages:
        for piece in pieces_of(messages):
            change(piece)
        return messages

    return lie


def in_stream_header(change: Callable[[filler_pb2.StreamHeader], None]) -> Callable[[Any, Messages], Messages]:
    """A lie in the header of the stream."""

    def lie(_: Any, messages: Messages) -> Messages:
        change(messages[0].header)
        return messages

    return lie


def another_name(header: filler_pb2.BlobHeader) -> None:
    header.name = "another"


def transposed(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim[:] = header.shape.dim[::-1]


def one_axis(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim[:] = [header.bytes // 4]


def another_dtype(header: filler_pb2.BlobHeader) -> None:
    """Half as many bytes a value, and twice as many values."""
    header.dtype = filler_pb2.BFLOAT16
    header.shape.dim[0] *= 2


def unknown_dtype(header: filler_pb2.BlobHeader) -> None:
    header.dtype = 77  # type: ignore[assignment]


def a_part(header: filler_pb2.BlobHeader) -> None:
    """Says that the bytes are the second half of a blob of twice the size."""
    rows = header.shape.dim[0]
    header.shape.dim[0] = 2 * rows
    header.region.box.axes.add(start=rows, stop=2 * rows)


def flat(header: filler_pb2.BlobHeader) -> None:
    header.region.flat.stop = header.bytes // 4


def outside(header: filler_pb2.BlobHeader) -> None:
    header.region.flat.start = 1 << 40
    header.region.flat.stop = (1 << 40) + header.bytes // 4


def huge(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim[:] = [HUGE // 4]
    header.bytes = HUGE


def beyond_any_address(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim[:] = [1 << 62, 1 << 62]
    header.bytes = (1 << 64) - 4


def negative(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim[:] = [-1, -(header.bytes // 4)]


def many_axes(header: filler_pb2.BlobHeader) -> None:
    header.shape.dim.extend([1] * 1_000_000)


def an_owner(header: filler_pb2.BlobHeader) -> None:
    header.owner = "somebody"


def longer(header: filler_pb2.BlobHeader) -> None:
    header.bytes += 4


def a_long_name(header: filler_pb2.BlobHeader) -> None:
    header.name = "x" * (20 << 20)


def twice(header: filler_pb2.BlobHeader) -> None:
    header.name = "the same"


def wrong_checksum(piece: filler_pb2.Piece) -> None:
    piece.crc32c ^= 1


def shifted(piece: filler_pb2.Piece) -> None:
    if piece.offset:
        piece.offset -= 4


def never_last(piece: filler_pb2.Piece) -> None:
    piece.last = False


def always_last(piece: filler_pb2.Piece) -> None:
    piece.last = True


def without_header(piece: filler_pb2.Piece) -> None:
    piece.ClearField("header")


def of_the_next_blob(piece: filler_pb2.Piece) -> None:
    piece.blob += 1


def more_blobs(header: filler_pb2.StreamHeader) -> None:
    header.blobs += 1


def most_blobs(header: filler_pb2.StreamHeader) -> None:
    header.blobs = 2**32 - 1


def fewer_bytes(header: filler_pb2.StreamHeader) -> None:
    header.bytes = 1


def more_bytes(header: filler_pb2.StreamHeader) -> None:
    header.bytes += 1


def extra_blob(_: Any, messages: Messages) -> Iterable[filler_pb2.FillResponse]:
    yield from messages
    number = messages[0].header.blobs
    header = filler_pb2.BlobHeader(name="extra", shape=BlobShape(dim=[1]), bytes=4)
    piece = filler_pb2.Piece(blob=number, header=header, data=bytes(4), crc32c=crc32c(bytes(4)), last=True)
    yield filler_pb2.FillResponse(pieces=[piece])


def last_piece_again(_: Any, messages: Messages) -> Messages:
    again = filler_pb2.Piece(offset=192, data=bytes(24), crc32c=crc32c(bytes(24)), last=True)
    return [*messages, filler_pb2.FillResponse(pieces=[again])]


def ends_early(_: Any, messages: Messages) -> Messages:
    return messages[:1]


def nothing(_: Any, messages: Messages) -> Messages:
    return []


def another_order(_: Any, messages: Messages) -> Messages:
    """The last blob in place of the first."""
    last = next(message for message in reversed(messages) if message.pieces[0].HasField("header"))
    first = copy.deepcopy(last)
    first.pieces[0].blob = 0
    first.header.CopyFrom(messages[0].header)
    return [first, *messages[1:]]


def endless_pieces(_: Any, messages: Messages) -> Iterable[filler_pb2.FillResponse]:
    """Goes on where the first blob should end."""
    yield messages[0]
    piece = messages[0].pieces[0]
    for offset in itertools.count(len(piece.data), len(piece.data)):
        more = filler_pb2.Piece(offset=offset, data=piece.data, crc32c=piece.crc32c)
        yield filler_pb2.FillResponse(pieces=[more])


def endless_empty_messages(_: Any, messages: Messages) -> Iterable[Any]:
    yield messages[0]
    yield from itertools.repeat(b"")


def endless_headers(_: Any, messages: Messages) -> Iterable[Any]:
    yield from itertools.repeat(filler_pb2.FillResponse(header=messages[0].header))


def endless_empty_pieces(_: Any, messages: Messages) -> Iterable[Any]:
    yield messages[0]
    yield from itertools.repeat(filler_pb2.FillResponse(pieces=[filler_pb2.Piece(offset=64)]))


def endless_blobs(_: Any, messages: Messages) -> Iterable[Any]:
    """Blobs of other names, without ever a header of the stream."""
    for number in itertools.count():
        header = filler_pb2.BlobHeader(name=f"blob{number}", shape=BlobShape(dim=[1]), bytes=4)
        piece = filler_pb2.Piece(blob=number, header=header, data=bytes(4), crc32c=crc32c(bytes(4)), last=True)
        yield filler_pb2.FillResponse(pieces=[piece])


def garbage(_: Any, messages: Messages) -> Iterable[Any]:
    yield b"\xff" * 100


def large_garbage(_: Any, messages: Messages) -> Iterable[Any]:
    yield b"\x0a\xff\xff\xff\xff\x0f" + bytes(1 << 20)


def millions_of_empty_pieces(_: Any, messages: Messages) -> Iterable[Any]:
    yield b"\x0a\x00" * (30 << 20)


def too_large_a_message(_: Any, messages: Messages) -> Iterable[Any]:
    yield bytes(65 << 20)


def text_that_is_none(_: Any, messages: Messages) -> Iterable[Any]:
    """A name that is not UTF-8."""
    yield messages[0].SerializeToString().replace(b"name", b"\xff\xfe\xff\xfe")


FILL: dict[str, tuple[Any, str]] = {
    "another name": (in_headers(another_name), r"asked for as name='name', .* Received: name='another', "),
    "another shape": (in_headers(transposed), r"shape=\[6, 9\], region=whole, .* Received: .*shape=\[9, 6\], "),
    "fewer axes": (in_headers(one_axis), r"shape=\[6, 9\], .* Received: .*shape=\[54\], "),
    "another dtype": (in_headers(another_dtype), "dtype=FLOAT32. Received: .*dtype=BFLOAT16, "),
    "an unknown dtype": (in_headers(unknown_dtype), "contradicts itself. Received: .*dtype=77, "),
    "another region": (in_headers(a_part), r"asked for as .*region=whole.* Received: .*region=\[6:12\], "),
    "a flat region": (in_headers(flat), r"asked for as .*region=whole.* Received: .*region=flat:0:54, "),
    "a region outside of the blob": (in_headers(outside), "contradicts itself. Received: .*region=flat:1099511627776:"),
    "2^60 bytes": (in_headers(huge), rf"asked for as .*shape=\[6, 9\].* Received: .*bytes={HUGE}$"),
    "more than 2^64 bytes": (in_headers(beyond_any_address), "contradicts itself. Received: .*shape="),
    "negative dimensions": (in_headers(negative), r"contradicts itself. Received: .*shape=\[-1, -54\]"),
    "a million axes": (in_headers(many_axes), "at most 32 axes. Received: .* of 1000002 axes"),
    "an owner": (in_headers(an_owner), "asked for as .*Received: .*owner='somebody'"),
    "more bytes than values": (in_headers(longer), "contradicts itself. Received: .*bytes=220"),
    "a name of 20 MiB": (in_headers(a_long_name), r"asked for as name='name'.* Received: name='x{200}\.\.\.'"),
    "a wrong checksum": (in_pieces(wrong_checksum), "the checksum of 64 bytes at offset 0 of blob 0 is wrong"),
    "pieces that overlap": (in_pieces(shifted), "byte 64 of blob 0 should follow. Received: byte 60 of blob 0"),
    "no last piece": (in_pieces(never_last), "has 216 bytes. Received: a piece that ends at 216"),
    "only last pieces": (in_pieces(always_last), "has 216 bytes. Received: a piece that ends at 64"),
    "no header": (in_pieces(without_header), "blob 0 came without a header"),
    "another number of the blob": (in_pieces(of_the_next_blob), "byte 0 of blob 0 should follow. .*of blob 1"),
    "more blobs announced": (in_stream_header(more_blobs), "1 blob was asked for. Received: a stream of 2"),
    "2^32 - 1 blobs announced": (
        in_stream_header(most_blobs),
        "1 blob was asked for. Received: a stream of 4294967295",
    ),
    "fewer bytes announced": (in_stream_header(fewer_bytes), "announced 1 bytes. Received: 64 bytes"),
    "more bytes announced": (in_stream_header(more_bytes), "announced [0-9]+ bytes. Received: [0-9]+ bytes"),
    "one blob more": (extra_blob, "1 blob was asked for. Received: blob 1 after the last one"),
    "the last piece again": (last_piece_again, "1 blob was asked for. Received: blob 0 after the last one"),
    "an early end": (ends_early, "the stream ended after 0 of 1 blobs"),
    "nothing": (nothing, "the stream ended after 0 of 1 blobs"),
    "a blob without end": (endless_pieces, "has 216 bytes. Received: a piece that ends at 256"),
    "empty messages without end": (endless_empty_messages, "should follow. Received: a message without pieces"),
    "headers without end": (endless_headers, "byte 0 of blob 0 should follow. Received: a message without pieces"),
    "empty pieces without end": (endless_empty_pieces, "has 216 bytes. Received: a piece that ends at 64"),
    "blobs without end": (endless_blobs, "asked for as name='name'.* Received: name='blob0'"),
    "no message": (garbage, "a message of 100 bytes is not a FillResponse"),
    "no large message": (large_garbage, "a message of [0-9,]+ bytes is not a FillResponse"),
    "30 million empty pieces": (millions_of_empty_pieces, "blob 0 came without a header"),
    "a message over 64 MiB": (too_large_a_message, "larger than max"),
    "a name that is no text": (text_that_is_none, "a message of [0-9,]+ bytes is not a FillResponse"),
}
"""Lies about one blob `name` of shape [6, 9], and what the client says of them."""

NET: dict[str, tuple[Any, str]] = {
    "another dtype": (in_headers(another_dtype), "dtype=FLOAT32. Received: .*dtype=BFLOAT16, "),
    "another region": (in_headers(a_part), "asked for as region=whole.* Received: .*region="),
    "a flat region": (in_headers(flat), "asked for as region=whole.* Received: .*region=flat:0:"),
    "a name twice": (in_headers(twice), "each blob of a net was asked for once. Received: 'the same' as blob 0 and as"),
    "a name of 20 MiB": (in_headers(a_long_name), r"Received: name='x{200}\.\.\.'"),
    "2^60 bytes": (in_headers(huge), rf"of shape \[{HUGE // 4}\] and dtype float32 does not fit in memory"),
    "2^32 - 1 blobs announced": (
        in_stream_header(most_blobs),
        "of a net of [0-9]+ bytes were asked for. Received: a stream of 4294967295",
    ),
    "more blobs announced": (in_stream_header(more_blobs), "the stream ended after 4 of 5 blobs"),
    "one blob more": (extra_blob, "4 blobs were asked for. Received: blob 4 after the last one"),
    "an early end": (ends_early, "the stream ended after 0 of 4 blobs"),
    "blobs without end": (endless_blobs, "of a net of [0-9]+ bytes were asked for. Received: a stream of [0-9]+"),
    "headers without end": (endless_headers, "Received: a message without pieces"),
    "30 million empty pieces": (millions_of_empty_pieces, "blob 0 came without a header"),
}
"""Lies about the four blobs of a whole net of which the client knows no plan."""

PLANNED: dict[str, tuple[Any, str]] = {
    "another name": (in_headers(another_name), "blob 0 was asked for as name='one/0', .* Received: name='another'"),
    "another shape": (in_headers(one_axis), r"asked for as name='one/0', shape=\[9, 6\], .* Received: .*shape=\[54\]"),
    "another order": (another_order, "blob 0 was asked for as name='one/0', .* Received: name='two/1'"),
    "an owner": (in_headers(an_owner), "asked for as name='one/0'.*Received: .*owner='somebody'"),
    "2^60 bytes": (in_headers(huge), rf"asked for as name='one/0', .* Received: .*bytes={HUGE}$"),
    "more blobs announced": (in_stream_header(more_blobs), "4 blobs were asked for. Received: a stream of 5"),
}
"""Lies about a net of which the client has the plan."""

SELECTED: dict[str, tuple[Any, str]] = {
    "another name": (in_headers(another_name), "blob 0 was asked for as name='two/0', .* Received: name='another'"),
    "the whole": (in_headers(lambda header: header.ClearField("region")), "contradicts itself|asked for as"),
    "another order": (another_order, "blob 0 was asked for as name='two/0', .* Received: name='one/1'"),
    "more blobs announced": (in_stream_header(more_blobs), "2 blobs were asked for. Received: a stream of 3"),
}
"""Lies about a region of the blob `two/0`, and the blob `one/1`."""
