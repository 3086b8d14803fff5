"""Inner products and tables."""

import numpy as np

from filler_server.diagnostics.signal.gradients import Gradient, along_square, led_back
from filler_server.diagnostics.signal.moments import (
    APART,
    KINDS,
    NEAR,
    ONES,
    OTHER,
    UNITS,
    Moments,
    Weights,
    parameter_square,
    shifted,
    weighted_sum,
)
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import normal, random_sum
from filler_server.net.operations import inner_product


@rule(inner_product.InnerProduct)
def inner_product_(operation: inner_product.InnerProduct, layer: Layer) -> Passed:
    """Lead through InnerProduct."""
    if operation.weight_bottom or operation.bias_bottom:
        raise NotKnown("its weights are computed")
    dims, axis = layer.shape(), operation.axis
    fan = size(dims[axis:], "inputs")
    in_rows = layer.channel < axis
    channels = fan if in_rows else size(dims[layer.channel : layer.channel + 1], "channels")
    if operation.num_output is None:
        raise NotKnown("the number of its outputs is not known")
    outputs, weights, bottom = operation.num_output, layer.blob(0), layer.bottom.moments
    of = _by_rows(bottom, dims[1:axis], layer.channel - 1) if in_rows else bottom
    sums = weighted_sum(weights, channels, fan / max(channels, 1), of)
    if operation.bias:
        sums = shifted(sums, layer.blob(1))
    top = random_sum(sums, weights, fan, layer.bottom, dims, None)

    def back(tops: Gradients) -> Back:
        led = weighted_sum(weights, outputs, 1, tops[0].moments)
        pairs, own = led.products, led.products[[NEAR, APART, OTHER]]
        # Within a row each place has weights of its own, and so do channels; rows have the same.
        inside = fan / channels if not in_rows else fan
        rows = size(tuple(dim for place, dim in enumerate(dims[:axis]) if place not in (0, layer.channel)), "places")
        share = (rows - 1) / max(rows * inside - 1, 1)
        pairs[[NEAR, APART, OTHER]] = pairs[UNITS] + share * (own - pairs[UNITS])
        if in_rows:
            pairs[UNITS] += (float(own[1]) - pairs[UNITS]) / max(fan, 1)
        return Back((led_back(tops[0], led, bottom),), _blob_squares(operation, dims[:axis], of, tops[0], weights))

    return Passed((top,), back)


def _by_rows(of: Moments, dims: tuple[int | None, ...], channel: int) -> Moments:
    """Return the moments of a value of which each row, a place of the top, lies within one channel.

    Args:
        of: those with the channels of the value.
        dims: the axes of the rows.
        channel: which of these is that of the channels.
    """
    channels = size(dims[channel : channel + 1], "channels")
    rows = size(dims, "rows")
    # Of the other rows of a sample these lie in the same channel.
    same = (rows / max(channels, 1) - 1) / max(rows - 1, 1)
    _, apart, cross, other, units = of.products.tolist()
    beside, far = same * apart + (1 - same) * units, same * other + (1 - same) * of.mean**2
    return Moments(of.mean, of.mean_square, np.array([beside, beside, cross, far, apart]))


def _blob_squares(
    operation: inner_product.InnerProduct,
    batch: tuple[int | None, ...],
    of: Moments,
    gradient: Gradient,
    weights: Weights,
) -> tuple[float | None, ...]:
    """Return the mean squares of the gradients of weight and bias."""
    if None in batch:
        return (None, None)[: 1 + operation.bias]
    rows, places = size(batch[:1]), size(batch[1:])
    square = parameter_square(of, gradient.moments, rows, places)
    if square is not None:
        square += along_square(gradient, weights, of, rows, places)
    return (square, parameter_square(ONES, gradient.moments, rows, places))[: 1 + operation.bias]


@rule(inner_product.Embed)
def embed(operation: inner_product.Embed, layer: Layer) -> Passed:
    """Lead through Embed, with each index as likely as the others."""
    weights, number = layer.blob(0), operation.input_dim
    # Two samples have the same row where their indices are equal.
    same = weights.mean_square / number + weights.mean**2 * (1 - 1 / number)
    products = np.array([same, same, same, same, weights.mean**2])
    sums = Moments(weights.mean, weights.mean_square, products)
    top = normal(shifted(sums, layer.blob(1)) if operation.bias else sums)
    dims = layer.shape()

    def back(tops: Gradients) -> Back:
        gradient = tops[0].moments
        if None in dims:
            return Back((None,), (None, None)[: 1 + operation.bias])
        rows, places = size(dims[:1]), size(dims[1:])
        chosen = Moments(1 / number, 1 / number, np.full(KINDS, 1 / number**2))
        squares = [parameter_square(of, gradient, rows, places) for of in (chosen, ONES)]
        return Back((None,), tuple(squares[: 1 + operation.bias]))

    return Passed((top,), back)
