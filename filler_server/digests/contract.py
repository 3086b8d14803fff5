"""The digest of an array, contract v1: a sum over its elements, so that those of parts add up to that of the whole.

Each element adds two terms of 64 bits, made of its flat index (in C order, of the whole array, from 0) and of its bits.
The digest is the pair of the sums of these terms, each modulo 2^64. With arithmetic on unsigned integers of 64 bits:

    state = bits + (index + 1) * GAMMA
    state = (state ^ state >> 30) * FIRST
    state =  state ^ state >> 27
    one   =  state * LOW               low  += one ^ one >> 31
    two   =  state * HIGH              high += two ^ two >> 33

`bits` are the bits of the element as an unsigned integer of its own length: 16 of float16 and bfloat16, 32 of float32,
64 of float64, zero-extended. So -0.0 differs from 0.0, a NaN equals itself only with the same payload, and an array in
float16 has another digest than the same values in float32. Byte order does not matter. Shape, dtype and name are not in
the sum; a manifest has them beside it. The digest of no elements is 0.

As text it is 32 hexadecimal digits, those of `high` first.

    >>> str(digest(np.zeros(1, np.float32)))
    '9721a760781aff5ee220a8397b1dcdaf'

Parts may be any: rows, columns, boxes, flat ranges, single elements; in any order, on any machine. Each is summed with
the indices that its elements have in the whole.

The terms of one element differ for different bits, so that a change of a single element is always found. Other
accidents (elements exchanged, shifted, lost, taken from another array) go unnoticed once in 2^64 times or less. It is
not a cryptographic hash: whoever wants to can make arrays of equal digests. It detects accidents, not forgery.

`low` is the sum of the outputs of SplitMix64 (Steele, Lea and Flood 2014) at these states; `high` has a multiplier of
its own after the first of the two rounds.
"""

import struct
import sys
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.digests import plain
from filler_server.tensors import Advance, ArrayTensor, Tensor

VERSION = 1
"""Version of the contract."""

_WORD = (1 << 64) - 1
_DIGITS = 32
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

_WORTH_NUMBA = 1 << 23
"""Values from which on importing Numba takes less time than it saves."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of an array, or of a part of one; digests of parts add up to that of the whole.

    Attributes:
        low, high: its two sums, 0 to 2**64 - 1.

    Example:
        >>> whole = np.arange(12, dtype=np.float32)
        >>> digest(whole[:5]) + digest(whole[5:], start=5) == digest(whole)
        True
    """

    low: int = 0
    high: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.low <= _WORD and 0 <= self.high <= _WORD):
            raise InvalidArgument(
                f"the sums of a digest are 0 to 2**64 - 1. Received: low={self.low}, high={self.high}"
            )

    def __add__(self, other: Self) -> "Digest":
        return Digest(self.low + other.low & _WORD, self.high + other.high & _WORD)

    def __str__(self) -> str:
        return f"{self.high:016x}{self.low:016x}"

    def to_bytes(self) -> bytes:
        """Return the 16 bytes of the two sums, `low` first, both little-endian."""
        return struct.pack("<QQ", self.low, self.high)

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Return the digest of 32 hexadecimal digits.

        Raises:
            InvalidArgument: the text is not such.
        """
        if not isinstance(text, str) or len(text) != _DIGITS or set(text) - set("0123456789abcdef"):
            raise InvalidArgument(f"a digest is {_DIGITS} hexadecimal digits. Received: {str(text)[:80]!r}")
        return cls(int(text[_DIGITS // 2 :], 16), int(text[: _DIGITS // 2], 16))


def digest(values: NDArray[Any], start: int = 0) -> Digest:
    """Return the digest of an array, or of a flat range of one.

    Args:
        values: elements of 1, 2, 4 or 8 bytes, in any shape and with any strides.
        start: flat index of the first one in the whole array.

    Raises:
        InvalidArgument: elements have another length.
    """
    return digest_tensor(ArrayTensor("", np.asarray(values)), start=start)


def digest_tensor(tensor: Tensor, *, start: int = 0, advance: Advance | None = None) -> Digest:
    """Return the digest of a tensor, or of a flat range of one; memory does not grow with it.

    Args:
        tensor: the values, which are read once.
        start: flat index of the first one in the whole tensor.
        advance: is told the bytes of each block.

    Raises:
        InvalidArgument: elements are not of 1, 2, 4 or 8 bytes.
        FillerError: the values cannot be had.
        OSError: a file cannot be read.
    """
    digester = Digester(tensor.dtype, tensor.count)
    for block in tensor.blocks():
        digester.add_flat(block, start)
        start += block.size
        if advance is not None:
            advance(block.nbytes, tensor.name)
    return digester.digest


class Digester:
    """Sums up the digest of an array from parts in any order.

    Args:
        dtype: type of the elements.
        count: about how many will come, by which the way of computing is chosen; the digest does not depend on it.

    Attributes:
        digest: that of all parts so far.

    Raises:
        InvalidArgument: elements are not of 1, 2, 4 or 8 bytes.
    """

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        if dtype.itemsize not in _BITS or dtype.kind not in "fiubcV":
            raise InvalidArgument(f"a digest is of elements of 1, 2, 4 or 8 bytes. Received: dtype={dtype}")
        self._dtype = dtype.newbyteorder("=")
        self._bits = _BITS[dtype.itemsize]
        self._sums = _kernel(count)
        self.digest = Digest()

    def add_flat(self, values: NDArray[Any], start: int) -> None:
        """Add consecutive elements; `start` is the flat index of the first."""
        self.add(values, np.array([start], np.int64), np.array([0, values.size], np.int64))

    def add(self, values: NDArray[Any], starts: NDArray[np.int64], bounds: NDArray[np.int64]) -> None:
        """Add elements that lie in runs of the whole array.

        Args:
            values: the elements, one-dimensional, of the digester's dtype.
            starts: int64 [n], flat index of the first element of each run.
            bounds: int64 [n + 1], ascending from 0; run k is `values[bounds[k]:bounds[k + 1]]`.
        """
        bits = np.ascontiguousarray(values, self._dtype).view(self._bits)
        self.digest += Digest(*self._sums(bits, starts, bounds))


def _kernel(count: int) -> Any:
    """Return what sums: the kernel, or NumPy where Numba is missing or not worth its import."""
    # Another thread may be in the middle of importing it.
    is_loaded = hasattr(sys.modules.get("filler_server.compiled"), "serial")
    if count < _WORTH_NUMBA and not is_loaded:
        return plain.sums
    try:
        from filler_server.digests import kernels
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("numba", "llvmlite"):
            raise
        return plain.sums
    return kernels.sums
