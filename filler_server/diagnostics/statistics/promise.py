"""The judge of a blob, by the distribution that its filler has for it."""

from math import prod
from typing import Any

import numpy as np

from filler_server.diagnostics.statistics import patterns
from filler_server.diagnostics.statistics.judgement import Judge
from filler_server.diagnostics.statistics.rows import LONGEST, NormalizedRows, OrthonormalRows
from filler_server.diagnostics.statistics.sampled import Sampled
from filler_server.fillers.base import Filler
from filler_server.fillers.distributions import Distribution, RowNormalizedUniform
from filler_server.fillers.orthonormal import OrthonormalFrame

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_FLOATS = ("float32", "float64", "float16", "bfloat16")


def judge(filler: Filler, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Judge | None:
    """Return what holds a blob against its filler, or None.

    There is none where values of this dtype say nothing of the filler, or its distribution has no finite quantiles.

    Raises:
        InvalidArgument: the filler cannot fill a blob of this shape.
    """
    filler.check(shape)
    if dtype.name not in _FLOATS:
        return None
    distribution: Distribution = filler.distribution(shape, _FLOAT64 if dtype == _FLOAT64 else _FLOAT32)
    if isinstance(distribution, OrthonormalFrame):
        return OrthonormalRows(distribution, dtype)
    pattern = patterns.of_distribution(distribution, dtype)
    if pattern is not None:
        return pattern
    # The sum of a longer row is so near to its mean that its values are as good as independent.
    if isinstance(distribution, RowNormalizedUniform) and distribution.length <= LONGEST:
        return NormalizedRows(distribution, dtype, prod(shape))
    sampled = Sampled(distribution, dtype)
    return None if sampled.bounds is None else sampled
