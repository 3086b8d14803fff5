"""Output channels of a blob that are zero, or the same as another one."""

from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.diagnostics.statistics.figures import BLOCK

_FACTORS = np.random.default_rng(1).integers(1 << 31, 1 << 32, 1024, dtype=np.uint32) | np.uint32(1)

_BITS = {"float64": 40, "float32": 20, "float16": 8, "bfloat16": 6}
"""Bits by which random values of a dtype differ at least."""

_RARE = 20
"""Bits by which random channels should differ beyond what tells their pairs apart: chance makes one in a million."""

_MOST_CHANNELS = 1 << 26


@dataclass(frozen=True, slots=True)
class Axes:
    """Place of output channels in a blob, whose values are [groups, inputs, outputs, inner].

    Attributes:
        groups, outputs: each pair of the two is a channel.
        inputs, inner: the values of a channel.
    """

    groups: int
    inputs: int
    outputs: int
    inner: int

    @classmethod
    def first(cls, shape: tuple[int, ...]) -> "Axes":
        """Channels of the first axis, as weights of Caffe have them in general."""
        return cls(shape[0] if shape else 1, 1, 1, prod(shape[1:]))

    @classmethod
    def second(cls, shape: tuple[int, ...], group: int = 1) -> "Axes":
        """Channels of the second axis, as Deconvolution has them, or a transposed InnerProduct."""
        return cls(group, shape[0] // group, shape[1], prod(shape[2:]))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.groups * self.outputs

    @property
    def length(self) -> int:
        """Number of values of each."""
        return self.inputs * self.inner


class Channels:
    """A pass over the bits of a blob that tells channels of zeros and equal channels.

    Channels are told apart by fingerprints of 64 bits. They are not looked for where random ones would be equal by
    chance, nor in vectors, whose channels have one value.

    Args:
        axes: where the channels are.
        dtype: of the values.
    """

    def __init__(self, axes: Axes, dtype: np.dtype[Any]) -> None:
        self._axes = axes
        bits = _BITS.get(dtype.name, 0) * axes.length
        some = axes.length > 1 and 1 < axes.channels <= _MOST_CHANNELS
        self.is_judged = some and bits >= 2 * log2(axes.channels) + _RARE
        self._word = np.dtype(np.uint16) if dtype.itemsize == 2 else np.dtype(np.uint32)
        self._words = max(dtype.itemsize // self._word.itemsize, 1)
        self._sign = self._word.type(1 << (8 * self._word.itemsize - 1))
        self._prints = np.zeros(axes.channels if self.is_judged else 0, np.uint64)
        self._seen = 0

    def add(self, block: NDArray[Any]) -> None:
        """Add a block: one-dimensional, contiguous, of the blob's dtype."""
        if not self.is_judged:
            return
        from filler_server.diagnostics.statistics import kernels

        words = block.view(self._word)
        inner, inputs, outputs = self._axes.inner * self._words, self._axes.inputs, self._axes.outputs
        for begin in range(0, words.size, BLOCK):
            part = words[begin : begin + BLOCK]
            kernels.fingerprint(part, self._seen, inner, inputs, outputs, self._sign, _FACTORS, self._prints)
            self._seen += part.size

    @property
    def zero(self) -> int:
        """Number of channels whose values are all 0."""
        return int(np.count_nonzero(self._prints == 0))

    @property
    def repeated(self) -> int:
        """Number of channels that are the same as an earlier one, those of zeros aside."""
        others = self._prints[self._prints != 0]
        return int(others.size - np.unique(others).size)
