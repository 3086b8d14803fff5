"""Moments of a value or of a gradient, and those of sums of its elements with random weights."""

from typing import NamedTuple

import numpy as np

from filler_server.diagnostics.signal.normal import Reals

NEAR, APART, CROSS, OTHER, UNITS = range(5)
"""Kinds of pairs of elements. Of one channel: in one sample at neighboring places, or at two places on average; in two
samples at one place, or at two. Of two channels: in one sample."""

KINDS = 5


class Moments(NamedTuple):
    """Moments of the elements of a value.

    Attributes:
        mean: the mean of all.
        mean_square: the mean of their squares.
        products: for each kind of pairs, the mean of the product of two elements.
    """

    mean: float
    mean_square: float
    products: Reals


class Weights(NamedTuple):
    """Mean and variance of the weights of a layer."""

    mean: float
    variance: float

    @property
    def mean_square(self) -> float:
        """The mean of squares."""
        return self.variance + self.mean**2


def weighted_sum(weights: Weights, channels: float, taps: float, of: Moments) -> Moments:
    """Return the moments of sums of elements, each with a random weight.

    It serves both ways: of activations, and of gradients on their way back.

    Args:
        weights: their mean and variance; they do not depend on each other.
        channels: over how many channels a sum goes.
        taps: how many places of each take part, on average.
        of: the moments of the elements.
    """
    number = channels * taps
    products = weights.mean_square * number * of.products
    square = weights.mean_square * number * of.mean_square
    units = 0.0
    if weights.mean and number:
        near, apart, _, _, between = of.products
        places = number * max(taps - 1, 0)
        others = number * max(number - taps, 0)
        same = weights.mean**2 * (places * near + others * between)
        square += same
        products[NEAR] += same
        products[APART] += weights.mean**2 * (places * apart + others * between)
        products[[CROSS, OTHER]] += weights.mean**2 * number * max(number - 1, 0) * of.mean**2
        units = weights.mean**2 * number * of.mean_square + same
    products[UNITS] = units
    return Moments(weights.mean * number * of.mean, square, products)


def shifted(moments: Moments, bias: Weights) -> Moments:
    """Return the moments of elements to which each channel adds a number of its own."""
    mean = moments.mean + bias.mean
    more = 2 * moments.mean * bias.mean + bias.mean**2
    products = moments.products + more + bias.variance
    products[UNITS] -= bias.variance
    return Moments(mean, moments.mean_square + more + bias.variance, products)


def of_twins(of: Moments) -> Moments:
    """Return the mean products of elements of two values that go together as two samples of one do.

    Args:
        of: the moments of each of them.
    """
    _, _, cross, other, _ = of.products.tolist()
    return Moments(of.mean, cross, np.array([other, other, cross, other, of.mean**2]))


_CANCELLED = 1e-6


def parameter_square(of: Moments, gradient: Moments, rows: float, places: float, channels: float = 1) -> float | None:
    """Return the mean square of a sum of a gradient times an activation; None if it is not known.

    Args:
        of: moments of the activation; of ones for a bias.
        gradient: moments of the gradient.
        rows: number of samples.
        places: number of places in each.
        channels: over how many channels the sum goes.
    """
    same = gradient.mean_square * of.mean_square
    _, apart, cross, other, units = (gradient.products * of.products).tolist()
    sample = max(places - 1, 0) * apart
    batch = max(rows - 1, 0) * (cross + max(places - 1, 0) * other)
    between = 0.0
    if channels > 1 and same:
        # Of two channels in two samples gradients are taken to have in common what they have of each of the two.
        common = gradient.mean**2
        _, _, own_cross, own_other, own_units = (gradient.products - common).tolist()
        others = places * common
        others += own_units / gradient.mean_square * (own_cross + max(places - 1, 0) * own_other)
        between = (channels - 1) * (places * units + max(rows - 1, 0) * others * of.mean**2)
    number = rows * places * channels
    total, scale = float(number * (same + sample + batch + between)), number * same
    # In front of a BatchNorm all terms cancel; where they seem to do more, nothing is known.
    if total < -_CANCELLED * scale:
        return None
    return total if total > _CANCELLED * scale else 0.0


ONES = Moments(1.0, 1.0, np.ones(KINDS))
"""The moments of a value of ones."""
