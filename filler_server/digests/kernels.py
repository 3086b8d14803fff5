"""The compiled loops of digests. Imports Numba."""

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from filler_server import compiled
from filler_server.digests import constants

_GAMMA = np.uint64(constants.GAMMA)
_FIRST = np.uint64(constants.FIRST)
_LOW = np.uint64(constants.LOW)
_HIGH = np.uint64(constants.HIGH)
_30, _27, _31, _33 = (np.uint64(shift) for shift in (30, 27, 31, 33))


def sums(bits: NDArray[Any], starts: NDArray[np.int64], bounds: NDArray[np.int64]) -> tuple[int, int]:
    """Return the two sums over elements that lie in runs; see `filler_server.digests.contract`.

    Args:
        bits: unsigned integers, one-dimensional and contiguous.
        starts: int64 [n], flat index of the first element of each run.
        bounds: int64 [n + 1], ascending from 0; run k is `bits[bounds[k]:bounds[k + 1]]`.
    """
    if compiled.is_serial(bits.size):
        low, high = _sums(bits, starts, bounds, 0, bits.size)
        return int(low), int(high)
    step = max(compiled.TASK, -(-bits.size // (4 * compiled.threads())))
    parts = np.zeros((-(-bits.size // step), 2), np.uint64)
    _sums_parallel(bits, starts, bounds, step, parts)
    low, high = parts.sum(axis=0, dtype=np.uint64)
    return int(low), int(high)


@compiled.serial
def _sums(bits: Any, starts: Any, bounds: Any, begin: Any, end: Any) -> Any:
    """The sums over `bits[begin:end]`."""
    low, high = np.uint64(0), np.uint64(0)
    # Numba's searchsorted imports SciPy's linear algebra where there is one, which takes longer than all else here.
    run, after = 0, starts.size
    while after - run > 1:
        middle = (run + after) // 2
        if bounds[middle] <= begin:
            run = middle
        else:
            after = middle
    while begin < end:
        stop = min(bounds[run + 1], end)
        values = bits[begin:stop]
        index = np.uint64(starts[run] + begin - bounds[run] + 1)
        for i in range(values.size):
            state = np.uint64(values[i]) + (index + np.uint64(i)) * _GAMMA
            state = (state ^ (state >> _30)) * _FIRST
            state ^= state >> _27
            one, two = state * _LOW, state * _HIGH
            low += one ^ (one >> _31)
            high += two ^ (two >> _33)
        begin, run = stop, run + 1
    return low, high


@compiled.parallel
def _sums_parallel(bits: Any, starts: Any, bounds: Any, step: Any, parts: Any) -> None:
    for task in prange(parts.shape[0]):
        low, high = _sums(bits, starts, bounds, task * step, min((task + 1) * step, bits.size))
        parts[task, 0], parts[task, 1] = low, high
