"""The compiled loops of constant, positive_unitball and bilinear. Imports Numba."""

from typing import Any

import numpy as np
from numba import prange

from filler_server import compiled
from filler_server.rng.stream import Runs, Values


def constant(out: Values, value: float) -> None:
    """Write one value everywhere."""
    if compiled.is_serial(out.size):
        _constant(out, 0, out.size, out.dtype.type(value))
    else:
        _constant_parallel(out, out.dtype.type(value), max(compiled.TASK, -(-out.size // compiled.threads())))


def add_rows(values: Values, sums: Values) -> None:
    """Add to each of `sums` [rows] the values of its row, one by one in index order.

    `values` holds the rows one after the other, all of one length.
    """
    if sums.size == 1 or compiled.is_serial(values.size):
        _add_rows(values, sums, 0, sums.size, values.size // sums.size)
    else:
        _add_rows_parallel(values, sums, max(compiled.TASK * sums.size // values.size, 1))


def divide_rows(out: Values, pieces: Runs, length: int, sums: Values) -> None:
    """Divide values by the sum of their row.

    Each of `pieces` is a number of whole rows of `length` values, summed here, one by one in index order, or a part
    of one row, whose sum stands in `sums` [pieces]. Where a sum is 0 the values become 1 / length.
    """
    if compiled.is_serial(out.size):
        _divide_rows(out, pieces.starts, pieces.bounds, 0, pieces.starts.size, length, sums)
        return
    longest = max(compiled.TASK // length, 1) * length
    repeated = np.repeat(sums, -(-np.diff(pieces.bounds) // longest))
    pieces = pieces.split(longest)
    _divide_rows_parallel(out, pieces.starts, pieces.bounds, compiled.tasks(pieces.bounds), length, repeated)


def repeat(out: Values, runs: Runs, pattern: Values, period: int) -> None:
    """Write `pattern[index % period]` for the indices of `runs`; `pattern` is a whole number of periods long."""
    if compiled.is_serial(out.size):
        _repeat(out, runs.starts, runs.bounds, 0, runs.starts.size, pattern, period)
        return
    pieces = runs.split(compiled.TASK)
    _repeat_parallel(out, pieces.starts, pieces.bounds, compiled.tasks(pieces.bounds), pattern, period)


def bilinear(out: Values, runs: Runs, width: int, half: float, middle: float) -> None:
    """Write `weight(y) * weight(x)` for the indices of `runs` in planes of [y, x], both of `width`.

    `weight(x)` is 1 - |x / half - middle|, all in the dtype of `out`.
    """
    real = out.dtype.type
    if compiled.is_serial(out.size):
        _bilinear(out, runs.starts, runs.bounds, 0, runs.starts.size, width, real(half), real(middle))
        return
    pieces = runs.split(compiled.TASK)
    cuts = compiled.tasks(pieces.bounds)
    _bilinear_parallel(out, pieces.starts, pieces.bounds, cuts, width, real(half), real(middle))


@compiled.serial
def _constant(out: Any, begin: Any, end: Any, value: Any) -> None:
    values = out[begin:end]
    if value == 0 and not np.signbit(value):
        # Of this loop LLVM makes a memset, for which CPUs have their own ways.
        for i in range(values.size):
            values[i] = 0
    else:
        for i in range(values.size):
            values[i] = value


@compiled.parallel
def _constant_parallel(out: Any, value: Any, step: Any) -> None:
    for task in prange((out.size + step - 1) // step):
        _constant(out, task * step, min((task + 1) * step, out.size), value)


@compiled.serial
def _add_rows(values: Any, sums: Any, begin: Any, end: Any, length: Any) -> None:
    """Rows `begin` to `end`; eight at a time, because each sum by itself waits for its last addition."""
    row = begin
    while row + 8 <= end:
        at = row * length
        s0, s1, s2, s3 = sums[row], sums[row + 1], sums[row + 2], sums[row + 3]
        s4, s5, s6, s7 = sums[row + 4], sums[row + 5], sums[row + 6], sums[row + 7]
        for i in range(at, at + length):
            s0 += values[i]
            s1 += values[i + length]
            s2 += values[i + 2 * length]
            s3 += values[i + 3 * length]
            s4 += values[i + 4 * length]
            s5 += values[i + 5 * length]
            s6 += values[i + 6 * length]
            s7 += values[i + 7 * length]
        sums[row], sums[row + 1], sums[row + 2], sums[row + 3] = s0, s1, s2, s3
        sums[row + 4], sums[row + 5], sums[row + 6], sums[row + 7] = s4, s5, s6, s7
        row += 8
    while row < end:
        total = sums[row]
        for i in range(row * length, (row + 1) * length):
            total += values[i]
        sums[row] = total
        row += 1


@compiled.parallel
def _add_rows_parallel(values: Any, sums: Any, step: Any) -> None:
    length = values.size // sums.size
    for task in prange((sums.size + step - 1) // step):
        _add_rows(values, sums, task * step, min((task + 1) * step, sums.size), length)


@compiled.serial
def _divide(values: Any, total: Any, length: Any) -> None:
    if total == 0:
        values[:] = values.dtype.type(1) / values.dtype.type(length)
    else:
        for i in range(values.size):
            values[i] /= total


@compiled.serial
def _divide_rows(out: Any, starts: Any, bounds: Any, begin: Any, end: Any, length: Any, sums: Any) -> None:
    totals = np.empty(8, out.dtype)
    for piece in range(begin, end):
        at, stop = bounds[piece], bounds[piece + 1]
        if starts[piece] % length != 0 or (stop - at) % length != 0:
            _divide(out[at:stop], sums[piece], length)
            continue
        while at < stop:
            rows = min((stop - at) // length, 8)
            totals[:] = 0
            _add_rows(out[at : at + rows * length], totals, 0, rows, length)
            for row in range(rows):
                _divide(out[at : at + length], totals[row], length)
                at += length


@compiled.parallel
def _divide_rows_parallel(out: Any, starts: Any, bounds: Any, cuts: Any, length: Any, sums: Any) -> None:
    for task in prange(cuts.size - 1):
        _divide_rows(out, starts, bounds, cuts[task], cuts[task + 1], length, sums)


@compiled.serial
def _repeat(out: Any, starts: Any, bounds: Any, begin: Any, end: Any, pattern: Any, period: Any) -> None:
    for run in range(begin, end):
        at, stop = bounds[run], bounds[run + 1]
        offset = starts[run] % period
        while at < stop:
            count = min(pattern.size - offset, stop - at)
            row, columns = out[at : at + count], pattern[offset : offset + count]
            for i in range(count):
                row[i] = columns[i]
            at += count
            offset = 0


@compiled.parallel
def _repeat_parallel(out: Any, starts: Any, bounds: Any, cuts: Any, pattern: Any, period: Any) -> None:
    for task in prange(cuts.size - 1):
        _repeat(out, starts, bounds, cuts[task], cuts[task + 1], pattern, period)


@compiled.serial
def _bilinear(out: Any, starts: Any, bounds: Any, begin: Any, end: Any, width: Any, half: Any, middle: Any) -> None:
    real = out.dtype.type
    for run in range(begin, end):
        at, stop = bounds[run], bounds[run + 1]
        y, x = divmod(starts[run] % (width * width), width)
        while at < stop:
            count = min(width - x, stop - at)
            row, factor = out[at : at + count], real(1) - abs(real(y) / half - middle)
            for i in range(count):
                row[i] = (real(1) - abs(real(x + i) / half - middle)) * factor
            at += count
            x = 0
            y = (y + 1) % width


@compiled.parallel
def _bilinear_parallel(out: Any, starts: Any, bounds: Any, cuts: Any, width: Any, half: Any, middle: Any) -> None:
    for task in prange(cuts.size - 1):
        _bilinear(out, starts, bounds, cuts[task], cuts[task + 1], width, half, middle)
