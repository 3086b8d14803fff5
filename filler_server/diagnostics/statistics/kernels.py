"""The compiled loops over the values of a blob: 1024 at a time, in 32 lanes, while the nearest cache has them.

Imports Numba.
"""

from typing import Any

import numpy as np

from filler_server import compiled
from filler_server.rng.vectors import below, fused, load, select, spread, store


@compiled.serial
def look(values: Any, center: Any, low: Any, scale: Any, last: Any, bins: Any, sums: Any, counts: Any) -> None:
    """Add up what there is to know of values, but for their order.

    Args:
        values: float32 or float64 [n], contiguous.
        center: what is taken off each value before it is added.
        low: a value x counts in the bin (x - low) scale, at least 0 and at most `last`.
        scale: see there.
        last: see there.
        bins: int64 [last + 1], is added to; one bin alone is not.
        sums: float64 [4]: sum and squares of the centered values, least and largest value; of the finite values alone.
        counts: int64 [3]: zeros, NaN, infinite values.
    """
    index, wide = np.empty(1024, np.int32), np.empty(1024, np.float64)
    lanes, ends = np.empty(32, np.float64), np.empty(32, values.dtype)
    for begin in range(0, values.size, 1024):
        part = values[begin : begin + 1024]
        whole = part.size - part.size % 32
        if bins.size > 1:
            for i in range(part.size):
                place = (np.float64(part[i]) - low) * scale
                # A NaN is not above 0.
                place = max(0.0, place)
                index[i] = np.int32(min(last, place))
            for i in range(part.size):
                bins[index[i]] += 1
        zeros = 0
        for i in range(part.size):
            zeros += part[i] == 0
        counts[0] += zeros
        for i in range(part.size):
            wide[i] = np.float64(part[i]) - center
        totals = squares = spread(0.0, 32)
        least = largest = spread(part[0], 32)
        for i in range(0, whole, 32):
            x, y = load(wide, i, 32), load(part, i, 32)
            totals = totals + x
            squares = fused(x, x, squares)
            least = select(below(y, least), y, least)
            largest = select(below(largest, y), y, largest)
        store(lanes, 0, squares)
        square = np.sum(lanes)
        store(lanes, 0, totals)
        total = np.sum(lanes)
        for i in range(whole, part.size):
            total += wide[i]
            square += wide[i] * wide[i]
        if not np.isfinite(square):
            _look_at_finite(part, center, sums, counts)
            continue
        sums[0] += total
        sums[1] += square
        store(ends, 0, least)
        sums[2] = min(sums[2], np.float64(np.min(ends)))
        store(ends, 0, largest)
        sums[3] = max(sums[3], np.float64(np.max(ends)))
        for i in range(whole, part.size):
            sums[2] = min(sums[2], np.float64(part[i]))
            sums[3] = max(sums[3], np.float64(part[i]))


@compiled.serial
def _look_at_finite(part: Any, center: Any, sums: Any, counts: Any) -> None:
    for i in range(part.size):
        value = np.float64(part[i])
        if np.isnan(value):
            counts[1] += 1
        elif np.isinf(value):
            counts[2] += 1
        else:
            x = value - center
            sums[0] += x
            sums[1] += x * x
            sums[2] = min(sums[2], value)
            sums[3] = max(sums[3], value)


@compiled.serial
def tally(words: Any, counts: Any) -> None:
    """Count words of 16 bits, each in the place of its number: int64 [65536]."""
    for i in range(words.size):
        counts[words[i]] += 1


@compiled.serial
def fingerprint(
    words: Any, start: Any, inner: Any, inputs: Any, outputs: Any, sign: Any, factors: Any, prints: Any
) -> None:
    """Add to the fingerprints of channels what the words of their values are worth, each in its place.

    A fingerprint is the sum over a channel of word k times factors[k mod 1024] times an odd number for k div 1024,
    modulo 2^64: words may come in any pieces, and a channel of zeros has 0.

    Args:
        words: unsigned integers [n], the bits of values.
        start: number of the first word in the blob, which is [groups, inputs, outputs, inner] words.
        inner: see there.
        inputs: see there; a channel is one of [groups, outputs].
        outputs: see there.
        sign: the word of a value of -0, which counts as 0; of the type of the words.
        factors: uint32 [1024], odd.
        prints: uint64 [groups outputs].
    """
    at, end = 0, words.size
    while at < end:
        run, offset = divmod(start + at, inner)
        group, place = divmod(run, inputs * outputs)
        column, output = divmod(place, outputs)
        position = column * inner + offset
        channel = group * outputs + output
        odd = np.uint64(2) * np.uint64(position >> 10) + np.uint64(1)
        if inner == 1 and outputs > 1:
            part = words[at : at + min(outputs - output, end - at)]
            own = prints[channel : channel + part.size]
            factor = np.uint64(factors[position & 1023]) * odd
            for i in range(part.size):
                own[i] += np.uint64(part[i]) * np.uint64(part[i] != sign) * factor
        else:
            first = position & 1023
            part = words[at : at + min(inner - offset, end - at, 1024 - first)]
            own_factors = factors[first : first + part.size]
            total = np.uint64(0)
            for i in range(part.size):
                total += np.uint64(part[i]) * np.uint64(own_factors[i]) * np.uint64(part[i] != sign)
            prints[channel] += total * odd
        at += part.size
