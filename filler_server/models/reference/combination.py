"""Operations that combine or choose values."""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import combination as operations


@computes(operations.ArgMax)
def arg_max(operation: operations.ArgMax, layer: Layer) -> Array:
    """Return indices of the largest values, or these values; of equal ones the larger index comes first."""
    x = layer.bottom
    flat, axis = (x.reshape(len(x), -1), 1) if operation.axis is None else (x, operation.axis)
    # Turned around, so that of equal values a stable sort puts the larger index first.
    order = np.argsort(-np.flip(flat, axis), axis, kind="stable")
    indices = flat.shape[axis] - 1 - order.take(range(operation.top_k), axis)
    values = np.take_along_axis(flat, indices, axis)
    if operation.axis is not None:
        return values if operation.values else indices.astype(x.dtype)
    parts = [indices.astype(x.dtype), values] if operation.values else [indices.astype(x.dtype)]
    top = np.stack(parts, 1)
    return top.reshape(*top.shape, *(1,) * (x.ndim - 3))


@computes(operations.BatchReindex)
def batch_reindex(operation: operations.BatchReindex, layer: Layer) -> Array:
    """Return the items of the first bottom that the second lists."""
    x, listed = layer.bottoms
    return x[whole_numbers(listed, len(x), "an index of an item")]


@computes(operations.Eltwise)
def eltwise(operation: operations.Eltwise, layer: Layer) -> Array:
    """Return the bottoms combined value by value."""
    match operation.operation:
        case "prod":
            return reduce(np.multiply, layer.bottoms)
        case "max":
            # As Caffe compares them, which decides over NaN: of the first two, then each other with these.
            first, second, *others = layer.bottoms
            pair = np.where(first > second, first, second)
            return reduce(lambda most, x: np.where(x > most, x, most), others, pair)
    terms = (factor * x for factor, x in zip(operation.coefficients, layer.bottoms, strict=True))
    return reduce(np.add, terms)


@computes(operations.Filter)
def filter_(operation: operations.Filter, layer: Layer) -> tuple[Array, ...]:
    """Return the items that the last bottom selects."""
    *bottoms, selector = layer.bottoms
    chosen = np.flatnonzero(selector)
    return tuple(x[chosen] for x in bottoms)


@computes(operations.Reduction)
def reduction(operation: operations.Reduction, layer: Layer) -> Array:
    """Return one number out of the axis and all after it."""
    x = layer.bottom
    rows = x.reshape(*x.shape[: operation.axis % max(x.ndim, 1)], -1)
    match operation.operation:
        case "asum":
            rows = np.abs(rows)
        case "sumsq":
            rows = rows * rows
    total = rows.sum(-1)
    return np.asarray(operation.coefficient * (total / rows.shape[-1] if operation.operation == "mean" else total))


def whole_numbers(values: Array, most: int, what: str) -> NDArray[np.intp]:
    """Return values as whole numbers below a bound, as Caffe cuts them.

    Raises:
        InvalidArgument: one is not there; `what` says what they are.
    """
    outside = ~((values > -1) & (values < most))
    if outside.any():
        raise InvalidArgument(f"{what} is 0 to {most - 1}. Received: {values[outside].flat[0]:g}")
    return values.astype(np.intp)
