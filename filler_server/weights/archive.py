"""Zip archives, which .npz files and those of PyTorch are: one uncompressed entry for each tensor."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from caffe_filler.errors import InvalidArgument, LimitExceeded, WeightsError
from filler_server.tensors import Tensor
from filler_server.weights.mapped import MappedFile
from filler_server.weights.writer import Writer

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)
"""Errors at an archive that is damaged; OSError where a length or place is none."""

_MOST_ENTRIES = 1 << 18

_VERSION = 45
"""The version of the format that first had lengths of 64 bits."""

_UNIX, _FILE_MODE = 3, 0o600 << 16
_MIDNIGHT, _EPOCH = 0, 1 << 5 | 1
"""The time of every entry: the first of January 1980."""

_UTF8 = 1 << 11
"""Flag of a name that is not ASCII."""

_ZIP64_FIELD = 1
_UNKNOWN = 0xFFFF_FFFF
"""In place of a length or offset that stands in a field of 64 bits."""

_LONGEST, _MOST_SHORT = (1 << 31) - 1, (1 << 16) - 1
"""From here on lengths and places, and the number of entries, take such a field."""

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")


def open_archive(file: MappedFile) -> zipfile.ZipFile:
    """Return a zip archive, of which the directory is read.

    Raises:
        WeightsError: it is damaged.
        LimitExceeded: it has too many entries.
    """
    try:
        archive = zipfile.ZipFile(file.reader())
    except DAMAGE as error:
        raise WeightsError(f"the file is a zip archive that is damaged or cut short: {error}") from None
    if len(archive.infolist()) > _MOST_ENTRIES:
        raise LimitExceeded.over("entries", _MOST_ENTRIES, len(archive.infolist()))
    return archive


@dataclass(slots=True)
class _Entry:
    """An uncompressed entry: its name, its own extra fields, where it starts, its length and checksum."""

    name: bytes
    extra: bytes
    offset: int
    nbytes: int = 0
    crc: int = 0

    @property
    def _flags(self) -> int:
        return 0 if self.name.isascii() else _UTF8

    def local_header(self) -> bytes:
        extra = self.extra + _wide_field(self.nbytes, self.nbytes)
        fixed = _LOCAL.pack(
            b"PK\x03\x04",
            _VERSION,
            self._flags,
            zipfile.ZIP_STORED,
            _MIDNIGHT,
            _EPOCH,
            self.crc,
            _UNKNOWN,
            _UNKNOWN,
            len(self.name),
            len(extra),
        )
        return fixed + self.name + extra

    def central_header(self) -> bytes:
        wide = [self.nbytes, self.nbytes] if self.nbytes > _LONGEST else []
        if self.offset > _LONGEST:
            wide.append(self.offset)
        extra = (_wide_field(*wide) if wide else b"") + self.extra
        nbytes = min(self.nbytes, _UNKNOWN) if self.nbytes <= _LONGEST else _UNKNOWN
        fixed = _CENTRAL.pack(
            b"PK\x01\x02",
            _UNIX << 8 | _VERSION,
            _VERSION,
            self._flags,
            zipfile.ZIP_STORED,
            _MIDNIGHT,
            _EPOCH,
            self.crc,
            nbytes,
            nbytes,
            len(self.name),
            len(extra),
            0,
            0,
            0,
            _FILE_MODE,
            self.offset if self.offset <= _LONGEST else _UNKNOWN,
        )
        return fixed + self.name + extra


def _wide_field(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", _ZIP64_FIELD, 8 * len(values), *values)


class ArchiveWriter(Writer):
    """Writes an archive, the bytes of each tensor as an entry, which `_begin` begins.

    Equal entries make equal bytes, which Python's own writer does not in all its versions. Every entry has lengths of
    64 bits in front of it (APPNOTE.TXT 6.3.10, 4.3 and 4.5.3).
    """

    def _open(self) -> None:
        if not self._file.seekable():
            raise InvalidArgument(f"a zip archive is written to a file, not to a pipe. Received: {self._file}")
        self._entries: list[_Entry] = []

    def _begin_entry(self, name: str, extra: Callable[[int], bytes] = lambda start: b"") -> None:
        """Begin an entry; `extra` makes its extra fields from where its data would start without them."""
        entry = _Entry(name.encode(), b"", self._file.tell())
        entry.extra = extra(entry.offset + len(entry.local_header()))
        self._entries.append(entry)
        self._file.write(entry.local_header())

    def _append(self, data: memoryview | bytes) -> None:
        self._file.write(data)
        entry = self._entries[-1]
        entry.nbytes += memoryview(data).nbytes
        entry.crc = zlib.crc32(data, entry.crc)

    def _end_entry(self) -> None:
        entry = self._entries[-1]
        end = self._file.tell()
        self._file.seek(entry.offset)
        self._file.write(entry.local_header())
        self._file.seek(end)

    def _end(self, tensor: Tensor) -> None:
        self._end_entry()

    def _finish(self) -> None:
        start = self._file.tell()
        for entry in self._entries:
            self._file.write(entry.central_header())
        end = self._file.tell()
        count, length = len(self._entries), end - start
        if count > _MOST_SHORT or start > _LONGEST or length > _LONGEST:
            self._file.write(
                _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _VERSION, _VERSION, 0, 0, count, count, length, start)
            )
            self._file.write(_LOCATOR_64.pack(b"PK\x06\x07", 0, end, 1))
            count, length, start = min(count, _MOST_SHORT), min(length, _UNKNOWN), min(start, _UNKNOWN)
        self._file.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, length, start, 0))
