"""Counts of the places of windows that lie within their input."""

from functools import lru_cache
from math import prod


@lru_cache(maxsize=4096)
def _pairs(extent: int, windows: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    inside = 0
    for tap in range(kernel):
        # window * stride - pad + tap * dilation in [0, extent)
        shift = pad - tap * dilation
        first = max(-(-shift // stride), 0)
        last = min((extent - 1 + shift) // stride, windows - 1)
        inside += max(last - first + 1, 0)
    return inside


def pairs(
    extents: tuple[int, ...],
    windows: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    dilation: tuple[int, ...] | None = None,
) -> int:
    """Return the number of pairs of a window and a place of it that lies within the input.

    Args:
        extents: of the input, one for each spatial axis; so with the others.
        windows: how many windows there are.
        kernel: extents of a window.
        stride: steps between windows.
        pad: places before the input.
        dilation: distances between the places of a window; 1 by default.
    """
    spaced = dilation or (1,) * len(kernel)
    return prod(map(_pairs, extents, windows, kernel, stride, pad, spaced))
