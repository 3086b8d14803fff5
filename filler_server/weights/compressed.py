"""Files that gzip has compressed, unpacked beside memory."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from caffe_filler.errors import LimitExceeded, WeightsError
from filler_server.weights.mapped import MappedFile

_COPIED_AT_ONCE = 1 << 20
_LEAST, _TIMES = 1 << 30, 32


def most_unpacked(packed: int) -> int:
    """Return the bytes up to which a compressed file of so many is unpacked.

    Trained weights hardly become shorter; blobs of zeros become a thousand times shorter, and so do files that mean
    harm.
    """
    return _LEAST + _TIMES * packed


@contextmanager
def unpacked(file: MappedFile) -> Iterator[MappedFile]:
    """Unpack a file into the folder for temporary files, where it lies as long as the block runs.

    Raises:
        WeightsError: it is damaged or cut short, or holds nothing.
        LimitExceeded: it is far longer than it was.
        OSError: there is no room for it.
    """
    with tempfile.NamedTemporaryFile(prefix="filler-", suffix=".unpacked") as target:
        try:
            with gzip.GzipFile(fileobj=file.reader(), mode="rb") as source:
                _copy(source, target, most_unpacked(file.size))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise WeightsError(f"the file is compressed by gzip, and damaged or cut short: {error}") from None
        target.flush()
        content = MappedFile.open(Path(target.name))
        try:
            yield content
        finally:
            content.close()


def _copy(source: gzip.GzipFile, target: IO[bytes], most: int) -> None:
    copied = 0
    while block := source.read(_COPIED_AT_ONCE):
        copied += len(block)
        if copied > most:
            raise LimitExceeded.over("unpacked_bytes", most, copied)
        target.write(block)
