"""The distribution of `identity` and `dirac`: one value at places with equal distances, 0 elsewhere."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from filler_server.fillers.reals import Discrete, Reals, probabilities, reals, result, where
from filler_server.rng.stream import RandomStream, Runs, Values


@dataclass(frozen=True, slots=True)
class Diagonal(Discrete):
    """`value` at the flat indices first, first + step, ..., `places` of them, and 0 at the rest of `count`.

    Nothing is random here: each value is as likely as it is frequent.
    """

    value: float
    first: int
    step: int
    places: int
    count: int

    @property
    def mean(self) -> float:
        """The value times its share."""
        return self.value * self._share

    @property
    def std(self) -> float:
        """|value| times the root of share (1 - share)."""
        return abs(self.value) * sqrt(self._share * (1 - self._share))

    @property
    def minimum(self) -> float:
        """The value or 0; 0 is left out where there is none."""
        return self.value if self._share == 1 else min(self.value, 0.0)

    @property
    def maximum(self) -> float:
        """The value or 0; 0 is left out where there is none."""
        return self.value if self._share == 1 else max(self.value, 0.0)

    def mass(self, x: ArrayLike) -> Reals:
        """Return the share of the value, or the rest for 0."""
        x = reals(x)
        of_value = np.where(x == self.value, self._share, 0.0)
        return where(x, True, of_value + np.where(x == 0, 1 - self._share, 0.0), 0.0)

    def cdf(self, x: ArrayLike) -> Reals:
        """Return the shares up to x."""
        x = reals(x)
        above = np.where(x >= self.maximum, 1.0, self._share if self.value < 0 else 1 - self._share)
        return where(x, x >= self.minimum, above, 0.0)

    def quantile(self, q: ArrayLike) -> Reals:
        """Return the smaller of the two up to its share, then the other."""
        q, inside = probabilities(q)
        return result(q, np.where(inside <= self.cdf(self.minimum), self.minimum, self.maximum))

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        """Write the values of `runs`; no random number is drawn."""
        out.fill(0)
        starts, ends = runs.starts, runs.starts + np.diff(runs.bounds)
        begin, end = (np.clip(-(-(at - self.first) // self.step), 0, self.places) for at in (starts, ends))
        counts = np.maximum(end - begin, 0)
        number = np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        out[np.repeat(runs.bounds[:-1] - starts, counts) + self.first + number * self.step] = self.value

    @property
    def _share(self) -> float:
        return self.places / self.count
