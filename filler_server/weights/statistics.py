"""Figures over the values of a tensor, from one pass over them."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from filler_server.tensors import Advance, Tensor


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over all finite values of a tensor, worked out in float64.

    Attributes:
        count: number of values.
        mean, std: of the finite values, std over their number; None if there are none.
        minimum, maximum: likewise.
        zeros: number of values that are 0 or -0.
        nonfinite: number of values that are infinite or no numbers.
        sha256: of the bytes in C order and little-endian, in hexadecimal.
    """

    count: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    zeros: int
    nonfinite: int
    sha256: str


def statistics(tensor: Tensor, advance: Advance | None = None) -> Statistics:
    """Return the figures of a tensor; memory does not grow with it.

    Means and squares of the blocks are joined by the formula of Chan, Golub and LeVeque (1979). `advance` is told the
    bytes of each block and the name of the tensor.

    Raises:
        WeightsError: the file is damaged.
    """
    digest = hashlib.sha256()
    count, mean, squares, zeros, nonfinite = 0, 0.0, 0.0, 0, 0
    minimum, maximum = math.inf, -math.inf
    for block in tensor.blocks():
        plain = np.ascontiguousarray(block)
        digest.update(plain.astype(plain.dtype.newbyteorder("<"), copy=False).view(np.uint8).data)
        with np.errstate(invalid="ignore"):
            values = plain.astype(np.float64)
        finite = np.isfinite(values)
        zeros += int(np.count_nonzero(values == 0))
        if not finite.all():
            values = values[finite]
            nonfinite += plain.size - values.size
        if values.size:
            minimum, maximum = min(minimum, float(values.min())), max(maximum, float(values.max()))
            block_mean = float(values.mean())
            values -= block_mean
            difference, total = block_mean - mean, count + values.size
            squares += float(values @ values) + difference * difference * count * values.size / total
            mean += difference * values.size / total
            count = total
        if advance is not None:
            advance(plain.nbytes, tensor.name)
    return Statistics(
        count=count + nonfinite,
        mean=mean if count else None,
        std=math.sqrt(squares / count) if count else None,
        minimum=minimum if count else None,
        maximum=maximum if count else None,
        zeros=zeros,
        nonfinite=nonfinite,
        sha256=digest.hexdigest(),
    )
