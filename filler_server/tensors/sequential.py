"""Tensors whose values can only be had in order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.tensors.tensor import Tensor


class SequentialTensor(Tensor):
    """A tensor whose values come in order, such as those of a compressed file or of a stream.

    Where the last reader ended the next one goes on; a read elsewhere starts anew. One thread reads at a time.

    Args:
        name: its name.
        shape: its shape.
        dtype: the type of its values.
        blocks_from: yields the values from the one of a number on to the last, in blocks of any length. A block is
            valid until the next one is asked for.
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        blocks_from: Callable[[int], Iterator[NDArray[Any]]],
    ) -> None:
        super().__init__(name, shape, dtype)
        self._blocks_from = blocks_from
        self._stream: Iterator[NDArray[Any]] | None = None
        self._position = 0
        self._left: NDArray[Any] | None = None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values as they come."""
        return self._blocks_from(0)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Go on where the last reader ended, or start anew."""
        if self._stream is None or self._position != start:
            self._stream, self._left, self._position = self._blocks_from(start), None, start
        try:
            self._take(self._stream, out)
        except BaseException:
            self._stream = self._left = None
            raise

    def _take(self, stream: Iterator[NDArray[Any]], out: NDArray[Any]) -> None:
        done = 0
        while done < out.size:
            if self._left is None or not self._left.size:
                self._left = next(stream)
            length = min(self._left.size, out.size - done)
            out[done : done + length] = self._left[:length]
            self._left = self._left[length:]
            done += length
        self._position += done
        if self._position == self.count:
            # What the stream still checks at its end.
            next(stream, None)
            self._stream = self._left = None
