"""Bound on the names of all tensors of a file, in characters."""

from caffe_filler.errors import LimitExceeded

_NAMES_BYTES = 16 << 20
_TIMES = 16


def check_names(length: int, file_bytes: int) -> None:
    """Make sure that the names of all tensors together are no longer than a file of this length has reason for.

    The name of a layer stands once in a file, and in the names of all of its blobs.

    Raises:
        LimitExceeded: they are.
    """
    most = _NAMES_BYTES + _TIMES * file_bytes
    if length > most:
        raise LimitExceeded.over("names_bytes", most, length)
