"""A small plot of a distribution, in characters."""

import math
from dataclasses import dataclass

import numpy as np

from filler_server.fillers.distributions import Distribution

_TAIL = 1e-3
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:#"


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares of the values in intervals of equal width.

    Attributes:
        low, high: ends of the first and of the last interval.
        shares: share of each interval; what lies further out is in none.
    """

    low: float
    high: float
    shares: tuple[float, ...]


def bars(distribution: Distribution, count: int) -> Bars | None:
    """Return a distribution as bars between its bounds, or quantiles where it has none; None of one value alone."""
    low, high = distribution.minimum, distribution.maximum
    if not math.isfinite(low):
        low = float(distribution.quantile(_TAIL))
    if not math.isfinite(high):
        high = float(distribution.quantile(1 - _TAIL))
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low) and low < high):
        return None
    edges = np.linspace(low, high, count + 1)
    below = np.asarray(distribution.cdf(edges))
    below[0] = float(distribution.cdf(edges[0])) - float(distribution.mass(edges[0]))
    return Bars(low, high, tuple(np.diff(below).tolist()))


def plot(of: Bars, height: int, *, plain: bool) -> list[str]:
    """Return bars as lines of text, and the ends of their axis under them.

    Args:
        of: the bars, one for each column.
        height: number of lines of the highest bar.
        plain: whether ASCII has to do.
    """
    steps = _ASCII if plain else _BLOCKS
    full = len(steps) - 1
    top = max(of.shares) or 1.0
    heights = [round(share / top * height * full) or (share > 0) for share in of.shares]
    lines = [
        "".join(steps[min(max(level - row * full, 0), full)] for level in heights).rstrip()
        for row in reversed(range(height))
    ]
    low, high = f"{of.low:.4g}", f"{of.high:.4g}"
    return [*lines, "-" * len(of.shares), f"{low}{high:>{max(len(of.shares) - len(low), len(high) + 1)}}"]
