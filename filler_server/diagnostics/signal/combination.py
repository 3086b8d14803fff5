"""Operations that combine or choose values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, sqrt

import numpy as np

from filler_server.diagnostics.signal.activations import by_value
from filler_server.diagnostics.signal.data import whole_numbers
from filler_server.diagnostics.signal.gradients import NOTHING, Gradient
from filler_server.diagnostics.signal.moments import CROSS, KINDS, OTHER, Moments, of_twins
from filler_server.diagnostics.signal.normal import WEIGHTS, Reals, mean_of, quantiles
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import Activation, normal, shaped
from filler_server.diagnostics.signal.windows import blended
from filler_server.net.operations import combination

_TWO = 2


@rule(combination.Eltwise)
def eltwise(operation: combination.Eltwise, layer: Layer) -> Passed:
    """Lead through Eltwise: sum, product or largest of bottoms.

    They are functions of the same elements or do not depend on each other.
    """
    if operation.operation == "prod":
        return product(layer)
    coefficients = operation.coefficients or (1.0,) * len(layer.bottoms)
    if layer.root is not None:
        return _of_one(operation.operation, layer, layer.root, coefficients)
    are_added = operation.operation == "sum"
    if not (layer.twins and are_added and len(layer.bottoms) == len(set(layer.same)) == _TWO):
        layer.independent()
    return weighted(layer, coefficients) if are_added else _largest(layer)


def _of_one(kind: str, layer: Layer, root: Activation, coefficients: Sequence[float] = ()) -> Passed:
    """Return the sum, product or largest of bottoms that are functions of the same elements.

    Args:
        kind: sum, prod or max, as of Eltwise.
        layer: the layer.
        root: the value that all are functions of.
        coefficients: what each is multiplied with in a sum.
    """
    values = np.array([bottom.points for bottom in layer.bottoms])
    if kind == "sum":
        factors = np.array(coefficients)[:, None] * np.ones_like(values)
        points = (factors * values).sum(0)
    elif kind == "prod":
        factors = np.array([np.prod(np.delete(values, index, 0), 0) for index in range(len(values))])
        points = np.prod(values, 0)
    else:
        # Of those that are equal the first has the gradient.
        factors = (np.argmax(values, 0) == np.arange(len(values))[:, None]).astype(float)
        points = values.max(0)
    slopes = (factors * np.array(layer.slopes)).sum(0)
    passed = by_value(replace(layer, bottoms=(root,)), lambda _: (points, slopes))

    def back(tops: Gradients) -> Back:
        (gradient,) = passed.back(tops).bottoms
        assert isinstance(gradient, Gradient)  # noqa: S101 - for the type checker
        shown = (tops[0].through(factor, root, 0.0, whole=False) for factor in factors)
        return Back(tuple(shown), (), gradient)

    return Passed(passed.tops, back)


def weighted(layer: Layer, coefficients: Sequence[float]) -> Passed:
    """Return the sum of the bottoms, each times a number; different ones are taken not to depend on each other."""
    merged: dict[int, float] = {}
    for index, coefficient in zip(layer.same, coefficients, strict=True):
        merged[index] = merged.get(index, 0.0) + coefficient
    parts = [(layer.bottoms[index], coefficient) for index, coefficient in merged.items()]
    top, *others = (part if scale == 1 else part.with_points(part.points * scale) for part, scale in parts)
    between = None
    if layer.twins and len(parts) == _TWO:
        between = of_twins(layer.bottom.moments)
        together = parts[0][1] * parts[1][1]
        between = Moments(0.0, between.mean_square * together, between.products * together)
    for other in others:
        top = added(top, other, between)
    squares = [part.mean_square * scale**2 for part, scale in parts]
    profile = blended([(square, part.profile) for square, (part, _) in zip(squares, parts, strict=True)])
    drift = sum(square**2 * part.drift for square, (part, _) in zip(squares, parts, strict=True))
    variances = [part.variance * scale**2 for part, scale in parts]
    ties = sum(variance**2 * part.tied for variance, (part, _) in zip(variances, parts, strict=True))
    top = top.but(
        profile=profile,
        drift=drift / (sum(squares) ** 2 or 1.0),
        ties=ties / (sum(variances) ** 2 or 1.0),
    )
    leads = {index: to_part(top, parts, place, np.add) for place, index in enumerate(merged)}

    def back(tops: Gradients) -> Back:
        # What a value gives several times adds up before it is squared, and comes back to it once.
        gradients = {index: lead(tops[0]).scaled(merged[index] ** 2) for index, lead in leads.items()}
        if between is not None:
            # What comes back along with one comes back along with the other as well.
            gradients = {
                index: replace(led, pull=led.pull * sqrt(top.mean_square / (square or 1.0)), twin=True)
                for square, (index, led) in zip(squares, gradients.items(), strict=True)
            }
        return Back(tuple(gradients.pop(index, None) for index in layer.same))

    return Passed((top,), back)


def to_part(
    top: Activation, parts: Sequence[tuple[Activation, float]], place: int, operation: np.ufunc
) -> Callable[[Gradient], Gradient]:
    """Return what tells how the gradient of a combination depends on one of its parts, on average over the other.

    Args:
        top: the combination.
        parts: what is combined, and what each is multiplied with before.
        place: which of the parts.
        operation: what combines two of them.
    """

    def lead(gradient: Gradient) -> Gradient:
        if gradient.amplitude is None or len(parts) == 1:
            return gradient
        part, scale = parts[place]
        if part.kept != 1 or len(parts) > 2:
            return gradient.alike()
        other, factor = parts[1 - place]
        values = operation.outer(part.points * scale, _pairwise(other.plain().points * factor))
        squares = np.interp(values, top.points, gradient.amplitude**2) @ _PAIRED
        level = np.interp(values, top.points, gradient.amplitude if gradient.level is None else gradient.level)
        amplitude = np.sqrt(squares / (mean_of(squares) or 1.0))
        return replace(gradient, amplitude=amplitude, level=level @ _PAIRED, common=None)

    return lead


def added(first: Activation, second: Activation, between: Moments | None = None) -> Activation:
    """Return the distribution of the sum of two elements.

    Args:
        first: one.
        second: the other.
        between: the mean products of the two; None if they are independent.
    """
    mean = first.mean + second.mean
    cross = 2 * first.mean * second.mean
    square = first.mean_square + second.mean_square + cross
    moments = Moments(mean, square, first.products + second.products + cross)
    if first.mean_square == 0 or second.mean_square == 0:
        return first if second.mean_square == 0 else second
    points = np.add.outer(_pairwise(first.plain().points), _pairwise(second.plain().points)).ravel()
    if between is None:
        return shaped(quantiles(points, _PAIR_WEIGHTS), moments)
    whole = max(first.mean_square + second.mean_square + 2 * between.mean_square, mean * mean)
    points = mean + (points - mean) * sqrt((whole - mean * mean) / ((square - mean * mean) or 1.0))
    moments = Moments(mean, whole, first.products + second.products + 2 * between.products)
    return shaped(quantiles(points, _PAIR_WEIGHTS), moments)


def _pairwise(points: Reals) -> Reals:
    """Return the means of each two neighbors, of which there are few enough to combine all with all."""
    sums: Reals = (points * WEIGHTS).reshape(-1, 2).sum(1)
    return np.asarray(sums / _PAIRED)


_PAIRED = WEIGHTS.reshape(-1, 2).sum(1)
_OUTER_WEIGHTS = np.multiply.outer(WEIGHTS, WEIGHTS).ravel()
_PAIR_WEIGHTS = np.multiply.outer(_PAIRED, _PAIRED).ravel()


def product(layer: Layer) -> Passed:
    """Return the product of the bottoms, element by element or each with a channel's own."""
    if layer.root is not None:
        return _of_one("prod", layer, layer.root)
    if len(layer.bottoms) > 1 and len(set(layer.same)) == 1:
        power = len(layer.bottoms)
        powered = by_value(layer, lambda points: (points**power, power * points ** (power - 1)))
        return Passed(powered.tops, lambda tops: Back((*powered.back(tops).bottoms, *(None,) * (power - 1))))
    if len(set(layer.same)) < len(layer.same):
        raise NotKnown("it multiplies a value with itself")
    layer.independent()
    moments = Moments(1.0, 1.0, np.ones(KINDS))
    for bottom in layer.bottoms:
        moments = _multiplied(moments, bottom.moments)
    points = layer.bottoms[0].plain().points
    for bottom in layer.bottoms[1:]:
        combined = np.multiply.outer(_pairwise(points), _pairwise(bottom.plain().points))
        points = quantiles(combined.ravel(), _PAIR_WEIGHTS)
    top = shaped(points, moments).but(drift=sum(bottom.drift for bottom in layer.bottoms))
    parts = [(bottom, 1.0) for bottom in layer.bottoms]
    leads = [to_part(top, parts, index, np.multiply) for index in range(len(parts))]

    def back(tops: Gradients) -> Back:
        led = [lead(tops[0]) for lead in leads]
        gradients = []
        for index, own in enumerate(led):
            others = Moments(0.0, tops[0].mean_square, tops[0].products)
            for number, bottom in enumerate(layer.bottoms):
                if number != index:
                    others = _multiplied(others, led[number].weighed(bottom))
            square = layer.bottoms[index].mean_square
            pull = tops[0].pull * top.mean_square / square if square else 0.0
            gradients.append(Gradient(others.mean_square, others.products, own.amplitude, None, pull, level=own.level))
        return Back(tuple(_gathered(layer, gradients)))

    return Passed((top,), back)


def _multiplied(first: Moments, second: Moments) -> Moments:
    return Moments(first.mean * second.mean, first.mean_square * second.mean_square, first.products * second.products)


def _gathered(layer: Layer, gradients: Sequence[Gradient]) -> list[Gradient | NotKnown | None]:
    """Return the gradients of bottoms, of which some stand for many elements of the top each."""
    made: list[Gradient | NotKnown | None] = []
    for shape, gradient in zip(layer.shapes, gradients, strict=True):
        if shape == layer.plan.tops[0].shape:
            made.append(gradient)
            continue
        try:
            times = size(layer.top_shape()) / max(size(shape or ()), 1)
        except NotKnown as unknown:
            made.append(unknown)
            continue
        square = times * gradient.mean_square + times * max(times - 1, 0) * float(gradient.products[1])
        made.append(Gradient(square, times * times * gradient.products, pull=times * gradient.pull))
    return made


def _largest(layer: Layer) -> Passed:
    """Return the largest of the bottoms, which are taken not to depend on each other."""
    if len(set(layer.same)) == 1:
        return Passed((layer.bottom,), lambda tops: Back((*tops, *(NOTHING,) * (len(layer.bottoms) - 1))))
    plain = [bottom.plain() for bottom in layer.bottoms]
    points = plain[0].points
    for bottom in plain[1:]:
        both = np.maximum.outer(points, bottom.points)
        points = quantiles(both.ravel(), _OUTER_WEIGHTS)
        found = mean_of(points * points)
        # Quantiles leave out a part of the tails.
        points = points * sqrt(float(WEIGHTS @ (both * both) @ WEIGHTS) / found) if 0 < found < inf else points
    correlations = np.mean([bottom.correlations for bottom in plain], axis=0)
    top = Activation(points, correlations)
    wins = []
    for index, bottom in enumerate(plain):
        # Of two that are equal each counts half.
        chances = [
            (1 + np.sign(np.subtract.outer(bottom.points, other.points))) @ WEIGHTS / 2
            for place, other in enumerate(plain)
            if place != index
        ]
        wins.append(mean_of(np.prod(chances, axis=0)))

    def back(tops: Gradients) -> Back:
        gradient = Gradient(tops[0].mean_square, tops[0].products)
        return Back(tuple(Gradient(gradient.mean_square * win, gradient.products * win * win) for win in wins))

    return Passed((top,), back)


@rule(combination.Reduction)
def reduction(operation: combination.Reduction, layer: Layer) -> Passed:
    """Lead through Reduction: sums of values, of their sizes or of their squares."""
    dims, axis = layer.shape(), operation.axis
    number = size(dims[axis:], "values")
    places, rows = size(dims[max(axis, 2) :]), size(dims[:1], "samples") if axis == 0 else 1
    channels = number / max(places * rows, 1)
    kept = _as_they_are if operation.operation in ("sum", "mean") else _SIZES[operation.operation]
    parts = by_value(layer, kept)
    (part,) = parts.tops
    assert isinstance(part, Activation)  # noqa: S101 - for the type checker
    scale = operation.coefficient / (max(number, 1) if operation.operation == "mean" else 1)
    _, apart, cross, other, units = part.products.tolist()
    batch = (rows - 1) * (cross + (places - 1) * other + (channels - 1) * places * part.mean**2)
    pairs = (places - 1) * apart + (channels - 1) * places * units + batch
    square = scale**2 * number * max(part.mean_square + pairs, 0.0)
    mean = scale * number * part.mean
    between = (scale * number) ** 2 * (cross if channels * places == 1 else part.mean**2)
    top = normal(Moments(mean, max(square, mean * mean), np.array([square, square, between, between, square])))

    def back(tops: Gradients) -> Back:
        gradient = tops[0]
        products = np.full(KINDS, gradient.mean_square)
        if rows == 1:
            products[[CROSS, OTHER]] = gradient.products[CROSS]
        # The weight of a loss is one number for all, of which values with a mean have a part.
        is_weight = bool(np.all(gradient.products == gradient.mean_square)) and part.mean_square > 0
        pull = abs(scale) * sqrt(gradient.mean_square) * part.mean / part.mean_square if is_weight else 0.0
        return parts.back((Gradient(gradient.mean_square * scale**2, products * scale**2, pull=pull),))

    return Passed((top,), back)


def _as_they_are(points: Reals) -> tuple[Reals, Reals]:
    return points, np.ones_like(points)


_SIZES: dict[str, Callable[[Reals], tuple[Reals, Reals]]] = {
    "asum": lambda points: (np.abs(points), np.sign(points)),
    "sumsq": lambda points: (points * points, 2 * points),
}


@rule(combination.ArgMax)
def arg_max(operation: combination.ArgMax, layer: Layer) -> Passed:
    """Lead through ArgMax: indices, each as likely as the others."""
    if operation.values:
        raise NotKnown("it tells the largest values")
    dims = layer.shape()
    number = size(dims[1:] if operation.axis is None else dims[operation.axis : operation.axis + 1], "values")
    return Passed((whole_numbers(number),), lambda tops: Back((None,)))


@rule(combination.Silence, combination.HDF5Output)
def silence(operation: combination.Silence | combination.HDF5Output, layer: Layer) -> Passed:
    """Lead through what only reads."""
    return Passed((), lambda tops: Back((None,) * len(layer.bottoms)))


@rule(combination.BatchReindex, combination.Filter)
def reindex(operation: combination.BatchReindex | combination.Filter, layer: Layer) -> Passed:
    """Lead through operations that choose items."""
    tops = layer.bottoms[: len(layer.plan.tops)]

    def back(gradients: Gradients) -> Back:
        reason = NotKnown("how often it takes an item depends on data")
        return Back(tuple(reason for _ in gradients) + (None,) * (len(layer.bottoms) - len(gradients)))

    return Passed(tops, back)
