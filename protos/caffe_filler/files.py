"""Files of users, read within bounds so that no device and no silent pipe holds a program up; and their folders."""

import os
import select
import stat
import time
from contextlib import closing
from io import FileIO
from pathlib import Path

from caffe_filler.errors import DeadlineExceeded, InvalidArgument, LimitExceeded

_PATIENCE = 30.0
"""Seconds without a byte after which nobody is taken to write to a pipe."""

_READ_AT_ONCE = 1 << 20


def open_file(path: "os.PathLike[str]") -> FileIO:
    """Open a file for reading; a pipe to which nobody writes yet is opened at once.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    return FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def read_file(path: "os.PathLike[str]", most: int, *, patience: float = _PATIENCE) -> bytes:
    """Return the bytes of a regular file, of a pipe or of what is typed.

    Args:
        path: the file.
        most: length up to which it is read.
        patience: seconds to wait for the next byte of a pipe.

    Raises:
        LimitExceeded: it is longer; of a regular file nothing has been read then.
        DeadlineExceeded: it is a pipe to which nobody writes.
        InvalidArgument: it is a device.
        OSError: there is no such file, or it cannot be read.
    """
    with closing(open_file(path)) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            if status.st_size > most:
                raise LimitExceeded.over("bytes", most, status.st_size).in_file(path)
        elif stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not file.isatty()):
            raise InvalidArgument("this is a device, and no file or pipe").in_file(path)
        return _read(file, path, most, None if file.isatty() else patience)


def _read(file: FileIO, path: "os.PathLike[str]", most: int, patience: float | None) -> bytes:
    content = bytearray()
    while block := _next(file, path, patience):
        content += block
        if len(content) > most:
            raise LimitExceeded.over("bytes", most, len(content)).in_file(path)
    return bytes(content)


def _next(file: FileIO, path: "os.PathLike[str]", patience: float | None) -> bytes:
    """Return the next bytes, none at the end."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    deadline = None if patience is None else time.monotonic() + patience
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not waiting.poll(left):
            raise DeadlineExceeded(f"nobody writes to the pipe. Waited: {patience:g} s").in_file(path)
        # A pipe may be empty again although something was there.
        if (block := file.read(_READ_AT_ONCE)) is not None:
            return block


def make_folder(folder: Path) -> None:
    """Make the folder of outputs, where it is not there.

    Raises:
        InvalidArgument: a file has its name.
        OSError: it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument(f"outputs lie in a folder, and this is a file. Received: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
