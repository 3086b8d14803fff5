"""Tensors made of the values of several others."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.tensors.tensor import BLOCK, Tensor


def constant(name: str, shape: Sequence[int], dtype: np.dtype[Any], value: float) -> Tensor:
    """Return a tensor all of whose values are one number."""
    return _Constant(name, shape, dtype, value)


def combined(name: str, function: Callable[..., NDArray[Any]], *tensors: Tensor) -> Tensor:
    """Return what a function makes of the values of tensors of equal count, value by value.

    Args:
        name: name of the new tensor; shape and dtype are those of the first one.
        function: takes a block of each and returns a block of that length; it is converted to that dtype.
        tensors: the others.
    """
    return _Combined(name, function, tensors)


def spliced(name: str, shape: Sequence[int], parts: Sequence[tuple[Tensor, int, int]]) -> Tensor:
    """Return a tensor of ranges of others, one after the other: (tensor, first value, end), in C order."""
    return _Spliced(name, shape, parts)


class _Constant(Tensor):
    def __init__(self, name: str, shape: Sequence[int], dtype: np.dtype[Any], value: float) -> None:
        super().__init__(name, shape, dtype)
        self._value = value

    def read(self, start: int, out: NDArray[Any]) -> None:
        out[...] = self._value


class _Combined(Tensor):
    def __init__(self, name: str, function: Callable[..., NDArray[Any]], tensors: Sequence[Tensor]) -> None:
        super().__init__(name, tensors[0].shape, tensors[0].dtype)
        self._function = function
        self._tensors = tensors

    def read(self, start: int, out: NDArray[Any]) -> None:
        for first in range(0, out.size, BLOCK):
            block = out[first : first + BLOCK]
            values = [np.empty(block.size, tensor.dtype) for tensor in self._tensors]
            for tensor, part in zip(self._tensors, values, strict=True):
                tensor.read(start + first, part)
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                block[...] = self._function(*values)


class _Spliced(Tensor):
    def __init__(self, name: str, shape: Sequence[int], parts: Sequence[tuple[Tensor, int, int]]) -> None:
        super().__init__(name, shape, parts[0][0].dtype)
        self._parts = tuple(parts)
        if sum(stop - start for _, start, stop in parts) != self.count:
            raise ValueError(f"the parts of '{name}' do not make up its shape. Received: shape={list(shape)}")

    def read(self, start: int, out: NDArray[Any]) -> None:
        done = 0
        for tensor, first, stop in self._parts:
            length = min(stop - first - start, out.size - done)
            if length <= 0:
                start -= stop - first
                continue
            tensor.read(first + start, out[done : done + length])
            start, done = 0, done + length
            if done == out.size:
                return
