"""Convolutions."""

from math import prod
from typing import TypeAlias, cast

from filler_server.diagnostics.signal.gradients import Gradient, along_square, led_back
from filler_server.diagnostics.signal.moments import (
    ONES,
    UNITS,
    Moments,
    Weights,
    parameter_square,
    shifted,
    weighted_sum,
)
from filler_server.diagnostics.signal.registry import Back, Gradients, Layer, NotKnown, Passed, rule, size
from filler_server.diagnostics.signal.values import random_sum
from filler_server.diagnostics.signal.windows import apart, axes, met, occupied, summed
from filler_server.net.operations import convolution

_Convolution: TypeAlias = convolution.Convolution | convolution.Deconvolution


@rule(convolution.Convolution)
def convolution_(operation: convolution.Convolution, layer: Layer) -> Passed:
    """Lead through Convolution: sums over the channels and the places of a window within the bottom."""
    return _convolved(operation, layer, transposed=False)


@rule(convolution.Deconvolution)
def deconvolution(operation: convolution.Deconvolution, layer: Layer) -> Passed:
    """Lead through Deconvolution: the windows of a Convolution the other way."""
    return _convolved(operation, layer, transposed=True)


@rule(convolution.CCCP)
def cccp(operation: convolution.CCCP, layer: Layer) -> Passed:
    """Lead through CCCP, a Convolution of kernel 1."""
    ones = (1,) * max(len(layer.shape()) - 2, 0)
    same = convolution.Convolution(
        kernel=ones,
        stride=ones,
        pad=(0,) * len(ones),
        dilation=ones,
        num_output=operation.num_output * operation.group,
        group=operation.group,
        bias=operation.bias,
    )
    return _convolved(same, layer, transposed=False)


def _convolved(operation: _Convolution, layer: Layer, *, transposed: bool) -> Passed:
    if operation.squeeze:
        raise NotKnown("axes of extent 1 vanish from its top")
    if operation.kernel is None or operation.stride is None or operation.pad is None or operation.dilation is None:
        raise NotKnown("the number of its spatial axes is not known")
    passes = [_one(operation, layer, index, transposed=transposed) for index in range(len(layer.bottoms))]

    def back(tops: Gradients) -> Back:
        backs = [passed.back((gradient,)) for passed, gradient in zip(passes, tops, strict=True)]
        blobs = [_added(parts) for parts in zip(*(made.blobs for made in backs), strict=True)]
        return Back(tuple(made.bottoms[0] for made in backs), tuple(blobs))

    return Passed(tuple(passed.tops[0] for passed in passes), back) if len(passes) > 1 else passes[0]


def _one(operation: _Convolution, layer: Layer, index: int, *, transposed: bool) -> Passed:
    """Return the way through for one of the bottoms, which all have the same weights."""
    kernel, stride, pad, dilation = operation.kernel, operation.stride, operation.pad, operation.dilation
    assert kernel is not None and stride is not None and pad is not None  # noqa: S101, PT018 - for the type checker
    axis, group = operation.axis, operation.group
    if group is None:
        raise NotKnown("the number of its groups is not known")
    inputs, outputs = layer.shape(index), layer.top_shape(index)
    here, there = _known(inputs[axis + 1 :]), _known(outputs[axis + 1 :])
    channels = size(inputs[axis : axis + 1], "channels") / group
    made = size(outputs[axis : axis + 1], "outputs") / group
    places = (there, here) if transposed else (here, there)
    windows = axes(*places, kernel, stride, pad, dilation)
    if not (prod(here) and prod(there)):
        raise NotKnown("it has no values")
    weights, bottom = layer.blob(0), layer.bottoms[index]
    of = bottom.moments
    taps, profile = summed(windows, bottom.profile, back=transposed)
    sums = weighted_sum(weights, channels, taps, of)
    sums.products[UNITS] = _between_groups(sums, weights, channels * taps, made, group, of)
    sums.products[:] -= weights.variance * channels * taps * apart(windows, back=transposed) * of.products
    if operation.bias:
        sums = shifted(sums, layer.blob(1))
    top = random_sum(sums, weights, channels * taps, bottom, inputs, profile)
    if (bottom.empty or occupied(bottom.profile) == 1) and occupied(profile) < 1:
        top = top.but(empty=not (operation.bias and layer.blob(1).mean_square))

    def back(tops: Gradients) -> Back:
        gradient = tops[0].moments
        hit, profile = summed(windows, tops[0].profile, back=not transposed)
        led = weighted_sum(weights, made, hit, gradient)
        led.products[UNITS] = _between_groups(led, weights, made * hit, channels, group, gradient)
        led.products[:] -= weights.variance * made * hit * apart(windows, back=not transposed) * gradient.products
        ends = (tops[0].profile, bottom.profile) if transposed else (bottom.profile, tops[0].profile)
        meetings = met(windows, *ends) / prod(kernel)
        blobs = _blob_squares(inputs[:axis], of, tops[0], weights, (meetings, prod(there)), bias=operation.bias)
        return Back((led_back(tops[0], led, of, profile),), blobs)

    return Passed((top,), back)


def _between_groups(sums: Moments, weights: Weights, number: float, outputs: float, group: int, of: Moments) -> float:
    """Return the mean product of two channels of a top, of one group or of two.

    Args:
        sums: moments of the top as if there were one group.
        weights: their mean and variance.
        number: over how many elements a sum goes.
        outputs: channels of each group.
        group: number of groups.
        of: moments of the bottom.
    """
    same = max(outputs - 1, 0) / max(outputs * group - 1, 1)
    apart = (weights.mean * number) ** 2 * float(of.products[UNITS])
    return same * float(sums.products[UNITS]) + (1 - same) * apart


def _blob_squares(
    batch: tuple[int | None, ...],
    of: Moments,
    gradient: Gradient,
    weights: Weights,
    places: tuple[float, int],
    *,
    bias: bool,
) -> tuple[float | None, ...]:
    """Return the mean squares of the gradients of weight and bias.

    Args:
        batch: the axes before the channels.
        of: the moments of the bottom.
        gradient: that of the top.
        weights: mean and variance of the weights.
        places: at how many places a weight meets the bottom, and how many the top has.
        bias: whether there is a bias.
    """
    if None in batch:
        return (None, None) if bias else (None,)
    rows, (met_at, count) = size(batch), places
    weight = parameter_square(of, gradient.moments, rows, met_at)
    if weight is not None:
        weight += along_square(gradient, weights, of, rows, met_at)
    return (weight, parameter_square(ONES, gradient.moments, rows, count)) if bias else (weight,)


def _added(parts: tuple[float | None, ...]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _known(dims: tuple[int | None, ...]) -> tuple[int, ...]:
    if None in dims:
        raise NotKnown("the number of its places is not known")
    return cast("tuple[int, ...]", dims)
