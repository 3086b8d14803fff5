"""The kernels of the caffe stream: mt19937, and Boost's distributions in Caffe's order.

Written as Boost (boostorg/random, 1.54 to 1.89) computes: every operation is one IEEE operation in T, the type of the
values, rounded, in the order written. `real` is T in what follows. Everything that is compiled, log, cos and sin aside,
stands in this one file, because Numba's cache does not see changes elsewhere. What functions share are records, not
arrays: Numba counts references to arrays at every call, and that takes longer than the calls do.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from filler_server import compiled
from filler_server.rng.caffe import libm

STATE_SIZE = 624
"""Words of mt19937's state."""

_SHIFT_SIZE = 397
_BLOCK = 2496
"""Outputs computed at a time; not less than STATE_SIZE."""

_UPPER = np.uint32(0x80000000)
_LOWER = np.uint32(0x7FFFFFFF)
_MATRIX = np.uint32(0x9908B0DF)
_MASK_7 = np.uint32(0x9D2C5680)
_MASK_15 = np.uint32(0xEFC60000)
_1, _7, _8, _11, _15, _18 = (np.uint32(n) for n in (1, 7, 8, 11, 15, 18))
_LARGEST = np.uint32(0xFFFFFFFF)
_LOW_8 = np.uint32(0xFF)
_LOW_29 = np.int64(0x1FFFFFFF)

_SCRATCH = 1024
"""Values computed at a time only to be thrown away."""

_ENGINE = np.dtype(
    [
        ("raw", np.uint32, STATE_SIZE + _BLOCK),  # consecutive words of the recurrence
        ("outputs", np.uint32, _BLOCK),  # what the words after the first STATE_SIZE give
        ("place", np.int64),  # of the next output
        ("before", np.int64),  # number of outputs drawn before `outputs`
    ],
    align=True,
)


def tables_dtype(real: Any) -> np.dtype[np.void]:
    """Return the record of what the ziggurats need, in `real`, float32 or float64.

    limit, step [256]: a pair (h, k) as in `_pair` is inside the strip below where h < limit[k], and its deviate is then
    h * step[k], sign included. x, y [129], width, height [128]: the strips of the normal ziggurat as in
    `filler_server.rng.caffe.ziggurat`, x[i] - x[i + 1] and y[i + 1] - y[i]; the same of the exponential one.
    """
    return np.dtype(
        [
            ("limit", real, 256),
            ("step", real, 256),
            ("x", real, 129),
            ("y", real, 129),
            ("width", real, 128),
            ("height", real, 128),
            ("exponential_x", real, 257),
            ("exponential_y", real, 257),
            ("exponential_width", real, 256),
            ("exponential_height", real, 256),
        ]
    )


class Uniform(NamedTuple):
    """`scale * (u / 2^32 * span + low)` of an output u <= last; other outputs are rejected."""

    low: np.float32 | np.float64
    span: np.float32 | np.float64
    scale: np.float32 | np.float64
    last: np.uint32


class Gaussian(NamedTuple):
    """`z * std + mean`, z by the ziggurat.

    Attributes:
        mean: in T.
        std: in T.
        tables: [1] of `tables_dtype(T)`.
        by_inversion: whether exponential deviates are logarithms, and chord and tangent are not looked at (Boost 1.56
            to 1.63).
    """

    mean: np.float32 | np.float64
    std: np.float32 | np.float64
    tables: NDArray[np.void]
    by_inversion: bool


class BoxMuller(NamedTuple):
    """`z * std + mean`, z by Box and Muller, in pairs (Boost up to 1.55)."""

    mean: np.float32 | np.float64
    std: np.float32 | np.float64


class Bernoulli(NamedTuple):
    """Whether an output u <= last."""

    last: np.uint32


Distribution = Uniform | Gaussian | BoxMuller | Bernoulli


def fill(
    window: NDArray[np.uint32],
    out: NDArray[Any],
    starts: NDArray[np.int64],
    bounds: NDArray[np.int64],
    index: int,
    distribution: Distribution,
) -> int:
    """Write the values of runs and return the number of outputs drawn.

    Args:
        window: uint32 [STATE_SIZE], where the engine stands at the value `index`: the words of the recurrence before
            the one that gives the next output. At the end it is set to where the engine stands after the last run.
            Between the two values of a pair of Box and Muller an engine stands before the pair.
        out: float32, float64 or bool [bounds[-1]], as the distribution says.
        starts: as in `Runs`.
        bounds: as in `Runs`.
        index: not above the first start.
        distribution: what to make of the engine's outputs.
    """
    return int(
        _fill(np.empty(1, _ENGINE), window, out, np.empty(_SCRATCH, out.dtype), starts, bounds, index, distribution)
    )


def discard(window: NDArray[np.uint32], count: int) -> None:
    """Draw `count` outputs from the engine that stands at `window` (as in `fill`) and throw them away."""
    _discard_from(np.empty(1, _ENGINE), window, count)


def draw(window: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
    """Draw outputs from the engine that stands at `window` (as in `fill`) and write them to `out`."""
    _draw(np.empty(1, _ENGINE), window, out)


@compiled.serial
def _start(engine: Any, window: Any) -> None:
    raw = engine.raw
    for i in range(STATE_SIZE):
        raw[i] = window[i]
    engine.place = 0
    engine.before = 0
    _twist(engine)
    _temper(engine)


@compiled.serial
def _stop(engine: Any, window: Any) -> Any:
    """Write to `window` where the engine stands and return the number of outputs drawn since its start."""
    raw, place = engine.raw, engine.place
    for i in range(STATE_SIZE):
        window[i] = raw[place + i]
    return engine.before + place


@compiled.serial
def _twist(engine: Any) -> None:
    """The recurrence of Matsumoto and Nishimura, "Mersenne Twister", 1998, on consecutive words."""
    raw = engine.raw
    for i in range(_BLOCK):
        y = np.uint32((raw[i] & _UPPER) | (raw[i + 1] & _LOWER))
        product = np.uint32(y >> _1) ^ (np.uint32(-np.int32(y & _1)) & _MATRIX)
        raw[i + STATE_SIZE] = raw[i + _SHIFT_SIZE] ^ product


@compiled.serial
def _temper(engine: Any) -> None:
    raw, outputs = engine.raw, engine.outputs
    for i in range(_BLOCK):
        y = raw[i + STATE_SIZE]
        y = np.uint32(y ^ np.uint32(y >> _11))
        y = np.uint32(y ^ (np.uint32(y << _7) & _MASK_7))
        y = np.uint32(y ^ (np.uint32(y << _15) & _MASK_15))
        outputs[i] = y ^ np.uint32(y >> _18)


@compiled.serial
def _move(engine: Any) -> None:
    """Go on with the words at `place`, without outputs for the time being; `place` >= STATE_SIZE."""
    raw, place = engine.raw, engine.place
    for i in range(STATE_SIZE):
        raw[i] = raw[place + i]
    engine.before += place
    engine.place = 0
    _twist(engine)


@compiled.serial
def _provide(engine: Any, count: Any) -> Any:
    """Make sure that `count` outputs lie ready, and return the place of the first of them."""
    if engine.place + count > _BLOCK:
        _move(engine)
        _temper(engine)
    return engine.place


@compiled.serial
def _next(engine: Any) -> Any:
    place = _provide(engine, 1)
    engine.place = place + 1
    return engine.outputs[place]


@compiled.serial
def _discard(engine: Any, count: Any) -> None:
    """Draw outputs without looking at them."""
    if engine.place + count > _BLOCK:
        while engine.place + count > _BLOCK:
            count -= _BLOCK - engine.place
            engine.place = _BLOCK
            _move(engine)
        _temper(engine)
    engine.place += count


@compiled.serial
def _pair(outputs: Any, place: Any, like: Any) -> Any:
    """Return an integer h and 8 independent bits k: h * 2^-24 from one output, in double h * 2^-53 from two.

    Boost's `generate_int_float_pair`. In double that computes (high * 2^-24 + low) * 2^-29, which is exact.
    """
    real = like.dtype.type
    u = outputs[place]
    high = np.int32(np.uint32(u >> _8))
    if like.itemsize == 4:
        return real(high), u & _LOW_8
    return real(((np.int64(outputs[place + 1]) & _LOW_29) << 24) | np.int64(high)), u & _LOW_8


@compiled.serial
def _u01(engine: Any, like: Any) -> Any:
    """Return u * 2^-32 < 1; Boost's `uniform_01`."""
    real = like.dtype.type
    value = real(_next(engine)) * real(2.0**-32)
    while value >= real(1):
        value = real(_next(engine)) * real(2.0**-32)
    return value


@compiled.serial
def _exp(value: Any) -> Any:
    """The exponential, computed in double whatever the type, because it only ever decides whether to accept.

    C libraries differ in its last bit. That decides otherwise for about one value in 10^17.
    """
    return math.exp(np.float64(value))


@compiled.serial
def _exponential(engine: Any, tables: Any, by_inversion: Any) -> Any:
    """Return an exponential deviate, by inversion or by the ziggurat."""
    x, y = tables.exponential_x, tables.exponential_y
    real = x.dtype.type
    if by_inversion:
        return -libm.log(real(1) - _u01(engine, x))
    shift = real(0)
    while True:
        width = x.itemsize // 4
        place = _provide(engine, width)
        h, k = _pair(engine.outputs, place, x)
        engine.place = place + width
        i = np.int64(k)
        z = h * real(2.0**-24 if x.itemsize == 4 else 2.0**-53) * x[i]
        if z < x[i + 1]:
            return shift + z
        if i == 0:
            shift += x[1]
            continue
        v = _u01(engine, x)
        level = y[i] + v * tables.exponential_height[i]
        upper = tables.exponential_width[i] * v - (x[i] - z)
        lower = level - (y[i + 1] + (x[i + 1] - z) * y[i + 1])
        if upper < 0 and (lower < 0 or level < real(_exp(-z))):
            return z + shift


@compiled.serial
def _tail(engine: Any, tables: Any, by_inversion: Any) -> Any:
    """Return a normal deviate above x[1] (Marsaglia, 1964)."""
    start = tables.x[1]
    real = tables.x.dtype.type
    while True:
        a = _exponential(engine, tables, by_inversion) / start
        b = _exponential(engine, tables, by_inversion)
        if real(2) * b > a * a:
            return a + start


@compiled.serial
def _corner(engine: Any, h: Any, k: Any, tables: Any, by_inversion: Any) -> Any:
    """Return whether a pair outside the strip below is accepted, and the deviate."""
    x, y = tables.x, tables.y
    real = x.dtype.type
    i = np.int64(k) >> 1
    if i == 0:
        deviate = _tail(engine, tables, by_inversion)
        return True, deviate if k & _1 else -deviate
    deviate = h * tables.step[k]
    z = abs(deviate)
    v = _u01(engine, x)
    level = y[i] + v * tables.height[i]
    if not by_inversion:
        beyond = x[i] - z
        chord = tables.width[i] * v - beyond
        tangent = level - (y[i] + beyond * y[i] * x[i])
        upper, lower = (chord, tangent) if x[i] >= 1 else (tangent, chord)
        if not upper < 0:
            return False, deviate
        if lower < 0:
            return True, deviate
    return level < real(_exp(-(z * z / real(2)))), deviate


def _values(engine: Any, values: Any, index: Any, distribution: Any) -> None:
    """Write the next values, the first of them the blob's number `index`."""
    raise NotImplementedError


@overload(_values)
def _values_of_type(engine: Any, values: Any, index: Any, distribution: Any) -> Any:
    return {Uniform: _uniform, Gaussian: _gaussian, BoxMuller: _box_muller, Bernoulli: _bernoulli}[
        distribution.instance_class
    ]


def _uniform(engine: Any, values: Any, index: Any, distribution: Any) -> None:
    real = values.dtype.type
    low, span, scale, last = distribution
    begin = 0
    while begin < values.size:
        place = _provide(engine, 1)
        count = min(_BLOCK - place, values.size - begin)
        outputs, block = engine.outputs[place : place + count], values[begin : begin + count]
        rejected = 0
        if last < _LARGEST:
            for j in range(count):
                rejected += outputs[j] > last
        if rejected == 0:
            for j in range(count):
                block[j] = scale * (real(outputs[j]) / real(2.0**32) * span + low)
        else:
            kept = 0
            for j in range(count):
                if outputs[j] <= last:
                    block[kept] = scale * (real(outputs[j]) / real(2.0**32) * span + low)
                    kept += 1
        engine.place = place + count
        begin += count - rejected


def _gaussian(engine: Any, values: Any, index: Any, distribution: Any) -> None:
    mean, std, tables, by_inversion = (
        distribution.mean,
        distribution.std,
        distribution.tables[0],
        distribution.by_inversion,
    )
    outputs, limit, step = engine.outputs, tables.limit, tables.step
    width = values.itemsize // 4
    place = engine.place
    for j in range(values.size):
        while True:
            if place + width > _BLOCK:
                engine.place = place
                place = _provide(engine, width)
            h, k = _pair(outputs, place, step)
            place += width
            if h < limit[k]:
                values[j] = h * step[k] * std + mean
                break
            engine.place = place
            accepted, deviate = _corner(engine, h, k, tables, by_inversion)
            place = engine.place
            if accepted:
                values[j] = deviate * std + mean
                break
    engine.place = place


def _box_muller(engine: Any, values: Any, index: Any, distribution: Any) -> None:
    """Box and Muller, 1958."""
    real = values.dtype.type
    mean, std = distribution
    window = np.empty(STATE_SIZE, np.uint32)
    first = -(index & 1)
    while first < values.size:
        ends_between = first + 1 == values.size
        if ends_between:
            drawn = _stop(engine, window)
        r1 = _u01(engine, values)
        r2 = _u01(engine, values)
        radius = np.sqrt(-real(2) * libm.log(real(1) - r2))
        angle = real(2) * real(math.pi) * r1
        if first >= 0:
            values[first] = radius * libm.cos(angle) * std + mean
        if ends_between:
            _start(engine, window)
            engine.before = drawn
        else:
            values[first + 1] = radius * libm.sin(angle) * std + mean
        first += 2


def _bernoulli(engine: Any, values: Any, index: Any, distribution: Any) -> None:
    last = distribution.last
    begin = 0
    while begin < values.size:
        place = _provide(engine, 1)
        count = min(_BLOCK - place, values.size - begin)
        outputs, block = engine.outputs[place : place + count], values[begin : begin + count]
        for j in range(count):
            block[j] = outputs[j] <= last
        engine.place = place + count
        begin += count


@compiled.serial
def _throw_away(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
    while start < stop:
        count = min(stop - start, scratch.size)
        _values(engine, scratch[:count], start, distribution)
        start += count


def _skip(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
    """Draw the values from number `start` to `stop` without keeping them; `scratch` is of their type."""
    raise NotImplementedError


@overload(_skip)
def _skip_of_type(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> Any:
    def uniform(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
        if distribution.last == _LARGEST:
            _discard(engine, stop - start)
        else:
            _throw_away(engine, start, stop, scratch, distribution)

    def gaussian(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
        _throw_away(engine, start, stop, scratch, distribution)

    def box_muller(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
        for _ in range((start >> 1) << 1, (stop >> 1) << 1):
            _u01(engine, scratch)

    def bernoulli(engine: Any, start: Any, stop: Any, scratch: Any, distribution: Any) -> None:
        _discard(engine, stop - start)

    return {Uniform: uniform, Gaussian: gaussian, BoxMuller: box_muller, Bernoulli: bernoulli}[
        distribution.instance_class
    ]


@compiled.serial
def _fill(
    engines: Any, window: Any, out: Any, scratch: Any, starts: Any, bounds: Any, index: Any, distribution: Any
) -> Any:
    engine = engines[0]
    _start(engine, window)
    for run in range(starts.size):
        _skip(engine, index, starts[run], scratch, distribution)
        _values(engine, out[bounds[run] : bounds[run + 1]], starts[run], distribution)
        index = starts[run] + bounds[run + 1] - bounds[run]
    return _stop(engine, window)


@compiled.serial
def _discard_from(engines: Any, window: Any, count: Any) -> None:
    _start(engines[0], window)
    _discard(engines[0], count)
    _stop(engines[0], window)


@compiled.serial
def _draw(engines: Any, window: Any, out: Any) -> None:
    _start(engines[0], window)
    for i in range(out.size):
        out[i] = _next(engines[0])
    _stop(engines[0], window)
