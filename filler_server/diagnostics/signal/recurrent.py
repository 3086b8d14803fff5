"""Recurrent operations over bottoms [timesteps, streams, ...], from a state of 0 on.

A sequence is taken to begin with the first timestep and to go on through all others. What the gates are multiplied with
is taken not to depend on them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from filler_server.diagnostics.signal.gradients import NOTHING, Gradient
from filler_server.diagnostics.signal.moments import CROSS, KINDS, UNITS, Moments, Weights, parameter_square
from filler_server.diagnostics.signal.normal import NODES, Kernel, Reals, mean_of
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import Activation, normal
from filler_server.net.operations import recurrent

_MOST_STEPS = 100
"""After so many timesteps a state is taken to stay as it is."""


class _Part(NamedTuple):
    """Moments of one of the values within an operation.

    Attributes:
        mean: the mean.
        square: the mean of squares.
        cross: the mean product of two samples.
        slope: the mean of squared derivatives of the function that it is of.
    """

    mean: float
    square: float
    cross: float
    slope: float = 1.0

    def times(self, other: "_Part") -> "_Part":
        """Return the product with an independent part."""
        return _Part(self.mean * other.mean, self.square * other.square, self.cross * other.cross)

    def plus(self, other: "_Part") -> "_Part":
        """Return the sum with an independent part."""
        both = 2 * self.mean * other.mean
        return _Part(self.mean + other.mean, self.square + other.square + both, self.cross + other.cross + both)

    def through(self, function: Callable[[Reals], Reals], slope: Callable[[Reals], Reals]) -> "_Part":
        """Return a function of normal values; its derivative is given by its values."""
        variance = max(self.square - self.mean**2, 0.0)
        points = function(self.mean + np.sqrt(variance) * NODES)
        correlation = min(max((self.cross - self.mean**2) / variance, -1.0), 1.0) if variance else 1.0
        cross = float(Kernel(points)(np.array([correlation]))[0])
        return _Part(mean_of(points), mean_of(points**2), cross, mean_of(slope(points) ** 2))


_NONE = _Part(0.0, 0.0, 0.0)


def _part(of: Activation) -> _Part:
    return _Part(of.mean, of.mean_square, float(of.products[CROSS]))


def _tanh(of: _Part) -> _Part:
    return of.through(np.tanh, lambda points: 1 - points * points)


def _gate(of: _Part) -> _Part:
    return of.through(lambda points: 1 / (1 + np.exp(-points)), lambda points: points * (1 - points))


def _weighed(weights: Weights, number: float, of: _Part) -> _Part:
    """Return the sum of a number of values with random weights of mean 0."""
    if weights.mean:
        raise NotKnown("the mean of its weights is not 0")
    scale = weights.variance * number
    return _Part(0.0, scale * of.square, scale * of.cross)


def _inputs(operation: recurrent.LSTM | recurrent.RNN, layer: Layer) -> _Part:
    """Return what the inputs and the bias give to each timestep."""
    bias = layer.blob(1)
    found = _weighed(layer.blob(0), size(layer.shape()[2:], "inputs"), _part(layer.bottom))
    if operation.static_input:
        static = _part(layer.bottoms[2])
        found = found.plus(_weighed(layer.blob(2), size(layer.shape(2)[1:], "inputs"), static))
    return found.plus(_Part(bias.mean, bias.mean_square, bias.mean_square))


def _mean(parts: list[_Part], steps: int) -> _Part:
    """Return the moments over all timesteps, of which those that are left out are as the last one."""
    counts = np.ones(len(parts))
    counts[-1] += steps - len(parts)
    mean, square, cross, _ = counts @ np.array(parts) / steps
    return _Part(float(mean), float(square), float(cross))


def _activation(part: _Part) -> Activation:
    products = np.full(KINDS, part.cross)
    products[UNITS] = part.mean**2
    return normal(Moments(part.mean, part.square, products))


def _back(layer: Layer, tops: tuple[Gradient, ...], static: bool, made: list[float], number: int) -> Back:
    """Return the gradients of a layer by those of the sums that its inputs go into.

    Args:
        layer: the layer.
        tops: the gradients of its tops.
        static: whether it has an input to all timesteps.
        made: for each timestep the mean square of the gradient of the sums.
        number: how many sums there are.
    """
    if len(tops) > 1 and any(top is not NOTHING for top in tops[1:]):
        raise NotKnown("a gradient comes to its last state")
    dims = layer.shape()
    steps, streams = size(dims[:1], "timesteps"), size(dims[1:2], "streams")
    counts = np.ones(len(made))
    counts[0] += steps - len(made)
    square = float(counts @ np.array(made)) / steps
    ratio = tops[0].products / tops[0].mean_square if tops[0].mean_square else np.zeros(KINDS)
    sums = Moments(0.0, square, square * ratio)
    scale = layer.blob(0).variance * number
    bottoms: list[Gradient | NotKnown | None] = [None] * len(layer.bottoms)
    bottoms[0] = Gradient(square * scale, square * scale * ratio)
    blobs: list[float | None] = [None] * len(layer.weights)
    blobs[0] = parameter_square(layer.bottom.moments, sums, steps, streams)
    if static:
        bottoms[2] = NotKnown("how the gradients of all timesteps go together depends on data")
    return Back(tuple(bottoms), tuple(blobs))


@rule(recurrent.RNN)
def rnn(operation: recurrent.RNN, layer: Layer) -> Passed:
    """Lead through RNN."""
    number, steps = operation.num_output, size(layer.shape()[:1], "timesteps")
    if not (number and steps):
        raise NotKnown("it has no values")
    inputs, again, out, bias = _inputs(operation, layer), *(layer.blob(len(layer.weights) - back) for back in (3, 2, 1))
    hidden, states, outputs = _NONE, [], []
    for _ in range(min(steps, _MOST_STEPS)):
        hidden = _tanh(inputs.plus(_weighed(again, number, hidden)))
        states.append(hidden)
        sums = _weighed(out, number, hidden).plus(_Part(bias.mean, bias.mean_square, bias.mean_square))
        outputs.append(_tanh(sums))
    tops = [_activation(_mean(outputs, steps)), _activation(states[-1])][: len(layer.plan.tops)]

    def back(gradients: Gradients) -> Back:
        later, made = 0.0, []
        for state, output in zip(reversed(states), reversed(outputs), strict=True):
            come = gradients[0].mean_square * output.slope * number * out.variance
            later = (come + later * number * again.variance) * state.slope
            made.append(later)
        return _back(layer, gradients, operation.static_input, made[::-1], number)

    return Passed(tuple(tops), back)


class _Step(NamedTuple):
    """One step of an LSTM: its gates, its candidate, the cell before and after, and the hyperbolic tangent of that."""

    gate: _Part
    candidate: _Part
    before: _Part
    cell: _Part
    shown: _Part

    @property
    def hidden(self) -> _Part:
        """The output."""
        return self.gate.times(self.shown)

    def sums(self, hidden: float, cell: float) -> tuple[float, float]:
        """Return the mean square of the gradient of the sums, over the four of them, and that of the cell before.

        Args:
            hidden: the mean square of the gradient of the output.
            cell: of the cell.
        """
        gate, candidate = self.gate, self.candidate
        cell += hidden * gate.square * self.shown.slope
        into = candidate.square * gate.slope + self.before.square * gate.slope + gate.square * candidate.slope
        return (cell * into + hidden * self.shown.square * gate.slope) / 4, cell * gate.square


def _step(sums: _Part, cell: _Part) -> _Step:
    gate, candidate = _gate(sums), _tanh(sums)
    after = gate.times(cell).plus(gate.times(candidate))
    return _Step(gate, candidate, cell, after, _tanh(after))


@rule(recurrent.LSTM)
def lstm(operation: recurrent.LSTM, layer: Layer) -> Passed:
    """Lead through LSTM."""
    number, steps = operation.num_output, size(layer.shape()[:1], "timesteps")
    if not (number and steps):
        raise NotKnown("it has no values")
    inputs, again = _inputs(operation, layer), layer.blob(len(layer.weights) - 1)
    made = [_step(inputs, _NONE)]
    for _ in range(min(steps, _MOST_STEPS) - 1):
        made.append(_step(inputs.plus(_weighed(again, number, made[-1].hidden)), made[-1].cell))
    last = (made[-1].hidden, made[-1].cell)
    tops = [_activation(part) for part in (_mean([step.hidden for step in made], steps), *last)]

    def back(gradients: Gradients) -> Back:
        sums, cell, found = 0.0, 0.0, []
        for step in reversed(made):
            sums, cell = step.sums(gradients[0].mean_square + 4 * number * again.variance * sums, cell)
            found.append(sums)
        return _back(layer, gradients, operation.static_input, found[::-1], 4 * number)

    return Passed(tuple(tops[: len(layer.plan.tops)]), back)


@rule(recurrent.LSTMUnit)
def lstm_unit(operation: recurrent.LSTMUnit, layer: Layer) -> Passed:
    """Lead through LSTMUnit."""
    cell, sums, going_on = (_part(bottom) for bottom in layer.bottoms[:3])
    step = _step(sums, cell.times(going_on))

    def back(gradients: Gradients) -> Back:
        made, before = step.sums(gradients[1].mean_square, gradients[0].mean_square)
        return Back((Gradient(before * going_on.square), Gradient(made), None))

    return Passed((_activation(step.cell), _activation(step.hidden)), back)
