"""Files that gzip has compressed, unpacked beside memory."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caffe_filler.errors import WeightsError
from filler_server.weights.mapped import MappedFile

_COPIED_AT_ONCE = 1 << 20


@contextmanager
def unpacked(file: MappedFile) -> Iterator[MappedFile]:
    """Unpack a file into the folder for temporary files, where it lies as long as the block runs.

    Raises:
        WeightsError: it is damaged or cut short, or holds nothing.
        OSError: there is no room for it.
    """
    with tempfile.NamedTemporaryFile(prefix="filler-", suffix=".unpacked") as target:
        try:
            with gzip.GzipFile(fileobj=file.reader(), mode="rb") as source:
                shutil.copyfileobj(source, target, _COPIED_AT_ONCE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise WeightsError(f"the file is compressed by gzip, and damaged or cut short: {error}") from None
        target.flush()
        content = MappedFile.open(Path(target.name))
        try:
            yield content
        finally:
            content.close()
