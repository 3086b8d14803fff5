"""Gradient that comes to the elements of a value."""

from dataclasses import dataclass, field, replace
from math import sqrt

import numpy as np

from filler_server.diagnostics.signal.moments import KINDS, Moments, parameter_square
from filler_server.diagnostics.signal.normal import WEIGHTS, Kernel, Reals
from filler_server.diagnostics.signal.values import Activation
from filler_server.diagnostics.signal.windows import Profile, blended


@dataclass(frozen=True)
class Gradient:
    """Gradient that comes to the elements of a value; its mean is taken to be 0.

    Attributes:
        mean_square: the mean of squares.
        products: for each kind of pairs, the mean of the product of two elements.
        amplitude: where the gradient depends on the element: the root of the mean square that it has for each z of the
            activation, relative to that of all.
        profile: how the mean square is spread over places.
        pull: how much of the value itself is in the gradient: E[gradient value] / E[value^2].
        common: what a `Kernel` of the amplitude has for the correlations of the activation, where it is known.
        excess: by what part it is larger as channels of small weights have larger gradients before a BatchNorm.
    """

    mean_square: float
    products: Reals = field(default_factory=lambda: np.zeros(KINDS))
    amplitude: Reals | None = None
    profile: Profile | None = None
    pull: float = 0.0
    excess: float = 0.0
    common: Reals | None = None

    @property
    def moments(self) -> Moments:
        """The moments."""
        return Moments(0.0, self.mean_square, self.products)

    def scaled(self, square: float) -> "Gradient":
        """Return the gradient with all mean squares and products multiplied."""
        return replace(
            self, mean_square=self.mean_square * square, products=self.products * square, pull=self.pull * square
        )

    def scaled_square(self, square: float) -> "Gradient":
        """Return the gradient with the mean square multiplied, and nothing else."""
        return replace(self, mean_square=self.mean_square * square, pull=self.pull * square)

    def through(self, slopes: Reals, activation: Activation, pull: float, *, whole: bool) -> "Gradient":
        """Return the gradient before a function of each element.

        Args:
            slopes: the derivative at the points of the activation.
            activation: what the function is of.
            pull: what it has in place of that of this gradient.
            whole: whether the activation is the bottom itself, so that the gradient depends on its elements.
        """
        after = slopes if self.amplitude is None else self.amplitude * slopes
        gain = float(WEIGHTS @ (after * after))
        if not gain > 0:
            return NOTHING
        shared = Kernel(after)(activation.correlations)
        products = self.products * shared
        if self.amplitude is not None:
            products /= np.maximum(self.shared(activation), 1e-3)
        if not whole:
            return Gradient(self.mean_square * gain, products, None, self.profile, pull)
        amplitude = after / sqrt(gain)
        return Gradient(self.mean_square * gain, products, amplitude, self.profile, pull, common=shared / gain)

    def shared(self, activation: Activation) -> Reals:
        """Return what the amplitudes of two elements have in common, for each kind of pairs of an activation."""
        if self.amplitude is None:
            return np.ones(KINDS)
        return Kernel(self.amplitude)(activation.correlations) if self.common is None else self.common


NOTHING = Gradient(0.0)
"""The gradient of what no loss depends on."""


def total(gradients: list[Gradient]) -> Gradient:
    """Return the sum of gradients that do not depend on each other."""
    if len(gradients) == 1:
        return gradients[0]
    square = sum(gradient.mean_square for gradient in gradients)
    pull = sum(gradient.pull for gradient in gradients)
    products = np.sum([gradient.products for gradient in gradients], axis=0)
    profile = blended([(gradient.mean_square, gradient.profile) for gradient in gradients])
    if not square or all(gradient.amplitude is None for gradient in gradients):
        return Gradient(square, products, None, profile, pull)
    parts = [
        gradient.mean_square / square * (1.0 if gradient.amplitude is None else gradient.amplitude**2)
        for gradient in gradients
    ]
    return Gradient(square, products, np.sqrt(np.sum(np.broadcast_arrays(*parts), axis=0)), profile, pull)


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
    after = gradient.amplitude * of.points
    share = Kernel(after)(of.correlations) / np.maximum(gradient.shared(of), 1e-3)
    return parameter_square(Moments(of.mean, float(WEIGHTS @ (after * after)), share), gradient.moments, rows, places)
