"""Statistics of a value (an activation) and of the gradient that comes to it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, inf, isfinite
from typing import NamedTuple

import numpy as np

from filler_server.diagnostics.signal.normal import NODES, WEIGHTS, Kernel, Reals, quantiles
from filler_server.diagnostics.signal.windows import Profile, blended

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


@dataclass(frozen=True)
class Activation:
    """Distribution of the elements of a value: of f(z) for standard normal z, of which each is kept with a probability.

    Attributes:
        points: f at the nodes of `normal`.
        correlations: of z, for each kind of pairs.
        kept: the probability to be kept by a Dropout, which scales what it keeps; otherwise an element is 0.
        spread: variance among channels of the variance within a channel, relative to its square.
        profile: how the mean square is spread over places.
        drift: variance, over nets, of the logarithm of the mean square that the layers before leave.
        saturated: share of elements near the bounds of a sigmoid or tanh; None where it makes no sense.
        dead: share of channels that are 0 in the whole batch; None where it makes no sense.
    """

    points: Reals
    correlations: Reals
    kept: float = 1.0
    spread: float = 0.0
    profile: Profile | None = None
    drift: float = 0.0
    saturated: float | None = None
    dead: float | None = None

    @cached_property
    def mean(self) -> float:
        """The mean."""
        mean = float(WEIGHTS @ self.points)
        # Of a symmetric distribution rounding leaves something.
        return mean if mean * mean > 1e-28 * self.mean_square else 0.0

    @cached_property
    def mean_square(self) -> float:
        """The mean of squares."""
        return float(WEIGHTS @ (self.points * self.points)) / self.kept

    @property
    def variance(self) -> float:
        """The variance of all elements."""
        return max(self.mean_square - self.mean**2, 0.0)

    @property
    def zeros(self) -> float:
        """The share of elements that are 0."""
        return 1 - self.kept * float(WEIGHTS @ (self.points != 0))

    @cached_property
    def kernel(self) -> Kernel:
        """The mean product of two elements, by the correlation of their z."""
        return Kernel(self.points)

    @cached_property
    def products(self) -> Reals:
        """The mean product of two elements, for each kind of pairs."""
        return self.kernel(self.correlations)

    @cached_property
    def moments(self) -> Moments:
        """The moments."""
        return Moments(self.mean, self.mean_square, self.products)

    def plain(self) -> "Activation":
        """Return a like distribution without anything dropped, as an ascending function of z."""
        if self.kept == 1 and bool(np.all(self.points[1:] >= self.points[:-1])):
            return self
        points = np.append(self.points / self.kept, 0.0)
        weights = np.append(WEIGHTS * self.kept, 1 - self.kept)
        made = shaped(quantiles(points, weights), self.moments)
        return replace(made, profile=self.profile, drift=self.drift)

    def drift_after(self, channels: float) -> float:
        """Return the drift of sums of the elements, as each channel has a mean square of its own.

        Args:
            channels: how many there are; they do not depend on each other.
        """
        square = self.mean_square * self.kept
        if not (square > 0 and channels and self.correlations[CROSS] > 0):
            return self.drift
        shared = float(Kernel(self.points**2 / square)(self.correlations[CROSS : CROSS + 1])[0])
        return self.drift + max(shared - 1, 0.0) / channels

    @property
    def typical(self) -> float:
        """The share of the mean square that a typical net has, by the geometric mean over nets.

        The mean square behind many layers is a product of as many random gains: few nets have a large one, which the
        mean over all is made of.
        """
        return exp(-self.drift / 2)

    def with_points(self, points: Reals) -> "Activation":
        """Return the distribution of a function of the elements."""
        return replace(self, points=points, saturated=None, dead=None)


def normal(moments: Moments, spread: float = 0.0) -> Activation:
    """Return the normal distribution with some moments."""
    mean, mean_square, products = moments
    if not isfinite(mean_square):
        return constant(inf)
    variance = max(mean_square - mean * mean, 0.0)
    if not variance > 1e-14 * mean_square:
        return Activation(np.full_like(NODES, mean), np.zeros(KINDS), spread=spread)
    correlations = np.clip((products - mean * mean) / variance, -1, 1)
    return Activation(mean + np.sqrt(variance) * NODES, correlations, spread=spread)


def shaped(points: Reals, moments: Moments, spread: float = 0.0) -> Activation:
    """Return a distribution of a shape with some moments; where there are zeros, these stay.

    Args:
        points: the shape at the nodes, nearly of these moments.
        moments: the moments.
        spread: as of `Activation`.
    """
    found = float(WEIGHTS @ (points * points))
    if found > 0:
        points = points * np.sqrt(moments.mean_square / found)
    return Activation(points, Kernel(points).inverse(moments.products), spread=spread)


def constant(value: float) -> Activation:
    """Return the distribution of one value."""
    return Activation(np.full_like(NODES, value), np.zeros(KINDS))


@dataclass(frozen=True)
class Gradient:
    """Gradient that comes to the elements of a value; its mean is taken to be 0.

    Attributes:
        mean_square: the mean of squares.
        products: for each kind of pairs, the mean of the product of two elements.
        amplitude: where the gradient depends on the element: the root of the mean square that it has for each z of the
            activation, relative to that of all.
        profile: how the mean square is spread over places.
    """

    mean_square: float
    products: Reals = field(default_factory=lambda: np.zeros(KINDS))
    amplitude: Reals | None = None
    profile: Profile | None = None

    @property
    def moments(self) -> Moments:
        """The moments."""
        return Moments(0.0, self.mean_square, self.products)

    def scaled(self, square: float) -> "Gradient":
        """Return the gradient with all mean squares and products multiplied."""
        return replace(self, mean_square=self.mean_square * square, products=self.products * square)

    def scaled_square(self, square: float) -> "Gradient":
        """Return the gradient with the mean square multiplied, and nothing else."""
        return replace(self, mean_square=self.mean_square * square)

    def through(self, slopes: Reals, activation: Activation) -> "Gradient":
        """Return the gradient before a function of each element.

        Args:
            slopes: the derivative at the points of the activation.
            activation: what the function is of.
        """
        after = slopes if self.amplitude is None else self.amplitude * slopes
        gain = float(WEIGHTS @ (after * after))
        if not gain > 0:
            return Gradient(0.0)
        products = self.products * Kernel(after)(activation.correlations)
        if self.amplitude is not None:
            products /= np.maximum(Kernel(self.amplitude)(activation.correlations), 1e-3)
        return Gradient(self.mean_square * gain, products, after / np.sqrt(gain), self.profile)


NOTHING = Gradient(0.0)
"""The gradient of what no loss depends on."""


def total(gradients: list[Gradient]) -> Gradient:
    """Return the sum of gradients that do not depend on each other."""
    if len(gradients) == 1:
        return gradients[0]
    square = sum(gradient.mean_square for gradient in gradients)
    products = np.sum([gradient.products for gradient in gradients], axis=0)
    profile = blended([(gradient.mean_square, gradient.profile) for gradient in gradients])
    if not square or all(gradient.amplitude is None for gradient in gradients):
        return Gradient(square, products, None, profile)
    parts = [
        gradient.mean_square / square * (1.0 if gradient.amplitude is None else gradient.amplitude**2)
        for gradient in gradients
    ]
    return Gradient(square, products, np.sqrt(np.sum(np.broadcast_arrays(*parts), axis=0)), profile)


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


_CANCELLED = 1e-6


def parameter_square(of: Moments, gradient: Moments, rows: float, places: float) -> float | None:
    """Return the mean square of a sum over batch and places of a gradient times an activation; None if it is not known.

    Args:
        of: moments of the activation; of ones for a bias.
        gradient: moments of the gradient.
        rows: number of samples.
        places: number of places in each.
    """
    same = gradient.mean_square * of.mean_square
    pairs = gradient.products * of.products
    sample = max(places - 1, 0) * pairs[APART]
    batch = max(rows - 1, 0) * (pairs[CROSS] + max(places - 1, 0) * pairs[OTHER])
    number = rows * places
    total, scale = float(number * (same + sample + batch)), number * same
    # In front of a BatchNorm all terms cancel; where they seem to do more, nothing is known.
    if total < -_CANCELLED * scale:
        return None
    return total if total > _CANCELLED * scale else 0.0


ONES = Moments(1.0, 1.0, np.ones(KINDS))
"""The moments of a value of ones."""


def own_square(of: Activation, gradient: Gradient, rows: float, places: float) -> float | None:
    """Return what `parameter_square` does where the gradient comes to these very elements.

    Args:
        of: what the gradient is multiplied with.
        gradient: that of a function of its elements.
        rows: number of samples.
        places: number of places in each.
    """
    if gradient.amplitude is None:
        return parameter_square(of.moments, gradient.moments, rows, places)
    before, after = Kernel(gradient.amplitude), gradient.amplitude * of.points
    share = Kernel(after)(of.correlations) / np.maximum(before(of.correlations), 1e-3)
    return parameter_square(Moments(of.mean, float(WEIGHTS @ (after * after)), share), gradient.moments, rows, places)
