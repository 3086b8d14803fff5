"""The tables of the ziggurats, worked out from their definition.

Marsaglia and Tsang, "The ziggurat method for generating random variables", 2000. A ziggurat of n strips covers the
area under a descending f, f(0) = 1, with n pieces of equal area v: strips i = 1 to n - 1, x[i] wide and from f(x[i])
to f(x[i + 1]) high, and a lowest one that has the tail beyond r = x[1] as well. So v = r f(r) + (the integral of f
from r on), and r is the number for which the topmost strip ends at f = 1:

    x[0] = v / f(r), x[1] = r, x[i + 1] = f^-1(f(x[i]) + v / x[i]), x[n] = 0;   y[0] = 0, y[i] = f(x[i])

Computed to 60 digits and rounded once, to double, they are the constants of Boost's sources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_DIGITS = 60
_CLOSED = Decimal(10) ** -(_DIGITS - 10)


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """x and y, both float64 [n + 1] and read-only."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@lru_cache(maxsize=1)
def normal() -> Tables:
    """128 strips under exp(-x^2 / 2)."""
    return _tables(
        128,
        Decimal("3.4426198558966"),
        density=lambda x: (-x * x / 2).exp(),
        inverse=lambda y: (-2 * y.ln()).sqrt(),
        tail=_normal_tail,
    )


@lru_cache(maxsize=1)
def exponential() -> Tables:
    """256 strips under exp(-x)."""
    return _tables(
        256,
        Decimal("7.6971174701310"),
        density=lambda x: (-x).exp(),
        inverse=lambda y: -y.ln(),
        tail=lambda x: (-x).exp(),
    )


_Function = Callable[[Decimal], Decimal]


def _tables(n: int, near: Decimal, *, density: _Function, inverse: _Function, tail: _Function) -> Tables:
    """The tables of n strips; `near` is close to r."""
    with localcontext(prec=_DIGITS):

        def strips(r: Decimal) -> list[Decimal]:
            """Return y[1] to y[n], the last of which is 1 for the right r, and beyond 1 when r is too small."""
            area = r * density(r) + tail(r)
            heights = [density(r)]
            while len(heights) < n:
                heights.append(heights[-1] + area / inverse(heights[-1]))
            return heights

        before, r = near, near + Decimal("1e-12")
        gap_before = strips(before)[-1] - 1
        while abs(gap := strips(r)[-1] - 1) > _CLOSED:
            before, r, gap_before = r, r - gap * (r - before) / (gap - gap_before), gap
        heights = strips(r)
        x = [r + tail(r) / density(r), r, *(inverse(height) for height in heights[1:-1]), Decimal(0)]
        y = [Decimal(0), *heights[:-1], Decimal(1)]
        return Tables(_rounded(x), _rounded(y))


def _normal_tail(x: Decimal) -> Decimal:
    """The integral of exp(-t^2 / 2) from x > 3 on, by Laplace's fraction: exp(-x^2 / 2) / (x + 1 / (x + 2 / ...))."""
    fraction = x
    for k in range(250, 0, -1):
        fraction = x + k / fraction
    return (-x * x / 2).exp() / fraction


def _rounded(values: list[Decimal]) -> NDArray[np.float64]:
    rounded = np.array([float(value) for value in values])
    rounded.flags.writeable = False
    return rounded
