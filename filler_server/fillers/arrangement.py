"""Blobs whose axes are not Caffe's, as the weights that a filler knows."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caffe_filler.axes import FanAxes

_Indices = NDArray[np.int64]


class _Axis(NamedTuple):
    """An axis of the blob: its length, and what one more on it means in the weight, among the weights, in the blob."""

    dim: int
    within: int
    among: int
    in_blob: int


class Arrangement:
    """The places of the values of weights [outputs, inputs, kernel...] in a blob that holds one or several of them.

    Attributes:
        shape: shape of each weight.
        count: number of values of each weight.
        stacks: number of weights.
        stack_axes: axes of the blob that count the weights.
        leads: the weights follow each other in the blob.
        has_rows: the values of each output follow each other in the blob, output by output.
        is_caffe: the blob is one weight, in the order that it has in Caffe.

    Raises:
        InvalidArgument: a blob of `shape` does not have these axes.
    """

    def __init__(self, shape: Sequence[int], axes: FanAxes) -> None:
        self.shape = axes.weight_shape(shape)
        self.count = prod(self.shape)
        self.stacks = axes.stack_count(shape)
        self.stack_axes = axes.stacks
        kernel = axes.kernel(len(shape))
        order = [axis for axis in (*axes.stacks, *axes.outputs, *axes.inputs, *kernel) if shape[axis] > 1]
        self.leads = _come_first(axes.stacks, order)
        self.has_rows = _come_first((*axes.stacks, *axes.outputs), order)
        self.is_caffe = self.stacks == 1 and order == sorted(order)
        # What one more on an axis means among the values of one weight, among the weights, and in the blob.
        within, among = _strides((*axes.outputs, *axes.inputs, *kernel), shape), _strides(axes.stacks, shape)
        in_blob = _strides(range(len(shape)), shape)
        self._axes = [
            _Axis(shape[n], within.get(n, 0), among.get(n, 0), in_blob[n]) for n in range(len(shape)) if shape[n] > 1
        ]

    def weights_of(self, indices: _Indices) -> tuple[_Indices, _Indices]:
        """Return for flat indices of the blob the number of the weight and the flat index in it, both in C order."""
        weight, within = np.zeros_like(indices), np.zeros_like(indices)
        rest = indices
        for axis in reversed(self._axes):
            rest, index = np.divmod(rest, axis.dim)
            within += index * axis.within
            weight += index * axis.among
        return weight, within

    def places_of(self, weight: int, start: int, stop: int) -> tuple[_Indices, _Indices]:
        """Return the places of values `start` to `stop` of a weight, counted in the order of the blob.

        The first result are flat indices of the blob, ascending, the second those in the weight.
        """
        numbers = np.arange(start, stop, dtype=np.int64)
        places, within = np.zeros_like(numbers), np.zeros_like(numbers)
        for axis in reversed(self._axes):
            if axis.among:
                places += weight // axis.among % axis.dim * axis.in_blob
            else:
                numbers, index = np.divmod(numbers, axis.dim)
                places += index * axis.in_blob
                within += index * axis.within
        return places, within

    def weights_in(self, starts: Sequence[int], shape: Sequence[int], *, is_flat: bool) -> int:
        """Return how many weights a region has values of, or more where that takes long to tell.

        Args:
            starts: first index of the region on each axis of the blob, or in the blob as one axis.
            shape: length of the region on each.
            is_flat: the blob is taken as one axis.
        """
        if not prod(shape):
            return 0
        if not is_flat:
            return prod(shape[axis] for axis in self.stack_axes)
        return (starts[0] + shape[0] - 1) // self.count - starts[0] // self.count + 1 if self.leads else self.stacks


@lru_cache(maxsize=1024)
def arrangement(shape: tuple[int, ...], axes: FanAxes) -> Arrangement:
    """Return the arrangement of blobs of a shape, which the ranks of a cluster ask for again and again.

    Raises:
        InvalidArgument: a blob of `shape` does not have these axes.
    """
    return Arrangement(shape, axes)


def _come_first(some: Sequence[int], axes: list[int]) -> bool:
    """Whether those of `axes` that are among some lie before the others."""
    return {*sorted(axes)[: len(set(axes).intersection(some))]} <= {*some}


def _strides(axes: Sequence[int], dims: Sequence[int]) -> dict[int, int]:
    """Return for each of some axes what one more on it means in C order of these axes alone."""
    return {axis: prod(dims[inner] for inner in axes[number + 1 :]) for number, axis in enumerate(axes)}
