"""Recognition of a file by its first bytes: text, a binary message, or something that is not a net."""

import codecs

from caffe_filler.errors import PrototxtError
from caffe_filler.signatures import CONTROL, GZIP, HDF5, LOOKED_AT, NPY, ZIP, foreign

_SIGNATURES = (
    (HDF5, "an HDF5 file (weights or a snapshot), not a net"),
    (GZIP, "compressed by gzip; unpack it first"),
    (ZIP, "a zip archive; unpack it first"),
    (NPY, "a NumPy array, not a net"),
    (codecs.BOM_UTF16_LE, "text in UTF-16; save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "text in UTF-16; save it as UTF-8"),
)


def refuse_foreign(data: bytes) -> None:
    """Refuse what is plainly another kind of file.

    Raises:
        PrototxtError: naming that kind.
    """
    what = next((what for signature, what in _SIGNATURES if data.startswith(signature)), foreign(data[:LOOKED_AT]))
    if what is not None:
        raise PrototxtError(f"the file is {what}. Received: {_start(data)}")


def may_be_binary(data: bytes) -> bool:
    """Whether a binary message is possible: text has no control characters."""
    return CONTROL.search(data) is not None


def looks_like_text(data: bytes) -> bool:
    """Whether data with control characters in it is a damaged text rather than a damaged binary message."""
    sample = data[:65536]
    return len(CONTROL.findall(sample)) * 20 < len(sample)


def decode(data: bytes) -> str:
    """Return text as characters, a byte order mark left out and bytes that are not UTF-8 as surrogateescape has it."""
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def _start(data: bytes) -> str:
    return repr(data[:24])[1:]
