"""The compiled loops of `orthogonal`: vectors of float64, made orthonormal one block after the other. Imports Numba.

Sums are of eight lanes: lane l adds the products of the places l, l + 8, l + 16, ... in this order, each by one fma
from 0 on, and then the lanes are added as ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
"""

from math import sqrt
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from filler_server import compiled
from filler_server.rng.vectors import fused, load, spread, store

LANES = 8
"""Vectors are as long as a whole number of these."""

GROUP = 8
"""Earlier vectors whose part is taken off at once."""

_ROWS = 4
"""Vectors of one task of a thread."""


def project(vectors: NDArray[np.float64], earlier: tuple[int, int], rows: tuple[int, int]) -> None:
    """Take off some vectors what lies along earlier ones, `GROUP` of these after the other.

    Args:
        vectors: float64 [n, width], contiguous; width a multiple of `LANES`.
        earlier: number of the first of the earlier ones and of the one after the last, multiples of `GROUP`.
        rows: likewise of those that are changed.
    """
    flat, width = vectors.reshape(-1), vectors.shape[1]
    first, last = rows
    if compiled.is_serial((earlier[1] - earlier[0]) * width * (last - first) // LANES):
        _project(flat, width, *earlier, first, last)
    else:
        _project_parallel(flat, width, *earlier, first, last)


def orthonormalize(vectors: NDArray[np.float64], rows: tuple[int, int]) -> None:
    """Make vectors orthonormal among themselves, in their order: off each what lies along those before, one by one.

    A vector of zeros stays one. The arguments as in `project`.
    """
    _orthonormalize(vectors.reshape(-1), vectors.shape[1], *rows)


@compiled.inlined
def _sum(lanes: Any, at: Any) -> Any:
    even = (lanes[at] + lanes[at + 4]) + (lanes[at + 2] + lanes[at + 6])
    return even + ((lanes[at + 1] + lanes[at + 5]) + (lanes[at + 3] + lanes[at + 7]))


@compiled.serial
def _project(v: Any, width: Any, begin: Any, end: Any, first: Any, last: Any) -> None:
    lanes, sums = np.empty(64, np.float64), np.empty(8, np.float64)
    for group in range(begin, end, 8):
        p0 = group * width
        p1, p2, p3 = p0 + width, p0 + 2 * width, p0 + 3 * width
        p4, p5, p6, p7 = p0 + 4 * width, p0 + 5 * width, p0 + 6 * width, p0 + 7 * width
        for row in range(first, last):
            at = row * width
            a0 = spread(0.0, 8)
            a1 = a2 = a3 = a4 = a5 = a6 = a7 = a0
            for k in range(0, width, 8):
                x = load(v, at + k, 8)
                a0 = fused(load(v, p0 + k, 8), x, a0)
                a1 = fused(load(v, p1 + k, 8), x, a1)
                a2 = fused(load(v, p2 + k, 8), x, a2)
                a3 = fused(load(v, p3 + k, 8), x, a3)
                a4 = fused(load(v, p4 + k, 8), x, a4)
                a5 = fused(load(v, p5 + k, 8), x, a5)
                a6 = fused(load(v, p6 + k, 8), x, a6)
                a7 = fused(load(v, p7 + k, 8), x, a7)
            store(lanes, 0, a0)
            store(lanes, 8, a1)
            store(lanes, 16, a2)
            store(lanes, 24, a3)
            store(lanes, 32, a4)
            store(lanes, 40, a5)
            store(lanes, 48, a6)
            store(lanes, 56, a7)
            # In a loop, since each call with a constant of its own would be compiled for itself.
            for j in range(8):
                sums[j] = -_sum(lanes, 8 * j)
            c0, c1, c2, c3 = sums[0], sums[1], sums[2], sums[3]
            c4, c5, c6, c7 = sums[4], sums[5], sums[6], sums[7]
            for k in range(0, width, 8):
                x = load(v, at + k, 8)
                x = fused(load(v, p0 + k, 8), c0, x)
                x = fused(load(v, p1 + k, 8), c1, x)
                x = fused(load(v, p2 + k, 8), c2, x)
                x = fused(load(v, p3 + k, 8), c3, x)
                x = fused(load(v, p4 + k, 8), c4, x)
                x = fused(load(v, p5 + k, 8), c5, x)
                x = fused(load(v, p6 + k, 8), c6, x)
                x = fused(load(v, p7 + k, 8), c7, x)
                store(v, at + k, x)


@compiled.parallel
def _project_parallel(v: Any, width: Any, begin: Any, end: Any, first: Any, last: Any) -> None:
    for task in prange((last - first + _ROWS - 1) // _ROWS):
        _project(v, width, begin, end, first + task * _ROWS, min(first + (task + 1) * _ROWS, last))


@compiled.serial
def _orthonormalize(v: Any, width: Any, first: Any, last: Any) -> None:
    lanes = np.empty(8, np.float64)
    for row in range(first, last):
        at = row * width
        for earlier in range(first, row + 1):
            p = earlier * width
            a = spread(0.0, 8)
            for k in range(0, width, 8):
                a = fused(load(v, p + k, 8), load(v, at + k, 8), a)
            store(lanes, 0, a)
            product = _sum(lanes, 0)
            if earlier < row:
                for k in range(0, width, 8):
                    store(v, at + k, fused(load(v, p + k, 8), -product, load(v, at + k, 8)))
            elif product > 0:
                norm = sqrt(product)
                for k in range(at, at + width):
                    v[k] /= norm
