"""The first bytes of files, by which formats are told apart whatever the files are called."""

import re

HDF5 = b"\x89HDF\r\n\x1a\n"
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
NPY = b"\x93NUMPY"

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
"""Control characters that no text has; every binary message has some, as the keys of its fields."""

LOOKED_AT = 512
"""Bytes from the start of a file that `foreign` looks at."""

_FOREIGN = (
    (b"version https://git-lfs.github.com/", "a Git LFS pointer in place of the file; fetch it with `git lfs pull`"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "compressed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF document"),
)
_PATTERNS = (
    (
        re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|svg)", re.IGNORECASE),
        "a web page, not the file that it may offer",
    ),
    # Not the flag of a binary message, which has the same tag.
    (
        re.compile(rb"\x80[\x02-\x05][^\x00\x01]"),
        "a pickle of Python, which may run any program; weights can be had from it by what wrote it",
    ),
    # With the octal digits of its checksum.
    (re.compile(rb"[\s\S]{148}[0-7 ]{6}[\s\S]{103}ustar"), "a tar archive; unpack it first"),
)


def foreign(start: bytes) -> str | None:
    """Return what a file is that neither nets nor weights are read from, or None where it may be one of them.

    Args:
        start: the first `LOOKED_AT` bytes of the file, or all of it.
    """
    for signature, what in _FOREIGN:
        if start.startswith(signature):
            return what
    return next((what for pattern, what in _PATTERNS if pattern.match(start)), None)
