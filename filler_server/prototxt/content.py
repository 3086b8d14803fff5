"""What a file is, by its first bytes: text, a binary message, or something that is no net at all."""

import codecs
import re

from caffe_filler.errors import PrototxtError

# Control characters that neither text nor its comments have any use for; every binary message of a net has some.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")

_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (weights or a snapshot), no net"),
    (b"\x1f\x8b", "compressed by gzip; unpack it first"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "compressed by xz; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer in place of the file; fetch it with `git lfs pull`"),
    (b"\x93NUMPY", "a NumPy array, no net"),
    (codecs.BOM_UTF16_LE, "text in UTF-16; save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "text in UTF-16; save it as UTF-8"),
)
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|svg)", re.IGNORECASE)


def refuse_foreign(data: bytes) -> None:
    """Refuse what is plainly another kind of file.

    Raises:
        PrototxtError: naming that kind.
    """
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise PrototxtError(f"the file is {what}. Received: {_start(data)}")
    if _MARKUP.match(data):
        raise PrototxtError(f"the file is a web page, not the prototxt it may show. Received: {_start(data)}")


def may_be_binary(data: bytes) -> bool:
    """Whether a binary message is possible: text has no control characters."""
    return _CONTROL.search(data) is not None


def looks_like_text(data: bytes) -> bool:
    """Whether data with control characters in it is a damaged text rather than a damaged binary message."""
    sample = data[:65536]
    return len(_CONTROL.findall(sample)) * 20 < len(sample)


def decode(data: bytes) -> str:
    """Return text as characters, a byte order mark left out and bytes that are not UTF-8 as surrogateescape has it."""
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def _start(data: bytes) -> str:
    return repr(data[:24])[1:]
