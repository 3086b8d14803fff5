"""One blob held against its filler."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from filler_server.diagnostics.statistics.channels import Axes, Channels
from filler_server.diagnostics.statistics.figures import Figures, look_at
from filler_server.diagnostics.statistics.judgement import Judge, Judgement
from filler_server.diagnostics.statistics.patterns import Pattern
from filler_server.tensors import Advance, Tensor


@dataclass(frozen=True, slots=True)
class Looked:
    """Findings of one pass over a blob.

    Attributes:
        figures: over its values.
        judgement: of its promise, None where there is none or not all values are finite.
        zero_channels: number of output channels whose values are all 0.
        repeated_channels: number of output channels that are the same as an earlier one, those of zeros aside.
    """

    figures: Figures
    judgement: Judgement | None
    zero_channels: int
    repeated_channels: int


def look(tensor: Tensor, judge: Judge | None, axes: Axes | None, advance: Advance | None = None) -> Looked:
    """Hold the values of a tensor against a promise, in one pass; memory does not grow with it.

    Args:
        tensor: the values.
        judge: the promise, or None.
        axes: where the output channels are; the first axis by default.
        advance: is told the bytes of each block and the name of the tensor.

    Raises:
        FillerError: the values cannot be had.
        Unavailable: Numba is not installed.
    """
    sight = look_at(tensor.dtype, None if judge is None else judge.bounds, tensor.count)
    channels = Channels(axes or Axes.first(tensor.shape), tensor.dtype)
    for block in tensor.blocks():
        values: Any = np.ascontiguousarray(block)
        sight.add(values)
        channels.add(values)
        if judge is not None:
            judge.add(values)
        if advance is not None:
            advance(values.nbytes, tensor.name)
    figures = sight.figures()
    judgement = None
    # Only a pattern may have values that are not finite.
    if judge is not None and (figures.finite == figures.count or isinstance(judge, Pattern)):
        judgement = judge.judgement(figures, sight.ranks())
    return Looked(figures, judgement, channels.zero, channels.repeated)
