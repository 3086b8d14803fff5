"""NumPy's .npz: an uncompressed zip archive with one .npy for each tensor."""

import contextlib
import zipfile
from typing import IO

from caffe_filler.errors import FieldViolation, InvalidArgument
from filler_server.weights.npy import check_dtype, write_header
from filler_server.weights.writer import Tensor, Writer

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that equal tensors make equal files."""

_LONGEST_NAME = 65_000
"""In bytes; a zip archive ends at 65535, the ending included."""


class NpzWriter(Writer):
    """Writes a .npz file, which `numpy.load` opens."""

    def _open(self) -> None:
        for tensor in self._tensors:
            check_dtype(tensor, "npz")
            _check_name(tensor.name)
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._entry: IO[bytes] | None = None

    def _begin(self, tensor: Tensor) -> None:
        entry = zipfile.ZipInfo(f"{tensor.name}.npy", _EPOCH)
        self._entry = self._archive.open(entry, "w", force_zip64=True)
        write_header(self._entry, tensor)

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
        # Closing writes what a file would still need, which may be what has just failed.
        if self._entry is not None:
            with contextlib.suppress(OSError):
                self._entry.close()
        with contextlib.suppress(OSError):
            self._archive.close()


def _check_name(name: str) -> None:
    """Make sure that a zip archive can hold the name; Python's cuts it at a NUL.

    Raises:
        InvalidArgument: it cannot.
    """
    if "\0" in name or len(name.encode()) > _LONGEST_NAME:
        message = f"an npz has names of up to {_LONGEST_NAME} bytes without NUL. Received: name={name!r}"
        raise InvalidArgument(message, violations=[FieldViolation("name", message)])
