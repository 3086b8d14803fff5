"""Protobuf's wire format over a mapped file: messages of any size, walked field by field without reading their data.

protobuf itself reads no message of 2 GiB or more, and copies what it reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caffe_filler.errors import LimitExceeded, WeightsError
from caffe_filler.varint import varint
from filler_server.weights.mapped import MappedFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

MOST_FIELDS = 1 << 21
"""Fields of one file, but for runs of one field; nets that are known have less than a tenth."""

_FIRST_STEP = 1 << 10
_LAST_STEP = 1 << 24


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, or a run of equal fields of numbers.

    Attributes:
        number: its number.
        wire_type: how it is written.
        start: byte at which its key stands.
        data: byte at which its value starts.
        stop: byte behind it.
        value: of a varint its value, else 0.
        count: how many such fields of fixed length follow each other without anything between.
    """

    number: int
    wire_type: int
    start: int
    data: int
    stop: int
    value: int = 0
    count: int = 1


class Walker:
    """Walks the messages of one file and counts what it meets."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._fields = 0

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """Yield the fields of the message that lies at start <= byte < stop.

        Raises:
            WeightsError: there lies no message, or only a part of one.
            LimitExceeded: the file has more than `MOST_FIELDS`.
        """
        position = start
        while position < stop:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise LimitExceeded.over("fields", MOST_FIELDS, self._fields)
            field = self._field(position, stop)
            yield field
            position = field.stop

    def varints(self, start: int, stop: int, *, most: int) -> Iterator[int]:
        """Yield the numbers that are packed there, at most so many.

        Raises:
            WeightsError: there lies something else.
        """
        position = start
        for _ in range(most):
            if position >= stop:
                return
            value, position = self._varint(position, stop)
            yield value

    def _field(self, start: int, stop: int) -> Field:
        key, data = self._varint(start, stop)
        number, wire_type = key >> 3, key & 7
        if number == 0 or number >= 1 << 29:
            raise self._broken(start, "no field has this number")
        if wire_type == VARINT:
            value, end = self._varint(data, stop)
            return Field(number, wire_type, start, data, end, value)
        if wire_type == BYTES:
            length, data = self._varint(data, stop)
            if length > stop - data:
                raise self._broken(start, f"{length} bytes should follow, and {stop - data} are there")
            return Field(number, wire_type, start, data, data + length)
        if wire_type not in (FIXED32, FIXED64):
            raise self._broken(start, "no field is written like this")
        end = data + (4 if wire_type == FIXED32 else 8)
        if end > stop:
            raise self._broken(start, f"{end - data} bytes should follow, and {stop - data} are there")
        count = self._run(start, data, end, stop)
        return Field(number, wire_type, start, data, start + count * (end - start), count=count)

    def _run(self, start: int, data: int, end: int, stop: int) -> int:
        """Count the fields with the same key from `start` on, which all have one length."""
        stride, possible = end - start, (stop - start) // (end - start)
        key = np.frombuffer(self._file.read(start, data), np.uint8)
        count, step = 1, _FIRST_STEP
        while count < possible:
            ahead = min(step, possible - count)
            first = start + count * stride
            same = np.ones(ahead, bool)
            for index, byte in enumerate(key):
                same &= self._file.array(first + index, ahead, np.dtype(np.uint8), stride) == byte
            self._file.release(first, ahead * stride)
            matching = ahead if same.all() else int(same.argmin())
            count += matching
            if matching < ahead:
                break
            step = min(2 * step, _LAST_STEP)
        return count

    def _varint(self, position: int, stop: int) -> tuple[int, int]:
        value = 0
        for index in range(10):
            if position + index >= stop:
                raise self._broken(position, "a number is not complete")
            byte = self._file[position + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
        raise self._broken(position, "a number is too long")

    def _broken(self, position: int, what: str) -> WeightsError:
        return WeightsError(
            f"the file is damaged or cut short: at byte {position} {what}. Received: {self._file.size} bytes"
        )


def key(number: int, wire_type: int) -> bytes:
    """Return the key of a field."""
    return varint(number << 3 | wire_type)


def lengthy(number: int, content: bytes) -> bytes:
    """Return a field of bytes, such as a message."""
    return key(number, BYTES) + varint(len(content)) + content
