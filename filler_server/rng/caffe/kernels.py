"""The kernels of the caffe stream: mt19937, and Boost's distributions in Caffe's order.

Written as Boost (boostorg/random, 1.54 to 1.89) computes: every operation is one IEEE operation in T, the type of the
values, rounded, in the order written. `real` is T in what follows. Everything that is compiled stands in this one
file, because Numba's cache does not see changes elsewhere.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from filler_server import compiled

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
_ONE, _7, _8, _11, _15, _18 = (np.uint32(n) for n in (1, 7, 8, 11, 15, 18))
_LOW_8 = np.uint32(0xFF)
_LOW_29 = np.int64(0x1FFFFFFF)

_SCRATCH = 1024
"""Values computed at a time only to be thrown away."""


class Ziggurat(NamedTuple):
    """The strips of a ziggurat, in T: strip i lies between the heights y[i] and y[i + 1] and reaches to x[i].

    Attributes:
        x: [n + 1], descending to 0.
        y: [n + 1], ascending to 1.
        width: [n], X[i] - X[i + 1] of the unrounded tables.
        height: [n], Y[i + 1] - Y[i] of the unrounded tables.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    width: NDArray[Any]
    height: NDArray[Any]


class Uniform(NamedTuple):
    """`scale * (u / 2^32 * span + low)` of an output u, where u < limit; other outputs are rejected."""

    low: np.float32 | np.float64
    span: np.float32 | np.float64
    scale: np.float32 | np.float64
    limit: np.uint64


class Gaussian(NamedTuple):
    """`z * std + mean`, z by the ziggurat.

    Attributes:
        mean: in T.
        std: in T.
        limit: T [256]; an integer h from the generator is inside the strip below where h < limit[k].
        step: T [256]; the deviate is then h * step[k], sign included.
        steep: bool [128], whether the curve at the strip lies where it is convex, x >= 1.
        normal: 128 strips of exp(-x^2 / 2).
        exponential: 256 strips of exp(-x).
        by_logarithm: whether exponential deviates are logarithms, and chord and tangent are not looked at (Boost 1.56
            to 1.63).
    """

    mean: np.float32 | np.float64
    std: np.float32 | np.float64
    limit: NDArray[Any]
    step: NDArray[Any]
    steep: NDArray[np.bool_]
    normal: Ziggurat
    exponential: Ziggurat
    by_logarithm: bool


class BoxMuller(NamedTuple):
    """`z * std + mean`, z by Box and Muller, in pairs (Boost up to 1.55)."""

    mean: np.float32 | np.float64
    std: np.float32 | np.float64


class Bernoulli(NamedTuple):
    """Whether u < limit."""

    limit: np.uint64


Law = Uniform | Gaussian | BoxMuller | Bernoulli


class _Engine(NamedTuple):
    """An mt19937 at work.

    Attributes:
        raw: uint32 [STATE_SIZE + _BLOCK], consecutive words of the recurrence.
        outputs: uint32 [_BLOCK], what the words after the first STATE_SIZE give.
        drawn: int64 [2], how many of `outputs` are drawn, and how many were drawn before them.
    """

    raw: NDArray[np.uint32]
    outputs: NDArray[np.uint32]
    drawn: NDArray[np.int64]


@compiled.serial
def _start(window: Any) -> Any:
    """Return an engine whose next output follows from the STATE_SIZE words of `window`."""
    engine = _Engine(
        np.empty(STATE_SIZE + _BLOCK, np.uint32), np.empty(_BLOCK, np.uint32), np.zeros(2, np.int64)
    )
    _restart(engine, window, 0)
    return engine


@compiled.serial
def _restart(engine: Any, window: Any, drawn: Any) -> None:
    engine.raw[:STATE_SIZE] = window
    engine.drawn[0], engine.drawn[1] = 0, drawn
    _twist(engine.raw)
    _temper(engine.raw, engine.outputs)


@compiled.serial
def _stop(engine: Any, window: Any) -> Any:
    """Write to `window` where the engine stands and return the number of outputs drawn since its start."""
    drawn = engine.drawn[0]
    window[:] = engine.raw[drawn : drawn + STATE_SIZE]
    return engine.drawn[1] + drawn


@compiled.serial
def _twist(raw: Any) -> None:
    """The recurrence of Matsumoto and Nishimura, "Mersenne Twister", 1998, on consecutive words."""
    for i in range(_BLOCK):
        y = np.uint32((raw[i] & _UPPER) | (raw[i + 1] & _LOWER))
        product = np.uint32(y >> _ONE) ^ (np.uint32(-np.int32(y & _ONE)) & _MATRIX)
        raw[i + STATE_SIZE] = raw[i + _SHIFT_SIZE] ^ product


@compiled.serial
def _temper(raw: Any, outputs: Any) -> None:
    for i in range(_BLOCK):
        y = raw[i + STATE_SIZE]
        y = np.uint32(y ^ np.uint32(y >> _11))
        y = np.uint32(y ^ (np.uint32(y << _7) & _MASK_7))
        y = np.uint32(y ^ (np.uint32(y << _15) & _MASK_15))
        outputs[i] = y ^ np.uint32(y >> _18)


@compiled.serial
def _provide(engine: Any, count: Any) -> Any:
    """Make sure that `count` outputs lie ready; return the place of the first of them."""
    drawn = engine.drawn[0]
    if drawn + count <= _BLOCK:
        return drawn
    engine.raw[:STATE_SIZE] = engine.raw[drawn : drawn + STATE_SIZE]
    engine.drawn[0] = 0
    engine.drawn[1] += drawn
    _twist(engine.raw)
    _temper(engine.raw, engine.outputs)
    return np.int64(0)


@compiled.serial
def _next(engine: Any) -> Any:
    place = _provide(engine, 1)
    engine.drawn[0] = place + 1
    return engine.outputs[place]


@compiled.serial
def _discard(engine: Any, count: Any) -> None:
    """Draw outputs without looking at them."""
    if engine.drawn[0] + count <= _BLOCK:
        engine.drawn[0] += count
        return
    while engine.drawn[0] + count > _BLOCK:
        count -= _BLOCK - engine.drawn[0]
        engine.raw[:STATE_SIZE] = engine.raw[_BLOCK:]
        engine.drawn[0] = 0
        engine.drawn[1] += _BLOCK
        _twist(engine.raw)
    _temper(engine.raw, engine.outputs)
    engine.drawn[0] = count


@compiled.serial
def _pair(outputs: Any, place: Any, like: Any) -> Any:
    """Return an integer h and 8 independent bits k: h * 2^-24 from one output, in double h * 2^-53 from two.

    Boost's `generate_int_float_pair`. In double it computes (high * 2^-24 + low) * 2^-29, which is exact.
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
    """Correctly rounded in float but for ties nearer than 2^-29; it only ever decides whether to accept."""
    return math.exp(np.float64(value))


@compiled.serial
def _exponential(engine: Any, law: Any) -> Any:
    """Return an exponential deviate, by the ziggurat or by inversion."""
    x, y = law.exponential.x, law.exponential.y
    real = x.dtype.type
    if law.by_logarithm:
        return -math.log(real(1) - _u01(engine, x))
    shift = real(0)
    while True:
        width = x.itemsize // 4
        place = _provide(engine, width)
        h, k = _pair(engine.outputs, place, x)
        engine.drawn[0] = place + width
        i = np.int64(k)
        z = h * real(2.0**-24 if x.itemsize == 4 else 2.0**-53) * x[i]
        if z < x[i + 1]:
            return shift + z
        if i == 0:
            shift += x[1]
            continue
        v = _u01(engine, x)
        level = y[i] + v * law.exponential.height[i]
        upper = law.exponential.width[i] * v - (x[i] - z)
        lower = level - (y[i + 1] + (x[i + 1] - z) * y[i + 1])
        if upper < 0 and (lower < 0 or level < real(_exp(-z))):
            return z + shift


@compiled.serial
def _tail(engine: Any, law: Any) -> Any:
    """Return a normal deviate above x[1] (Marsaglia 1964)."""
    start = law.normal.x[1]
    real = law.normal.x.dtype.type
    while True:
        a = _exponential(engine, law) / start
        b = _exponential(engine, law)
        if real(2) * b > a * a:
            return a + start


@compiled.serial
def _corner(engine: Any, h: Any, k: Any, law: Any) -> Any:
    """Return whether a pair outside the strip below is accepted, and the deviate."""
    real = law.step.dtype.type
    x, y = law.normal.x, law.normal.y
    i = np.int64(k) >> 1
    if i == 0:
        deviate = _tail(engine, law)
        return True, deviate if k & _ONE else -deviate
    deviate = h * law.step[k]
    z = abs(deviate)
    v = _u01(engine, x)
    level = y[i] + v * law.normal.height[i]
    if not law.by_logarithm:
        beyond = x[i] - z
        chord = law.normal.width[i] * v - beyond
        tangent = level - (y[i] + beyond * y[i] * x[i])
        upper, lower = (chord, tangent) if law.steep[i] else (tangent, chord)
        if not upper < 0:
            return False, deviate
        if lower < 0:
            return True, deviate
    return level < real(_exp(-(z * z / real(2)))), deviate


def _uniform(engine: Any, values: Any, index: Any, law: Any) -> None:
    real = values.dtype.type
    place = 0
    while place < values.size:
        first = _provide(engine, 1)
        count = min(_BLOCK - first, values.size - place)
        outputs = engine.outputs[first : first + count]
        into = values[place : place + count]
        rejected = 0
        for j in range(count):
            rejected += np.int64(outputs[j] >= law.limit)
        if rejected == 0:
            for j in range(count):
                into[j] = law.scale * (real(outputs[j]) / real(2.0**32) * law.span + law.low)
        else:
            kept = 0
            for j in range(count):
                if outputs[j] < law.limit:
                    into[kept] = law.scale * (real(outputs[j]) / real(2.0**32) * law.span + law.low)
                    kept += 1
        engine.drawn[0] = first + count
        place += count - rejected


def _skip_uniform(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    if law.limit > np.uint64(0xFFFFFFFF):
        _discard(engine, stop - start)
    else:
        _throw_away(engine, start, stop, scratch, law)


def _gaussian(engine: Any, values: Any, index: Any, law: Any) -> None:
    width = values.itemsize // 4
    place = engine.drawn[0]
    for j in range(values.size):
        while True:
            if place + width > _BLOCK:
                engine.drawn[0] = place
                place = _provide(engine, width)
            h, k = _pair(engine.outputs, place, law.step)
            place += width
            if h < law.limit[k]:
                values[j] = h * law.step[k] * law.std + law.mean
                break
            engine.drawn[0] = place
            accepted, deviate = _corner(engine, h, k, law)
            place = engine.drawn[0]
            if accepted:
                values[j] = deviate * law.std + law.mean
                break
    engine.drawn[0] = place


def _skip_gaussian(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    _throw_away(engine, start, stop, scratch, law)


def _bernoulli(engine: Any, values: Any, index: Any, law: Any) -> None:
    place = 0
    while place < values.size:
        first = _provide(engine, 1)
        count = min(_BLOCK - first, values.size - place)
        for j in range(count):
            values[place + j] = engine.outputs[first + j] < law.limit
        engine.drawn[0] = first + count
        place += count


def _skip_bernoulli(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    _discard(engine, stop - start)


def _box_muller(engine: Any, values: Any, index: Any, law: Any) -> None:
    """Box and Muller, 1958; an engine between the two values of a pair stands before the pair."""
    real = values.dtype.type
    place = -(index & 1)
    while place < values.size:
        if place + 1 == values.size:
            window = np.empty(STATE_SIZE, np.uint32)
            drawn = _stop(engine, window)
        r1 = _u01(engine, values)
        r2 = _u01(engine, values)
        radius = np.sqrt(-real(2) * math.log(real(1) - r2))
        angle = real(2) * real(math.pi) * r1
        if place >= 0:
            values[place] = radius * math.cos(angle) * law.std + law.mean
        if place + 1 < values.size:
            values[place + 1] = radius * math.sin(angle) * law.std + law.mean
        else:
            _restart(engine, window, drawn)
        place += 2


def _skip_box_muller(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    for _ in range((start >> 1) << 1, (stop >> 1) << 1):
        _u01(engine, scratch)


def _values(engine: Any, values: Any, index: Any, law: Any) -> None:
    """Write the next values; `index` is the place in the blob of the first."""
    raise NotImplementedError


@overload(_values)
def _values_of_law(engine: Any, values: Any, index: Any, law: Any) -> Any:
    return {Uniform: _uniform, Gaussian: _gaussian, BoxMuller: _box_muller, Bernoulli: _bernoulli}[law.instance_class]


@compiled.serial
def _throw_away(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    while start < stop:
        count = min(stop - start, scratch.size)
        _values(engine, scratch[:count], start, law)
        start += count


def _skip(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> None:
    """Draw the values from `start` to `stop` without keeping them; `scratch` is of their type."""
    raise NotImplementedError


@overload(_skip)
def _skip_of_law(engine: Any, start: Any, stop: Any, scratch: Any, law: Any) -> Any:
    return {
        Uniform: _skip_uniform,
        Gaussian: _skip_gaussian,
        BoxMuller: _skip_box_muller,
        Bernoulli: _skip_bernoulli,
    }[law.instance_class]


@compiled.serial
def fill(window: Any, out: Any, starts: Any, bounds: Any, index: Any, law: Any) -> Any:
    """Write the values of runs and return the number of outputs drawn.

    Args:
        window: uint32 [STATE_SIZE], where the engine stands at the value `index`; at the end it is set to where it
            stands behind the last run. Between the two values of a pair of Box and Muller an engine stands before it.
        out: float32, float64 or bool [bounds[-1]], as the law says.
        starts: as in `Runs`.
        bounds: as in `Runs`.
        index: not above the first start.
        law: what to make of the engine's outputs.
    """
    engine = _start(window)
    scratch = np.empty(_SCRATCH, out.dtype)
    for run in range(starts.size):
        _skip(engine, index, starts[run], scratch, law)
        _values(engine, out[bounds[run] : bounds[run + 1]], starts[run], law)
        index = starts[run] + bounds[run + 1] - bounds[run]
    return _stop(engine, window)


@compiled.serial
def discard(window: Any, count: Any) -> None:
    """Draw `count` outputs from the engine that stands at `window` (as in `fill`) and throw them away."""
    engine = _start(window)
    _discard(engine, count)
    _stop(engine, window)


@compiled.serial
def outputs(window: Any, out: Any) -> None:
    """Draw outputs from the engine that stands at `window` (as in `fill`) and write them to `out`, uint32."""
    engine = _start(window)
    for place in range(out.size):
        out[place] = _next(engine)
    _stop(engine, window)
