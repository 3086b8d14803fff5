import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.wire import (
    I32,
    I64,
    LEN,
    VARINT,
    Malformed,
    fields,
    key,
    length_delimited,
    read_varint,
    signed,
    tag,
    varint,
)

uint64s = st.integers(0, 2**64 - 1)
numbers = st.integers(1, 2**29 - 1)
one_field = st.one_of(
    st.builds(lambda number, value: key(number, VARINT) + varint(value), numbers, uint64s),
    st.builds(lambda number, data: key(number, I32) + data, numbers, st.binary(min_size=4, max_size=4)),
    st.builds(lambda number, data: key(number, I64) + data, numbers, st.binary(min_size=8, max_size=8)),
    st.builds(length_delimited, numbers, st.binary(max_size=200)),
)


@given(st.lists(one_field, max_size=5).map(b"".join), st.binary(max_size=3), st.binary(max_size=3))
def test_fields_are_those_that_protobuf_reads(message: bytes, before: bytes, after: bytes) -> None:
    want = [
        (unknown.field_number, unknown.wire_type, unknown.data)
        for unknown in UnknownFieldSet(Empty.FromString(message))  # type: ignore[attr-defined]
    ]
    found = []
    for buffer in (before + message + after, memoryview(before + message + after)):
        for field, start, stop, value in fields(buffer, len(before), len(before) + len(message)):
            content = bytes(buffer[start:stop])
            kind = field & 7
            data = value if kind == VARINT else content if kind == LEN else int.from_bytes(content, "little")
            found.append((field >> 3, kind, data))
    assert found == 2 * want


@given(uint64s, st.binary(max_size=2))
def test_numbers_are_read_as_they_are_written(value: int, after: bytes) -> None:
    encoded = varint(value)
    assert read_varint(encoded + after, 0, len(encoded) + len(after)) == (value, len(encoded))
    with pytest.raises(Malformed):
        read_varint(encoded + after, 0, len(encoded) - 1)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (2**64 - 1, b"\xff" * 9 + b"\x01")],
)
def test_known_numbers(value: int, encoded: bytes) -> None:
    assert varint(value) == encoded
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


def test_what_is_over_64_bits_is_cut_off() -> None:
    assert read_varint(b"\xff" * 9 + b"\x7f", 0, 10) == (2**64 - 1, 10)


@pytest.mark.parametrize(
    ("value", "bits", "number"),
    [
        (0, 64, 0),
        (2**63 - 1, 64, 2**63 - 1),
        (2**63, 64, -(2**63)),
        (2**64 - 1, 64, -1),
        (2**31 - 1, 32, 2**31 - 1),
        (2**31, 32, -(2**31)),
        (2**32 + 7, 32, 7),
        (2**64 - 1, 32, -1),
    ],
)
def test_integers_with_a_sign(value: int, bits: int, number: int) -> None:
    assert signed(value, bits) == number


def test_keys() -> None:
    assert (tag(1, LEN), key(1, LEN)) == (0x0A, b"\x0a")
    assert (tag(100, LEN), key(100, LEN)) == (802, b"\xa2\x06")
    assert length_delimited(1, b"abc") == b"\x0a\x03abc"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a\x05ab", "expected 5 bytes and got 2 at byte 4"),
        (b"\x0a", "a number is not complete at byte 1"),
        (b"\x08\xff", "a number is not complete at byte 1"),
        (b"\x80", "a number is not complete at byte 0"),
        (b"\x08" + b"\xff" * 11, "a number is too long at byte 1"),
        (b"\x08" + b"\xff" * 10, "a number is too long at byte 1"),
        (b"\x0d\0\0", "expected 4 bytes and got 2 at byte 3"),
        (b"\x09" + bytes(7), "expected 8 bytes and got 7 at byte 8"),
        (b"\x0b\x0c", "wire type 3 is unknown at byte 1"),
    ],
)
def test_what_is_no_message(data: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        list(fields(data, 0, len(data)))
    assert str(caught.value) == words
    position = int(words.rpartition(" ")[2])
    assert (caught.value.position, caught.value.reason) == (position, words.removesuffix(f" at byte {position}"))


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_nothing_outside_of_the_message_is_read(data: bytes, start: int, stop: int) -> None:
    class Watched:
        def __getitem__(self, index: int) -> int:
            assert start <= index < stop
            return data[index]

    stop = min(stop, len(data))
    try:
        found = list(fields(Watched(), start, stop))
    except Malformed:
        return
    assert all(start < begin <= end <= stop for _, begin, end, _ in found)
