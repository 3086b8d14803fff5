"""Bytes that lie in one file, appended to another one."""

import errno
import os
from typing import BinaryIO

_READ_AT_ONCE = 4 << 20

_NO_COPYING = (None, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE, errno.EBADF)
"""Error numbers of systems and file systems that do not copy from file to file; None: there is no file at all."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that writing the bytes has as well, with the name of the file."""


def append_range(file: BinaryIO, descriptor: int, offset: int, nbytes: int) -> None:
    """Append bytes that lie in another open file; where the system can copy from file to file, it does.

    Raises:
        OSError: a file cannot be read or written.
    """
    done = _copy_range(file, descriptor, offset, nbytes)
    for start in range(offset + done, offset + nbytes, _READ_AT_ONCE):
        length = min(_READ_AT_ONCE, offset + nbytes - start)
        data = os.pread(descriptor, length, start)
        if len(data) < length:
            raise OSError(errno.EIO, "a file became shorter while it was read")
        file.write(data)


def _copy_range(file: BinaryIO, descriptor: int, offset: int, nbytes: int) -> int:
    """Let the system copy from file to file; return how many bytes it did, 0 where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    done = 0
    try:
        target = file.fileno()
        file.flush()
        place = file.tell()
        while done < nbytes:
            copied = os.copy_file_range(descriptor, target, nbytes - done, offset + done, place + done)
            if copied == 0:
                break
            done += copied
    except OSError as error:
        if error.errno not in (*_NO_COPYING, *_FULL):
            raise
    if done:
        file.seek(place + done)
    return done
