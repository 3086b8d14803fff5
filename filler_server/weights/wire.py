"""Binary messages of any size in a mapped file, walked field by field without reading their data.

protobuf itself reads no message of 2 GiB or more, and copies what it reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caffe_filler.errors import LimitExceeded, WeightsError
from caffe_filler.printable import counted
from caffe_filler.wire import I32, I64, Malformed, fields, read_varint
from filler_server.weights.mapped import MappedFile

MOST_FIELDS = 1 << 21
"""Fields of one file, but for runs of one field; nets that are known have less than a tenth."""

_NUMBERS = range(1, 1 << 29)

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
        stop: byte after it.
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
        while start < stop:
            try:
                for tag, data, end, value in fields(self._file.view, start, stop):
                    self._fields += 1
                    if self._fields > MOST_FIELDS:
                        raise LimitExceeded.over("fields", MOST_FIELDS, self._fields)
                    number, wire_type = tag >> 3, tag & 7
                    if number not in _NUMBERS:
                        raise self._damaged(Malformed(start, f"{number} is the number of no field"))
                    count = self._run(start, data, end, stop) if wire_type in (I32, I64) else 1
                    field = Field(number, wire_type, start, data, start + count * (end - start), value, count)
                    yield field
                    start = field.stop
                    if count > 1:
                        break
            except Malformed as error:
                raise self._damaged(error) from None

    def varints(self, start: int, stop: int, *, most: int) -> Iterator[int]:
        """Yield the numbers that are packed there, at most so many.

        Raises:
            WeightsError: there lies something else.
        """
        for _ in range(most):
            if start >= stop:
                return
            try:
                value, start = read_varint(self._file.view, start, stop)
            except Malformed as error:
                raise self._damaged(error) from None
            yield value

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

    def _damaged(self, error: Malformed) -> WeightsError:
        return WeightsError(f"the file is damaged or cut short: {error}. Received: {counted(self._file.size, 'byte')}")
