"""Medians, quartiles, and ratios of runs that alternate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Sample = TypeVar("Sample")


class NotAvailable(Exception):
    """A contender cannot take part: something is not installed, or it failed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of a distribution.

    Attributes:
        median: half of the samples are below.
        lower: a quarter of the samples are below.
        upper: a quarter of the samples are above.
        count: number of samples.
    """

    median: float
    lower: float
    upper: float
    count: int

    def scaled(self, factor: float) -> "Spread":
        """Return the same in another unit."""
        return Spread(self.median * factor, self.lower * factor, self.upper * factor, self.count)


def spread(samples: Sequence[float]) -> Spread:
    """Return median and quartiles.

    Raises:
        ValueError: there are no samples, or one is not a number.
    """
    values = np.asarray(samples, np.float64)
    if values.size == 0 or np.isnan(values).any():
        raise ValueError(f"a spread needs numbers. Received: samples={list(samples)}")
    lower, median, upper = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return Spread(median, lower, upper, values.size)


def paired_ratio(dividends: Sequence[float], divisors: Sequence[float]) -> Spread:
    """Return the spread of the ratios of samples of the same round.

    Neighbours in time share the machine's drift, so these scatter less than the ratio of two medians.

    Raises:
        ValueError: the two have not the same number of samples, or none.
    """
    return spread([dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)])


def alternate(
    contenders: Mapping[str, Callable[[], Sample]], rounds: int
) -> tuple[dict[str, list[Sample]], dict[str, str]]:
    """Run all contenders in turn, A B C A B C ..., `rounds` times.

    Returns:
        The samples of each contender that came to the end, and why the others did not.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, run in contenders.items():
            if name in failed:
                continue
            try:
                samples[name].append(run())
            except NotAvailable as error:
                failed[name] = str(error)
    return {name: taken for name, taken in samples.items() if name not in failed}, failed
