"""Other names, shapes and dtypes for the values of a tensor."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.printable import counted
from filler_server.tensors.tensor import BLOCK, Place, Tensor


class View(Tensor):
    """The values of another tensor under another name, or in another shape of equal count.

    Attributes:
        base: the other tensor.
    """

    def __init__(self, base: Tensor, name: str, shape: Sequence[int], *, legacy: bool = False) -> None:
        if prod(shape) != base.count:
            raise ValueError(f"'{base.name}' has {counted(base.count, 'value')}. Received: shape={list(shape)}")
        super().__init__(name, shape, base.dtype)
        self.base = base
        self.legacy = legacy

    @property
    def place(self) -> Place | None:
        """The place of the other tensor."""
        return self.base.place

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Read the other tensor."""
        self.base.read(start, out)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the blocks of the other tensor."""
        return self.base.blocks()

    def array(self) -> NDArray[Any]:
        """Return the array of the other tensor in this shape."""
        return self.base.array().reshape(self.shape)


def renamed(tensor: Tensor, name: str) -> Tensor:
    """Return a tensor under another name."""
    return tensor if name == tensor.name else View(tensor, name, tensor.shape, legacy=tensor.legacy)


def reshaped(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor in another shape, which is no longer a legacy one.

    Raises:
        ValueError: the shape has another number of values.
    """
    same = tensor.shape == tuple(shape) and not tensor.legacy
    return tensor if same else View(tensor, tensor.name, shape)


class Cast(Tensor):
    """The values of another tensor in another dtype; what that cannot hold becomes infinite.

    Attributes:
        became_infinite: number of finite values that were read so far and that the dtype cannot hold.
    """

    def __init__(self, base: Tensor, dtype: np.dtype[Any]) -> None:
        super().__init__(base.name, base.shape, dtype)
        self.legacy = base.legacy
        self.became_infinite = 0
        self._base = base
        self._narrows = dtype.itemsize <= base.dtype.itemsize

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Read the other tensor and convert its values."""
        values = np.empty(min(BLOCK, out.size), self._base.dtype)
        for first in range(0, out.size, BLOCK):
            part = values[: min(BLOCK, out.size - first)]
            self._base.read(start + first, part)
            out[first : first + part.size] = self._converted(part)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the blocks of the other tensor, converted."""
        return map(self._converted, self._base.blocks())

    def _converted(self, values: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            converted = values.astype(self.dtype)
        if self._narrows:
            self.became_infinite += int(np.count_nonzero(np.isinf(converted)) - np.count_nonzero(np.isinf(values)))
        return converted


def cast(tensor: Tensor, dtype: np.dtype[Any] | None) -> Tensor:
    """Return a tensor in a dtype; None keeps its own."""
    return tensor if dtype is None or dtype == tensor.dtype else Cast(tensor, dtype)
