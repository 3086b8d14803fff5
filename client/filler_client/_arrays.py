"""The arrays that blobs are received into: the caller's, or new ones."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument, LimitExceeded
from filler_client._backend import Arrays, InOrder, Piece


class Receivers:
    """The arrays of the blobs of one call.

    Args:
        out: the caller's arrays, by the names of blobs or in their order; new ones are made for the others.

    Raises:
        InvalidArgument: an entry is not an array that can be received into, or two of them overlap.
    """

    def __init__(self, out: Arrays | InOrder) -> None:
        self._named: Arrays = {}
        self._listed: Iterator[NDArray[Any] | None] | None = None
        if isinstance(out, Mapping):
            check_arrays([(f"blob '{name}'", array) for name, array in out.items()])
            self._named = out
        elif isinstance(out, InOrder):
            self._listed = iter(out.arrays)
        else:
            raise InvalidArgument(f"out is a mapping from names of blobs to arrays. Received: {type(out).__name__}")

    def array_for(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the array of a blob; blobs are asked for in their order.

        Raises:
            InvalidArgument: the caller's has another shape or dtype.
            LimitExceeded: there is not enough memory for a new one.
        """
        array = self._named.get(name) if self._listed is None else next(self._listed, None)
        if array is None:
            return _new(name, shape, dtype)
        check_fit(f"blob '{name}'", array, shape, dtype)
        return array


class Arrivals:
    """Puts pieces, in the order of their stream, into the arrays of their blobs."""

    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers
        self._array: NDArray[Any] | None = None
        self._memory = memoryview(b"")

    def take(self, piece: Piece) -> tuple[str, NDArray[Any]] | None:
        """Copy a piece to its place; return name and array of the blob that it completes, if it does.

        Raises:
            InvalidArgument: the caller's array does not fit the blob.
            LimitExceeded: there is not enough memory for the blob.
        """
        header = piece.header
        if self._array is None:
            self._array = self._receivers.array_for(header.name, piece.shape, dtypes.from_wire(header.dtype))
            self._memory = flat(self._array).view(np.uint8).data
        self._memory[piece.offset : piece.offset + len(piece.data)] = piece.data
        if not piece.last:
            return None
        array, self._array = self._array, None
        return header.name, array


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values of an array that can be received into as one axis over the same memory.

    Some subclasses have two axes, whatever they are reshaped to.
    """
    return array.view(np.ndarray).reshape(-1)


def check_arrays(arrays: Sequence[tuple[str, object]]) -> None:
    """Make sure that arrays can be received into, each with a label for messages.

    Raises:
        InvalidArgument: one cannot, or two of them overlap.
    """
    for label, array in arrays:
        if not isinstance(array, np.ndarray) or _is_masked(array):
            kind = type(array)
            raise InvalidArgument(
                f"{label} needs a NumPy array, without a mask. Received: {kind.__module__}.{kind.__qualname__}"
            )
        flags = array.flags
        if not (flags.c_contiguous and flags.writeable and flags.aligned):
            raise InvalidArgument(
                f"{label} needs a writable, aligned, C-contiguous array. Received: writeable={flags.writeable}, "
                f"aligned={flags.aligned}, c_contiguous={flags.c_contiguous}"
            )
    _check_apart(cast("Sequence[tuple[str, NDArray[Any]]]", arrays))


def _is_masked(array: NDArray[Any]) -> bool:
    # NumPy imports its masked arrays when they are first asked for, and nobody has one before.
    return "numpy.ma" in sys.modules and isinstance(array, np.ma.MaskedArray)


def check_fit(label: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Make sure that an array has the shape and dtype of what it receives.

    Raises:
        InvalidArgument: it does not.
    """
    if array.shape != shape or array.dtype != dtype:
        raise InvalidArgument(
            f"{label} needs an array of shape {list(shape)} and dtype {dtype}. "
            f"Received: shape={list(array.shape)}, dtype={array.dtype}"
        )


def _check_apart(arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Make sure that no memory receives two blobs; the arrays are contiguous."""
    places = sorted(
        ((array.__array_interface__["data"][0], array.nbytes, name) for name, array in arrays if array.nbytes),
        key=lambda place: place[:2],
    )
    for (start, length, name), (following, _, other) in itertools.pairwise(places):
        if following < start + length:
            raise InvalidArgument(f"each blob needs memory of its own. Received: {name} and {other} overlap")


def _new(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):
        # NumPy makes a ValueError of what no machine could address.
        raise LimitExceeded(
            f"blob '{name}' of shape {list(shape)} and dtype {dtype} does not fit in memory", limit="memory"
        ) from None
