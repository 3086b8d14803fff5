"""Gradient that comes to the elements of a value."""

from dataclasses import dataclass, field, replace
from math import sqrt

import numpy as np

from filler_server.diagnostics.signal.layout import Parts
from filler_server.diagnostics.signal.moments import (
    CROSS,
    KINDS,
    Moments,
    Weights,
    parameter_square,
)
from filler_server.diagnostics.signal.normal import NODES, Reals, mean_of
from filler_server.diagnostics.signal.values import Activation
from filler_server.diagnostics.signal.windows import Profile, blended


@dataclass(eq=False)
class Gradient:
    """Gradient that comes to the elements of a value; its mean is taken to be 0.

    As an `Activation` it does not change.

    Attributes:
        mean_square: the mean of squares.
        products: for each kind of pairs, the mean of the product of two elements.
        amplitude: where the gradient depends on the element: the root of the mean square that it has for each z of the
            activation, relative to that of all.
        profile: how the mean square is spread over places.
        pull: how much of the value itself is in the gradient: E[gradient value] / E[value^2].
        level: where the amplitude varies for the same z, its mean, times a number; it is what two elements share.
        common: what a `Kernel` of the level has for the correlations of the activation, where it is known.
        excess: by what part it is larger as channels of small weights have larger gradients before a BatchNorm.
        parts: gradients of parts that lie side by side, where these differ.
        twin: whether what it pulls is the difference of the value and its twin.
    """

    mean_square: float
    products: Reals = field(default_factory=lambda: np.zeros(KINDS))
    amplitude: Reals | None = None
    profile: Profile | None = None
    pull: float = 0.0
    excess: float = 0.0
    level: Reals | None = None
    common: Reals | None = None
    parts: "Parts[Gradient] | None" = None
    twin: bool = False
    _weighed: tuple[Activation, Moments] | None = field(default=None, init=False)

    @property
    def moments(self) -> Moments:
        """The moments."""
        return Moments(0.0, self.mean_square, self.products)

    def scaled(self, square: float) -> "Gradient":
        """Return the gradient with all mean squares and products multiplied."""
        if square == 1:
            return self
        return replace(
            self,
            mean_square=self.mean_square * square,
            products=self.products * square,
            pull=self.pull * square,
            parts=None,
        )

    def scaled_square(self, square: float) -> "Gradient":
        """Return the gradient with the mean square multiplied, and nothing else."""
        return replace(self, mean_square=self.mean_square * square, pull=self.pull * square, parts=None)

    def alike(self) -> "Gradient":
        """Return the gradient without what it tells of single elements."""
        return self if self.amplitude is None else replace(self, amplitude=None, level=None, common=None)

    def through(self, slopes: Reals, activation: Activation, pull: float, *, whole: bool) -> "Gradient":
        """Return the gradient before a function of each element.

        Args:
            slopes: the derivative at the points of the activation.
            activation: what the function is of.
            pull: what it has in place of that of this gradient.
            whole: whether the activation is the bottom itself, so that the gradient depends on its elements.
        """
        after = slopes if self.amplitude is None else self.amplitude * slopes
        gain = mean_of(after * after)
        if not gain > 0:
            return NOTHING
        level = after if self.level is None else self.level * slopes
        shared = activation.pairs_of(level)
        products = self.products * shared
        if self.amplitude is not None:
            products /= np.maximum(self.shared(activation), 1e-3)
        if not whole:
            return Gradient(self.mean_square * gain, products, None, self.profile, pull)
        made = Gradient(self.mean_square * gain, products, after / sqrt(gain), self.profile, pull, common=shared / gain)
        return made if self.level is None else replace(made, level=level / sqrt(gain))

    def shared(self, activation: Activation) -> Reals:
        """Return what the amplitudes of two elements have in common, for each kind of pairs of an activation."""
        if self.amplitude is None:
            return np.ones(KINDS)
        if self.common is not None:
            return self.common
        return activation.pairs_of(self.amplitude if self.level is None else self.level)

    def weighed(self, of: Activation) -> Moments:
        """Return the moments of elements, each as the gradient that comes to it counts."""
        if self.amplitude is None:
            return of.moments
        # A Scale that changes nothing and the BatchNorm before it ask for the same.
        if self._weighed is not None and self._weighed[0] is of:
            return self._weighed[1]
        after = self.amplitude * of.points
        level = after if self.level is None else self.level * of.points
        share = of.pairs_of(level) / np.maximum(self.shared(of), 1e-3)
        moments = Moments(of.mean, mean_of(after * after), share)
        self._weighed = of, moments
        return moments


NOTHING = Gradient(0.0)
"""The gradient of what no loss depends on."""


def total(gradients: list[Gradient]) -> Gradient:
    """Return the sum of gradients that do not depend on each other."""
    gradients = [gradient for gradient in gradients if gradient is not NOTHING] or [NOTHING]
    if len(gradients) == 1:
        return gradients[0]
    square = sum(gradient.mean_square for gradient in gradients)
    pull = sum(gradient.pull for gradient in gradients)
    products = np.sum([gradient.products for gradient in gradients], axis=0)
    profile = blended([(gradient.mean_square, gradient.profile) for gradient in gradients])
    if not square or all(gradient.amplitude is None for gradient in gradients):
        return Gradient(square, products, None, profile, pull)
    squares, level = np.zeros_like(NODES), np.zeros_like(NODES)
    weights = [abs(float(gradient.products[CROSS])) for gradient in gradients]
    for gradient, weight in zip(gradients, weights, strict=True):
        amplitude = np.ones_like(NODES) if gradient.amplitude is None else gradient.amplitude
        own = amplitude if gradient.level is None else gradient.level
        squares += gradient.mean_square / square * amplitude**2
        level += weight / (sum(weights) or 1.0) * own / sqrt(mean_of(own * own) or 1.0)
    return Gradient(square, products, np.sqrt(squares), profile, pull, level=level if any(weights) else None)


def led_back(gradient: Gradient, sums: Moments, of: Moments, profile: Profile | None = None) -> Gradient:
    """Return the gradient before a layer of random weights.

    The weights have made the value that the gradient comes to. As far as the gradient goes along with that value, it
    comes back along with the value before the layer, besides what independent weights would make of it. What is larger
    for small weights has become what it is for all behind them.

    Args:
        gradient: that after the layer.
        sums: the moments that it has before the layer for independent weights.
        of: the moments of the value before the layer.
        profile: how the mean square is spread over places.
    """
    if gradient.excess:
        whole = 1 + gradient.excess
        return Gradient(sums.mean_square / whole, sums.products / whole, profile=profile)
    if not (gradient.pull and gradient.mean_square):
        return Gradient(sums.mean_square, sums.products, profile=profile)
    pull = gradient.pull * sums.mean_square / gradient.mean_square
    again = pull * pull
    products = sums.products + again * of.products
    return Gradient(sums.mean_square + again * of.mean_square, products, None, profile, pull)


def along_square(
    gradient: Gradient, weights: Weights, of: Moments, rows: float, places: float, channels: float = 1
) -> float:
    """Return what the gradient of weights has more as that of their sums goes along with these.

    A sum has a part of each of its weights times an element; as far as its gradient is a multiple of the sum, that of
    the weight is the same multiple of the weight, times the squares of the elements. What two elements have in common,
    their products tell already.

    Args:
        gradient: that of the sums.
        weights: mean and variance of the weights.
        of: the moments of the elements.
        rows: number of samples.
        places: number of places in each.
        channels: over how many channels the sum goes.
    """
    if not gradient.pull:
        return 0.0
    _, apart, cross, other, units = (of.mean_square**2 - of.products**2).tolist()
    pairs = max(places - 1, 0) * apart + max(rows - 1, 0) * (cross + max(places - 1, 0) * other)
    pairs += (channels - 1) * places * (units + max(rows - 1, 0) * (of.mean_square**2 - of.mean**4))
    return float(gradient.pull**2 * weights.mean_square * rows * places * channels * max(pairs, 0.0))


def own_square(of: Activation, gradient: Gradient, rows: float, places: float, channels: float = 1) -> float | None:
    """Return what `parameter_square` does where the gradient comes to these very elements.

    Args:
        of: what the gradient is multiplied with.
        gradient: that of a function of its elements.
        rows: number of samples.
        places: number of places in each.
        channels: over how many channels the sum goes.
    """
    return parameter_square(gradient.weighed(of), gradient.moments, rows, places, channels)


def scale_square(
    of: Activation, gradient: Gradient, scale: Weights, rows: float, places: float, channels: float = 1
) -> float | None:
    """Return the mean square of the gradient of numbers that elements are multiplied with.

    Args:
        of: what is multiplied.
        gradient: that of the product, as it depends on these elements.
        scale: mean and variance of the numbers.
        rows: number of samples.
        places: number of places in each.
        channels: over how many channels each of them counts.
    """
    square = own_square(of, gradient, rows, places, channels)
    if square is None:
        return None
    along = along_square(gradient, scale, of.moments, rows, places, channels)
    if gradient.amplitude is None or not along:
        return square + along
    # What goes along with the elements, the amplitude may tell already.
    alone = gradient.mean_square * gradient.weighed(of).mean_square
    return max(square, rows * places * channels * alone + along)
