"""Checks of what callers hand to a random stream; the same for every stream."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, RegionError
from filler_server.rng.stream import Runs


def check_out(out: NDArray[Any], runs: Runs, *dtypes: type[np.generic]) -> None:
    """Make sure that compiled code can write `runs` to `out`.

    Raises:
        InvalidArgument: `out` is of none of `dtypes`, or not one-dimensional, contiguous, aligned and writable.
        RegionError: `out` has another length than the runs.
    """
    dtype = out.dtype
    if dtype.type not in dtypes or not dtype.isnative:
        names = " or ".join(dtype.__name__ for dtype in dtypes)
        raise InvalidArgument(f"out must be of dtype {names}. Received: dtype={out.dtype}")
    if out.ndim != 1 or not out.flags.carray:
        raise InvalidArgument(
            "out must be one-dimensional, contiguous, aligned and writable. "
            f"Received: shape={out.shape}, strides={out.strides}, aligned={out.flags.aligned}, "
            f"writable={out.flags.writeable}"
        )
    if runs.count != out.size:
        raise RegionError(
            f"the bounds of runs go from 0 to the length of out. Received: bounds=0..{runs.count}, out.size={out.size}"
        )


def check_seed(seed: int) -> int:
    """Return a 64-bit seed as an int.

    Raises:
        InvalidArgument: it is not an integer, or negative or beyond 64 bits.
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**64:
        raise _invalid("seed", f"a seed is an integer, 0 <= seed < 2^64. Received: seed={seed!r}")
    return value


def check_uniform(low: float, high: float) -> None:
    """Make sure that low <= high, both finite.

    Raises:
        InvalidArgument: they are not.
    """
    if not -math.inf < low <= high < math.inf:
        raise _invalid("low", f"a uniform distribution needs finite low <= high. Received: low={low!r}, high={high!r}")


def check_gaussian(mean: float, std: float) -> None:
    """Make sure that the mean is finite and the standard deviation finite and above 0.

    Raises:
        InvalidArgument: they are not.
    """
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise _invalid(
            "std", f"a normal distribution needs a finite mean and std > 0. Received: mean={mean!r}, std={std!r}"
        )


FARTHEST_BOUND = 8
"""Standard deviations that the nearer bound of a truncated normal distribution may lie from the mean: beyond there is
less than 1e-15 of what is truncated."""

NARROWEST = 2.0**-20
"""Least distance of such bounds in standard deviations; the density between closer ones is that of a uniform
distribution to some millionths."""


def check_truncated(mean: float, std: float, low: float, high: float) -> None:
    """Make sure that a normal distribution can be truncated to [low, high]; bounds may be infinite.

    Raises:
        InvalidArgument: it is none, low < high does not hold, there is next to nothing between the bounds, or they are
            too close.
    """
    check_gaussian(mean, std)
    received = f"Received: mean={mean!r}, std={std!r}, low={low!r}, high={high!r}"
    if not low < high:
        raise _invalid("low", f"a truncated distribution needs low < high. {received}")
    if max(low - mean, mean - high) > FARTHEST_BOUND * std:
        raise _invalid("mean", f"the mean may lie {FARTHEST_BOUND} std outside of the bounds, no further. {received}")
    if high - low < NARROWEST * std:
        raise _invalid("high", f"bounds lie at least 2^-20 std apart; take uniform values. {received}")


def check_probability(probability: float) -> None:
    """Make sure that 0 <= probability <= 1.

    Raises:
        InvalidArgument: it is not.
    """
    if not 0 <= probability <= 1:
        raise _invalid("probability", f"a probability lies in [0, 1]. Received: probability={probability!r}")


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, field=field)
