"""Tensors and the writing of them, for the tests of all formats."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.tensors import Tensor, constant
from filler_server.weights.writer import Writer

Open = Callable[[Path, Sequence[Tensor]], Writer]


def announced(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
    """A tensor of which a writer is told; what is written are other values."""
    return constant(name, shape, dtype, 0)


def tensors(arrays: dict[str, NDArray[Any]]) -> list[Tensor]:
    """Return the tensors of arrays, as a writer takes them."""
    return [announced(name, array.shape, array.dtype) for name, array in arrays.items()]


def write(make: Open, path: Path, arrays: dict[str, NDArray[Any]], piece: int = 1000) -> bytes:
    """Write arrays in pieces and return the file."""
    with make(path, tensors(arrays)) as writer:
        for array in arrays.values():
            data = array.tobytes()
            for start in range(0, max(len(data), 1), piece):
                writer.write(memoryview(data)[start : start + piece])
    return path.read_bytes()


def same(got: Any, want: NDArray[Any]) -> bool:
    """Whether two arrays are equal in shape, dtype and every bit."""
    got = np.asarray(got)
    return bool(got.shape == want.shape and got.dtype == want.dtype and got.tobytes() == want.tobytes())
