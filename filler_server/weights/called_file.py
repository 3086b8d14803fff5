"""A file that a library of C writes through callbacks."""

import io
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


class CalledFile:
    """A file whose first error is raised at the end of the block, and not where the library calls it.

    HDF5 goes on calling the file when a call has failed. Python's exception is under way then, so that what the file
    does next ends in any other error, and a full disk looks like a fault of this program.

    Args:
        file: the file, open for reading and writing.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._error: OSError | None = None

    def __enter__(self) -> "CalledFile":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._error is not None:
            raise self._error from None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a place."""
        return self._call(lambda: int(self._file.seek(offset, whence)), 0)

    def tell(self) -> int:
        """Return the place."""
        return self._call(lambda: int(self._file.tell()), 0)

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes, none after an error."""
        return self._call(lambda: bytes(self._file.read(size)), b"")

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; return how many bytes there were, none after an error."""
        return self._call(lambda: int(self._file.readinto(buffer)), 0)

    def write(self, data: Any, /) -> int:
        """Write bytes, or nothing after an error."""
        return self._call(lambda: int(self._file.write(data)), len(data))

    def truncate(self, size: int, /) -> int:
        """Give the file a length."""
        return self._call(lambda: int(self._file.truncate(size)), size)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._call(self._file.flush, None)

    def _call(self, call: Callable[[], _T], otherwise: _T) -> _T:
        if self._error is None:
            try:
                return call()
            except OSError as error:
                self._error = error
        return otherwise
