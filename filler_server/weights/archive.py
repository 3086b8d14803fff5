"""Zip archives, which .npz files and those of PyTorch are: one uncompressed entry for each tensor."""

import contextlib
import zipfile
import zlib
from typing import IO

from caffe_filler.errors import LimitExceeded, WeightsError
from filler_server.weights.mapped import MappedFile
from filler_server.weights.writer import Tensor, Writer

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that equal tensors make equal files."""

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What is raised at an archive that is damaged."""

_MOST_ENTRIES = 1 << 18


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


class ArchiveWriter(Writer):
    """Writes an archive, the bytes of each tensor as an entry, which `_begin` begins."""

    _entry: IO[bytes] | None = None

    def _open(self) -> None:
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def _begin_entry(self, info: zipfile.ZipInfo) -> IO[bytes]:
        self._entry = self._archive.open(info, "w", force_zip64=True)
        return self._entry

    def _append(self, data: memoryview | bytes) -> None:
        if self._entry is not None:
            self._entry.write(data)

    def _end(self, tensor: Tensor) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None

    def _finish(self) -> None:
        self._archive.close()

    def _abandon(self) -> None:
        # Closing writes what a file would still need, which may have just failed.
        if self._entry is not None:
            with contextlib.suppress(OSError):
                self._entry.close()
        with contextlib.suppress(OSError):
            self._archive.close()
