"""The sums of digests in NumPy: the same as those of the kernel, some twenty times slower."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.digests.constants import FIRST, GAMMA, HIGH, LOW

_BLOCK = 1 << 14
"""Elements that are summed at once, so that what is made of them stays in the cache."""


def sums(bits: NDArray[Any], starts: NDArray[np.int64], bounds: NDArray[np.int64]) -> tuple[int, int]:
    """Return the two sums over elements that lie in runs; see `filler_server.digests.contract`.

    Args:
        bits: unsigned integers, one-dimensional.
        starts: int64 [n], flat index of the first element of each run.
        bounds: int64 [n + 1], ascending from 0; run k is `bits[bounds[k]:bounds[k + 1]]`.
    """
    low, high = np.uint64(0), np.uint64(0)
    # The sums are modulo 2**64, which NumPy says of scalars.
    with np.errstate(over="ignore"):
        for begin in range(0, bits.size, _BLOCK):
            block = bits[begin : begin + _BLOCK].astype(np.uint64)
            runs = np.searchsorted(bounds, np.arange(begin, begin + block.size), side="right") - 1
            index = (starts - bounds[:-1])[runs] + np.arange(begin + 1, begin + block.size + 1)
            state = block + index.astype(np.uint64) * np.uint64(GAMMA)
            state = (state ^ state >> np.uint64(30)) * np.uint64(FIRST)
            state ^= state >> np.uint64(27)
            one, two = state * np.uint64(LOW), state * np.uint64(HIGH)
            low += (one ^ one >> np.uint64(31)).sum(dtype=np.uint64)
            high += (two ^ two >> np.uint64(33)).sum(dtype=np.uint64)
    return int(low), int(high)
