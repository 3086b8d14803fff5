"""Inner products and tables."""

import numpy as np

from filler_server.diagnostics.signal.gradients import Gradient, along_square, led_back
from filler_server.diagnostics.signal.moments import (
    APART,
    CROSS,
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
from filler_server.diagnostics.signal.registry import Back, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import normal, random_sum
from filler_server.net.operations import inner_product


@rule(inner_product.InnerProduct)
def inner_product_(operation: inner_product.InnerProduct, layer: Layer) -> Passed:
    """Lead through InnerProduct."""
    if operation.weight_bottom or operation.bias_bottom:
        raise NotKnown("its weights are computed")
    dims, axis = layer.shape(), operation.axis
    fan = size(dims[axis:], "inputs")
    channels = size(dims[axis : axis + 1], "channels")
    if operation.num_output is None:
        raise NotKnown("the number of its outputs is not known")
    outputs, weights, of = operation.num_output, layer.blob(0), layer.bottom.moments
    sums = weighted_sum(weights, channels, fan / max(channels, 1), of)
    if operation.bias:
        sums = shifted(sums, layer.blob(1))
    top = random_sum(sums, weights, fan, layer.bottom, dims, None)

    def back(tops: tuple[Gradient, ...]) -> Back:
        gradient = tops[0].moments
        bottom = weighted_sum(weights, outputs, 1, gradient)
        pairs = bottom.products
        # Each place has weights of its own, and so do channels.
        pairs[[NEAR, APART, OTHER]] = pairs[UNITS]
        return Back((led_back(tops[0], bottom, of),), _blob_squares(operation, dims[:axis], of, tops[0], weights))

    return Passed((top,), back)


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
    rows = size(batch)
    square = parameter_square(of, gradient.moments, rows, 1)
    if square is not None:
        square += along_square(gradient, weights, of, rows, 1)
    return (square, parameter_square(ONES, gradient.moments, rows, 1))[: 1 + operation.bias]


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

    def back(tops: tuple[Gradient, ...]) -> Back:
        gradient = tops[0].moments
        if None in dims:
            return Back((None,), (None, None)[: 1 + operation.bias])
        rows = size(dims)
        others = max(rows - 1, 0) / number * gradient.products[CROSS]
        row = rows / number * (gradient.mean_square + float(others))
        return Back((None,), (max(row, 0.0), parameter_square(ONES, gradient, rows, 1))[: 1 + operation.bias])

    return Passed((top,), back)
