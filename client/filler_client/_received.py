"""Blobs as tensors whose values a stream brings."""

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import DataLoss
from filler_client._backend import Piece, StreamRequest

if TYPE_CHECKING:
    from filler_server.tensors import Tensor

_PASSED_OVER = 4 << 20
"""Bytes of a stream that are rather received in vain than asked for anew."""


def received_tensors(
    request: StreamRequest,
    blobs: Sequence[tuple[str, Sequence[int]]],
    pieces: Callable[[StreamRequest], Iterator[Piece]],
    begun: Iterator[Piece] | None = None,
) -> "list[Tensor]":
    """Return the blobs of a request as tensors.

    Read in order they are one stream. Where one is read elsewhere the stream is asked for anew, from that value on.

    Args:
        request: what is asked for, from its first blob on.
        blobs: name and shape of each blob of the request, or of its region, in its order.
        pieces: yields the pieces of a request.
        begun: the pieces of this one, where they have been asked for already.
    """
    from filler_server.tensors import SequentialTensor

    dtype = dtypes.from_wire(request.dtype)
    stream = _Stream(request, len(blobs), pieces, begun)

    def tensor(number: int, name: str, shape: Sequence[int]) -> "Tensor":
        nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize

        def blocks_from(start: int) -> Iterator[NDArray[Any]]:
            return stream.blocks(number, name, start * dtype.itemsize, nbytes, dtype)

        return SequentialTensor(name, shape, dtype, blocks_from)

    return [tensor(number, name, shape) for number, (name, shape) in enumerate(blobs)]


class _Stream:
    """A stream and where it stands: the byte of which blob comes next."""

    def __init__(
        self,
        request: StreamRequest,
        blobs: int,
        pieces: Callable[[StreamRequest], Iterator[Piece]],
        begun: Iterator[Piece] | None,
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._ask = pieces
        self._pieces = begun
        self._next = (0, 0)

    def blocks(self, number: int, name: str, offset: int, nbytes: int, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Yield the values of a blob from byte `offset` on.

        Raises:
            DataLoss: the stream has another blob there.
        """
        rest = b""
        while offset < nbytes:
            piece = self._piece(number, offset)
            if piece.header.name != name or piece.header.bytes != nbytes:
                raise DataLoss(
                    f"blob '{name}' with {nbytes} bytes should follow. "
                    f"Received: '{piece.header.name}' with {piece.header.bytes}"
                )
            data: memoryview | bytes = piece.data[offset - piece.offset :]
            offset = piece.offset + len(piece.data)
            if rest or len(data) % dtype.itemsize:
                # A piece may end within a value.
                data = rest + bytes(data)
                whole = len(data) - len(data) % dtype.itemsize
                data, rest = data[:whole], data[whole:]
            if data:
                yield np.frombuffer(data, dtype)

    def _piece(self, number: int, offset: int) -> Piece:
        """Return the piece that has a byte of a blob."""
        passed_over = 0
        while True:
            if self._pieces is None or (number, offset) < self._next or passed_over > _PASSED_OVER:
                self._start(number, offset)
                passed_over = 0
            piece = self._take()
            blob, end = self._next[0], piece.offset + len(piece.data)
            self._next = (blob + 1, 0) if piece.last else (blob, end)
            if self._next == (self._blobs, 0):
                self._end()
            if blob == number and piece.offset <= offset < end:
                return piece
            passed_over += len(piece.data)

    def _take(self) -> Piece:
        try:
            piece = None if self._pieces is None else next(self._pieces, None)
        except BaseException:
            self._pieces = None
            raise
        if piece is None:
            raise DataLoss(f"the stream ended before blob {self._next[0]} of {self._blobs} was complete")
        return piece

    def _end(self) -> None:
        """Let the stream check at its end that it is complete."""
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            next(pieces, None)

    def _start(self, number: int, offset: int) -> None:
        if isinstance(self._pieces, Generator):
            self._pieces.close()
        request = copy.deepcopy(self._request)
        if number or offset:
            request.start.blob, request.start.offset = number, offset
        self._pieces, self._next = self._ask(request), (number, offset)
