"""The kernels of the philox stream: Philox4x32-10, and what turns its words into values.

The contract that they keep stands in `filler_server.rng.philox`. A kernel works in groups of counters, each vector
holding one number for every counter of the group; how many there are never changes the values. Everything that is
compiled, the vectors and the constants aside, stands in this one file, because Numba's cache does not see changes
elsewhere.
"""

from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import overload
from numpy.typing import NDArray

from filler_server import compiled
from filler_server.rng import truncation
from filler_server.rng.addresses import address, call, move
from filler_server.rng.philox_numbers import (
    DOUBLE,
    MULTIPLIERS,
    SINGLE,
    WEYL,
    Bernoulli,
    Gaussian,
    Prepared,
    Uniform,
)
from filler_server.rng.stream import BRIEF, Runs
from filler_server.rng.truncation import Truncated
from filler_server.rng.vectors import (
    align_stack,
    any_lane,
    at_most,
    below,
    bitcast,
    fused,
    held,
    load,
    root,
    rounded,
    select,
    shuffle,
    spread,
    store,
)

COUNTERS = 8 * (4 if compiled.has_long_vectors() else 1)
"""Counters of a group. Operations take some cycles, so that a CPU has time for several eights of counters at once; with
AVX-512 there are registers for four, elsewhere for one."""

VALUES = 4 * COUNTERS
"""Values of a group, four of each counter."""

_TABLE = 18
_NO_TABLE = (np.uint64(0),) * _TABLE
_HIGH = 32
_SHIFT_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0, _MULTIPLIER_1 = map(np.uint64, MULTIPLIERS)
_WEYL_0, _WEYL_1 = map(np.uint64, WEYL)

# In this order of the counters, values are put into theirs by one unpacking within each 16 bytes.
_ORDER = [8 * eight + lane for eight in range(COUNTERS // 8) for lane in (0, 4, 1, 5, 2, 6, 3, 7)]
_PLACES = np.argsort(_ORDER).tolist()
_in_lanes = shuffle(_ORDER)
_even_halves = shuffle([lane + (lane % 2) * (2 * COUNTERS - 1) for lane in range(2 * COUNTERS)])
_odd_halves = shuffle([lane + 1 + (lane % 2) * (2 * COUNTERS - 1) for lane in range(2 * COUNTERS)])
_by_pairs = shuffle([2 * lane + word // 2 + word % 2 * 2 * COUNTERS for lane in _PLACES for word in range(4)])
_joined = shuffle(range(2 * COUNTERS))
_by_fours = shuffle([lane + word * COUNTERS for lane in _PLACES for word in range(4)])

# -2 ln 2 of an exponent where it stands in a float.
_EXPONENT = np.float32(SINGLE.exponent * 2.0**-23)
_EXPONENT_BITS = np.int32(-(1 << 23))
_SQRT_HALF_BITS = np.int32(SINGLE.sqrt_half)
_2_POW_31_BITS = np.int32(SINGLE.bits << 23)
_2_POW_MINUS_31 = np.float32(2.0**-SINGLE.bits)
_SIGN = np.int32(-(1 << 31))
_ODD = np.int32(1)
_ONE = np.float32(1)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = map(np.float32, SINGLE.log)
_S0, _S1, _S2, _S3, _S4 = map(np.float32, SINGLE.sin)
_C0, _C1, _C2, _C3, _C4 = map(np.float32, SINGLE.cos)

_EXPONENT_DOUBLE = DOUBLE.exponent * 2.0**-52
_EXPONENT_BITS_DOUBLE = np.int64(-(1 << 52))
_SQRT_HALF_BITS_DOUBLE = np.int64(DOUBLE.sqrt_half)
_2_POW_63_BITS = np.int64(DOUBLE.bits << 52)
_2_POW_MINUS_63 = 2.0**-DOUBLE.bits
_SIGN_DOUBLE = np.int64(-(1 << 63))
_ODD_DOUBLE = np.int64(1)
_DL0, _DL1, _DL2, _DL3, _DL4, _DL5, _DL6, _DL7 = DOUBLE.log
_DS0, _DS1, _DS2, _DS3, _DS4, _DS5, _DS6, _DS7, _DS8 = DOUBLE.sin
_DC0, _DC1, _DC2, _DC3, _DC4, _DC5, _DC6, _DC7, _DC8 = DOUBLE.cos

_ALL = np.int32(0x7FFFFFFF)
_TWO_BITS = np.int32(2 << 23)
_SHIFT_1 = np.uint32(1)
_CENTER, _FOOT, _TAIL = map(np.float32, (truncation.CENTER, truncation.FOOT, truncation.TAIL))
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5, _Q6, _Q7, _Q8, _Q9 = map(np.float32, truncation.SINGLE.central)
_N0, _N1, _N2, _N3 = map(np.float32, truncation.SINGLE.numerator)
_D0, _D1, _D2, _D3 = map(np.float32, truncation.SINGLE.denominator)

_ALL_DOUBLE = np.int64((1 << 63) - 1)
_TWO_BITS_DOUBLE = np.int64(2 << 52)
_SHIFT_1_DOUBLE = np.uint64(1)
_CENTER_DOUBLE, _FOOT_DOUBLE, _TAIL_DOUBLE = truncation.CENTER, truncation.FOOT, truncation.TAIL
(
    _DQ0,
    _DQ1,
    _DQ2,
    _DQ3,
    _DQ4,
    _DQ5,
    _DQ6,
    _DQ7,
    _DQ8,
    _DQ9,
    _DQ10,
    _DQ11,
    _DQ12,
    _DQ13,
    _DQ14,
    _DQ15,
    _DQ16,
    _DQ17,
    _DQ18,
    _DQ19,
    _DQ20,
    _DQ21,
    _DQ22,
) = truncation.DOUBLE.central
_DN0, _DN1, _DN2, _DN3, _DN4, _DN5, _DN6, _DN7, _DN8 = truncation.DOUBLE.numerator
_DD0, _DD1, _DD2, _DD3, _DD4, _DD5, _DD6, _DD7, _DD8 = truncation.DOUBLE.denominator


@compiled.serial
def schedule(table: Any, high: Any, key_0: Any, key_1: Any, stream_0: Any, stream_1: Any) -> None:
    """Compute what is the same for all counters of one high word.

    Args:
        table: uint64 [18] to write to: what the rounds add, one pair each from the third on but for the last, whose
            pair stands in one number, and before them what of the first two does not depend on the low word.
        high: word 1 of the counters, uint64.
        key_0: word 0 of the key.
        key_1: word 1 of the key.
        stream_0: word 2 of every counter.
        stream_1: word 3 of every counter.
    """
    key_0, key_1 = np.uint64(key_0), np.uint64(key_1)
    product_1 = _MULTIPLIER_1 * np.uint64(stream_0)
    c0 = (product_1 >> _SHIFT_32) ^ high ^ key_0
    table[0] = np.uint64(stream_1) ^ key_1
    key_0, key_1 = (key_0 + _WEYL_0) & _LOW_32, (key_1 + _WEYL_1) & _LOW_32
    product_0 = _MULTIPLIER_0 * c0
    table[1] = (product_1 & _LOW_32) ^ key_0
    table[2] = (product_0 >> _SHIFT_32) ^ key_1
    for number in range(2, 9):
        key_0, key_1 = (key_0 + _WEYL_0) & _LOW_32, (key_1 + _WEYL_1) & _LOW_32
        table[2 * number - 1], table[2 * number] = key_0, key_1
    table[4] ^= product_0 & _LOW_32
    table[17] = ((key_0 + _WEYL_0) & _LOW_32) | ((key_1 + _WEYL_1) << _SHIFT_32)


@compiled.inlined
def philox(low: Any, table: Any) -> Any:
    """Philox4x32-10 of a group of counters, given their low words, uint64, and the table of the rest.

    Returns words 0 and 2 of each counter next to each other, and its words 1 and 3, as two vectors of int32.
    """
    return _philox(low * _MULTIPLIER_0, table)


@compiled.inlined
def _philox(product_0: Any, table: Any) -> Any:
    """The same, given the first product of the first round."""
    # Only the low half of each number counts. The upper one is never cleared: LLVM makes one multiplication of the
    # masking and the product.
    c2 = (product_0 >> _SHIFT_32) ^ table[0]
    product_1 = (c2 & _LOW_32) * _MULTIPLIER_1
    c0, c1, c2 = (product_1 >> _SHIFT_32) ^ table[1], product_1, product_0 ^ table[2]
    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    c0, c1, c2, c3 = (product_1 >> _SHIFT_32) ^ c1 ^ table[3], product_1, (product_0 >> _SHIFT_32) ^ table[4], product_0
    for number in range(3, 9):
        product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
        c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[2 * number - 1], product_1
        c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[2 * number], product_0
    return _last_round(c0, c1, c2, c3, table)


@compiled.inlined
def _last_round(c0: Any, c1: Any, c2: Any, c3: Any, table: Any) -> Any:
    product_0 = bitcast((c0 & _LOW_32) * _MULTIPLIER_0, types.int32)
    product_1 = bitcast((c2 & _LOW_32) * _MULTIPLIER_1, types.int32)
    added = _even_halves(bitcast(c1, types.int32), bitcast(c3, types.int32)) ^ bitcast(
        spread(table[17], COUNTERS), types.int32
    )
    return _odd_halves(product_1, product_0) ^ added, _even_halves(product_1, product_0)


@compiled.inlined
def philox_wide(product: Any, table: Any, lower: Any) -> Any:
    """The numbers of two streams as the upper and the lower halves of one: words 0, 1, 2 and 3, vectors of int64."""
    upper_02, upper_13 = _philox(product, table)
    lower_02, lower_13 = _philox(product, lower)
    high_02, high_13 = bitcast(upper_02, types.uint64), bitcast(upper_13, types.uint64)
    low_02, low_13 = bitcast(lower_02, types.uint64), bitcast(lower_13, types.uint64)
    return (
        bitcast((high_02 << _SHIFT_32) | (low_02 & _LOW_32), types.int64),
        bitcast((high_13 << _SHIFT_32) | (low_13 & _LOW_32), types.int64),
        bitcast((high_02 & ~_LOW_32) | (low_02 >> _SHIFT_32), types.int64),
        bitcast((high_13 & ~_LOW_32) | (low_13 >> _SHIFT_32), types.int64),
    )


@compiled.inlined
def _normals_and_words(a: Any, b: Any, product_0: Any, table: Any) -> Any:
    """Two vectors of standard normal float32 of two of int32, by Box and Muller (1958), and words of other counters.

    The words, 0 to 3, are those before the last round, of counters and a table as in `philox`. A CPU looks some hundred
    operations ahead for what it can do at once, and both take more: so that it finds either kind, they stand by turns,
    and the normal values, whose chains are long, are held to their places.
    """
    c2 = (product_0 >> _SHIFT_32) ^ table[0]
    product_1 = (c2 & _LOW_32) * _MULTIPLIER_1
    c0, c1, c2 = (product_1 >> _SHIFT_32) ^ table[1], product_1, product_0 ^ table[2]
    bits = bitcast(rounded((a & ~_SIGN) | _ODD, types.float32), types.int32)
    exponent = (bits - (_SQRT_HALF_BITS + _2_POW_31_BITS)) & _EXPONENT_BITS
    x = bitcast(bits - _2_POW_31_BITS - exponent, types.float32) - _ONE
    angle = rounded(b, types.float32) * _2_POW_MINUS_31

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    square = held(angle * angle)
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[3], product_1
    log = held(fused(x, _L7, _L6))
    c2, c3 = (product_0 >> _SHIFT_32) ^ table[4], product_0
    cosine = held(fused(square, _C4, _C3))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    sine = held(fused(square, _S4, _S3))
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[5], product_1
    log = held(fused(log, x, _L5))
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[6], product_0
    log = held(fused(log, x, _L4))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    cosine = held(fused(cosine, square, _C2))
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[7], product_1
    sine = held(fused(sine, square, _S2))
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[8], product_0
    log = held(fused(log, x, _L3))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    log = held(fused(log, x, _L2))
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[9], product_1
    cosine = held(fused(cosine, square, _C1))
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[10], product_0
    sine = held(fused(sine, square, _S1))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    log = held(fused(log, x, _L1))
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[11], product_1
    log = held(fused(log, x, _L0) * x)
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[12], product_0
    radius = root(fused(rounded(exponent, types.float32), _EXPONENT, log))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    sine = held(fused(sine, square, _S0) * angle)
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[13], product_1
    cosine = held(fused(cosine, square, _C0))
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[14], product_0
    # The angle covers half of the circle; the sign that a has left covers the other.
    cosine = held(bitcast(bitcast(cosine, types.int32) ^ (a & _SIGN), types.float32))

    product_0, product_1 = (c0 & _LOW_32) * _MULTIPLIER_0, (c2 & _LOW_32) * _MULTIPLIER_1
    cosine = held(radius * cosine)
    c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ table[15], product_1
    sine = held(radius * sine)
    c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ table[16], product_0
    return (cosine, sine), (c0, c1, c2, c3)


@compiled.inlined
def normals(a: Any, b: Any) -> Any:
    """Two vectors of standard normal float32 of two of int32, by Box and Muller (1958)."""
    values, _ = _normals_and_words(a, b, bitcast(a, types.uint64), _NO_TABLE)
    return values


@compiled.inlined
def normals_double(a: Any, b: Any) -> Any:
    """Two vectors of standard normal float64 of two of int64, by Box and Muller (1958)."""
    bits = bitcast(rounded((a & ~_SIGN_DOUBLE) | _ODD_DOUBLE, types.float64), types.int64)
    exponent = (bits - (_SQRT_HALF_BITS_DOUBLE + _2_POW_63_BITS)) & _EXPONENT_BITS_DOUBLE
    x = bitcast(bits - _2_POW_63_BITS - exponent, types.float64) - 1.0
    s = x / (x + 2.0)
    z = s * s
    log = fused(fused(fused(fused(fused(z, _DL7, _DL6), z, _DL5), z, _DL4), z, _DL3), z, _DL2)
    log = fused(fused(log, z, _DL1), z, _DL0) * s
    radius = root(fused(rounded(exponent, types.float64), _EXPONENT_DOUBLE, log))
    angle = rounded(b, types.float64) * _2_POW_MINUS_63
    square = angle * angle
    sine = fused(fused(fused(fused(square, _DS8, _DS7), square, _DS6), square, _DS5), square, _DS4)
    sine = fused(fused(fused(fused(sine, square, _DS3), square, _DS2), square, _DS1), square, _DS0) * angle
    cosine = fused(fused(fused(fused(square, _DC8, _DC7), square, _DC6), square, _DC5), square, _DC4)
    cosine = fused(fused(fused(fused(cosine, square, _DC3), square, _DC2), square, _DC1), square, _DC0)
    cosine = bitcast(bitcast(cosine, types.int64) ^ (a & _SIGN_DOUBLE), types.float64)
    return radius * cosine, radius * sine


@compiled.inlined
def minus_2_ln(bits: Any) -> Any:
    """-2 ln of a vector of float32 > 0, given as their bits, vectors of int32."""
    exponent = (bits - _SQRT_HALF_BITS) & _EXPONENT_BITS
    x = bitcast(bits - exponent, types.float32) - _ONE
    log = fused(fused(fused(fused(fused(x, _L7, _L6), x, _L5), x, _L4), x, _L3), x, _L2)
    log = fused(fused(log, x, _L1), x, _L0) * x
    return fused(rounded(exponent, types.float32), _EXPONENT, log)


@compiled.inlined
def minus_2_ln_double(bits: Any) -> Any:
    """-2 ln of a vector of float64 > 0, given as their bits, vectors of int64."""
    exponent = (bits - _SQRT_HALF_BITS_DOUBLE) & _EXPONENT_BITS_DOUBLE
    x = bitcast(bits - exponent, types.float64) - 1.0
    s = x / (x + 2.0)
    z = s * s
    log = fused(fused(fused(fused(fused(z, _DL7, _DL6), z, _DL5), z, _DL4), z, _DL3), z, _DL2)
    log = fused(fused(log, z, _DL1), z, _DL0) * s
    return fused(rounded(exponent, types.float64), _EXPONENT_DOUBLE, log)


@compiled.inlined
def truncated(word: Any, numbers: Any) -> Any:
    """A vector of truncated normal float32 of one of int32; `numbers` are those of `Truncated`."""
    mean, std, low, high, split, step, left, right, middle = numbers
    place = rounded(word, types.float32)
    is_left = below(place, split)
    further = bitcast(select(is_left, word ^ _SIGN, word ^ _ALL), types.uint32) >> _SHIFT_1
    tail = fused(rounded(bitcast(further, types.int32), types.float32), step, select(is_left, left, right))
    y = minus_2_ln(bitcast(tail * (_ONE - tail), types.int32) + _TWO_BITS) - _CENTER
    z = fused(fused(fused(fused(y, _Q9, _Q8), y, _Q7), y, _Q6), y, _Q5)
    z = fused(fused(fused(fused(z, y, _Q4), y, _Q3), y, _Q2), y, _Q1)
    z = fused(z, y, _Q0)
    z = z * fused(place, step, middle)
    is_far = below(tail, _TAIL)
    if any_lane(is_far):
        s = root(minus_2_ln(bitcast(tail, types.int32))) - _FOOT
        above = fused(fused(fused(s, _N3, _N2), s, _N1), s, _N0)
        beneath = fused(fused(fused(s, _D3, _D2), s, _D1), s, _D0)
        far = above / beneath
        z = select(is_far, select(is_left, far * -_ONE, far), z)
    value = fused(z, std, mean)
    value = select(below(value, low), low, value)
    return select(below(high, value), high, value)


@compiled.inlined
def truncated_double(word: Any, numbers: Any) -> Any:
    """A vector of truncated normal float64 of one of int64; `numbers` are those of `Truncated`."""
    mean, std, low, high, split, step, left, right, middle = numbers
    place = rounded(word, types.float64)
    is_left = below(place, split)
    further = bitcast(select(is_left, word ^ _SIGN_DOUBLE, word ^ _ALL_DOUBLE), types.uint64) >> _SHIFT_1_DOUBLE
    tail = fused(rounded(bitcast(further, types.int64), types.float64), step, select(is_left, left, right))
    y = minus_2_ln_double(bitcast(tail * (1.0 - tail), types.int64) + _TWO_BITS_DOUBLE) - _CENTER_DOUBLE
    z = fused(fused(fused(fused(y, _DQ22, _DQ21), y, _DQ20), y, _DQ19), y, _DQ18)
    z = fused(fused(fused(fused(z, y, _DQ17), y, _DQ16), y, _DQ15), y, _DQ14)
    z = fused(fused(fused(fused(z, y, _DQ13), y, _DQ12), y, _DQ11), y, _DQ10)
    z = fused(fused(fused(fused(z, y, _DQ9), y, _DQ8), y, _DQ7), y, _DQ6)
    z = fused(fused(fused(fused(z, y, _DQ5), y, _DQ4), y, _DQ3), y, _DQ2)
    z = fused(fused(z, y, _DQ1), y, _DQ0)
    z = z * fused(place, step, middle)
    is_far = below(tail, _TAIL_DOUBLE)
    if any_lane(is_far):
        s = root(minus_2_ln_double(bitcast(tail, types.int64))) - _FOOT_DOUBLE
        above = fused(fused(fused(fused(s, _DN8, _DN7), s, _DN6), s, _DN5), s, _DN4)
        above = fused(fused(fused(fused(above, s, _DN3), s, _DN2), s, _DN1), s, _DN0)
        beneath = fused(fused(fused(fused(s, _DD8, _DD7), s, _DD6), s, _DD5), s, _DD4)
        beneath = fused(fused(fused(fused(beneath, s, _DD3), s, _DD2), s, _DD1), s, _DD0)
        far = above / beneath
        z = select(is_far, select(is_left, far * -1.0, far), z)
    value = fused(z, std, mean)
    value = select(below(value, low), low, value)
    return select(below(high, value), high, value)


def _words(product: Any, table: Any, lower: Any, distribution: Any) -> Any:
    return _philox(product, table)


def _words_double(product: Any, table: Any, lower: Any, distribution: Any) -> Any:
    return philox_wide(product, table, lower)


def _uniform(words: Any, distribution: Any) -> Any:
    middle, step = distribution
    a, b = words
    return _by_pairs(fused(rounded(a, types.float32), step, middle), fused(rounded(b, types.float32), step, middle))


def _uniform_double(words: Any, distribution: Any) -> Any:
    middle, step = distribution
    a, b, c, d = words
    return _by_fours(
        _joined(fused(rounded(a, types.float64), step, middle), fused(rounded(b, types.float64), step, middle)),
        _joined(fused(rounded(c, types.float64), step, middle), fused(rounded(d, types.float64), step, middle)),
    )


def _gaussian_double(words: Any, distribution: Any) -> Any:
    mean, std = distribution
    a, b = normals_double(words[0], words[1])
    c, d = normals_double(words[2], words[3])
    return _by_fours(
        _joined(fused(a, std, mean), fused(b, std, mean)), _joined(fused(c, std, mean), fused(d, std, mean))
    )


def _truncated(words: Any, distribution: Any) -> Any:
    return _by_pairs(truncated(words[0], distribution), truncated(words[1], distribution))


def _truncated_double(words: Any, distribution: Any) -> Any:
    a, b, c, d = words
    return _by_fours(
        _joined(truncated_double(a, distribution), truncated_double(b, distribution)),
        _joined(truncated_double(c, distribution), truncated_double(d, distribution)),
    )


def _bernoulli(words: Any, distribution: Any) -> Any:
    highest = np.uint32(distribution.threshold - np.uint64(1))
    return at_most(bitcast(_by_pairs(words[0], words[1]), types.uint32), highest)


_MAKERS = {
    (Uniform, types.float32): (_words, _uniform),
    (Uniform, types.float64): (_words_double, _uniform_double),
    (Gaussian, types.float64): (_words_double, _gaussian_double),
    (Truncated, types.float32): (_words, _truncated),
    (Truncated, types.float64): (_words_double, _truncated_double),
    (Bernoulli, types.uint64): (_words, _bernoulli),
}


def draw(product: Any, table: Any, lower: Any, distribution: Any) -> Any:
    """Return the words of a group of counters as the distribution takes them. Compiled only."""
    raise NotImplementedError


def made(words: Any, distribution: Any) -> Any:
    """Return the values of a group, in their order. Compiled only."""
    raise NotImplementedError


@overload(draw, jit_options={"forceinline": True})
def _draw_by_type(product: Any, table: Any, lower: Any, distribution: Any) -> Any:
    return _MAKERS[distribution.instance_class, distribution.dtype][0]


@overload(made, jit_options={"forceinline": True})
def _made_by_type(words: Any, distribution: Any) -> Any:
    return _MAKERS[distribution.instance_class, distribution.dtype][1]


@compiled.expanded
def _fill_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, distribution: Any) -> None:
    """Write the values of groups of counters.

    Args:
        out: pointer to the values.
        counters: pointer to the low words of the counters of the first group; those of each further one are higher by
            `COUNTERS`.
        groups: number of groups, at least 1.
        table: pointer to what `schedule` has computed.
        lower: the same for the second stream, which gives what float64 has beyond float32.
        distribution: what to make of the words.
    """
    align_stack()
    natural = load(counters, 0, COUNTERS)
    product = _in_lanes(natural, natural) * _MULTIPLIER_0
    words = draw(product, table, lower, distribution)
    for group in range(groups - 1):
        # While the values of one group are made, the words of the next are: that keeps more of the CPU at work.
        ahead = draw(product + np.uint64((group + 1) * COUNTERS) * _MULTIPLIER_0, table, lower, distribution)
        store(out, group * VALUES, made(words, distribution))
        words = ahead
    store(out, (groups - 1) * VALUES, made(words, distribution))


@compiled.expanded
def _fill_normal_groups(out: Any, counters: Any, groups: Any, table: Any, numbers: Any) -> None:
    """Do as `_fill_groups` with normal float32 values, whose operations stand by turns with those of words."""
    mean, std = numbers[0], numbers[1]
    align_stack()
    natural = load(counters, 0, COUNTERS)
    product = _in_lanes(natural, natural) * _MULTIPLIER_0
    words = _philox(product, table)
    for group in range(groups - 1):
        further = product + np.uint64((group + 1) * COUNTERS) * _MULTIPLIER_0
        (a, b), (c0, c1, c2, c3) = _normals_and_words(words[0], words[1], further, table)
        store(out, group * VALUES, _by_pairs(held(fused(a, std, mean)), held(fused(b, std, mean))))
        words = _last_round(c0, c1, c2, c3, table)
    # Of words that nobody takes nothing is left once it is compiled.
    (a, b), _ = _normals_and_words(words[0], words[1], product, table)
    store(out, (groups - 1) * VALUES, _by_pairs(fused(a, std, mean), fused(b, std, mean)))


def _uniform_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, numbers: Any) -> None:
    _fill_groups(out, counters, groups, table, lower, Uniform(numbers[0], numbers[1]))


def _normal_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, numbers: Any) -> None:
    _fill_normal_groups(out, counters, groups, table, numbers)


def _gaussian_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, numbers: Any) -> None:
    _fill_groups(out, counters, groups, table, lower, Gaussian(numbers[0], numbers[1]))


def _truncated_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, numbers: Any) -> None:
    distribution = Truncated(
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        numbers[5],
        numbers[6],
        numbers[7],
        numbers[8],
    )
    _fill_groups(out, counters, groups, table, lower, distribution)


def _bernoulli_groups(out: Any, counters: Any, groups: Any, table: Any, lower: Any, numbers: Any) -> None:
    _fill_groups(out, counters, groups, table, lower, Bernoulli(numbers[0]))


def _routine(function: Any, value: Any, number: Any) -> compiled.Routine:
    words = types.CPointer(types.uint64)
    return compiled.Routine(function, (types.CPointer(value), words, types.intp, words, words, types.CPointer(number)))


_ROUTINES: dict[tuple[type, int], compiled.Routine] = {
    (Uniform, 4): _routine(_uniform_groups, types.float32, types.float32),
    (Uniform, 8): _routine(_uniform_groups, types.float64, types.float64),
    (Gaussian, 4): _routine(_normal_groups, types.float32, types.float32),
    (Gaussian, 8): _routine(_gaussian_groups, types.float64, types.float64),
    (Truncated, 4): _routine(_truncated_groups, types.float32, types.float32),
    (Truncated, 8): _routine(_truncated_groups, types.float64, types.float64),
    (Bernoulli, 1): _routine(_bernoulli_groups, types.uint8, types.uint64),
}
"""The code that makes the values of groups of counters, by distribution and bytes of a value. Calling it by its address
lets what walks over runs be compiled once for all of them."""


@compiled.serial
def fill(
    out: Any,
    size: Any,
    starts: Any,
    bounds: Any,
    begin: Any,
    end: Any,
    routine: Any,
    numbers: Any,
    key_0: Any,
    key_1: Any,
    stream_0: Any,
    stream_1: Any,
    lower_0: Any,
    lower_1: Any,
) -> None:
    """Write the values of the runs number `begin` to `end`.

    Args:
        out: uint8 [bounds[-1] * size], the bytes of the values.
        size: bytes of a value: 1, 4 or 8.
        starts: as in `Runs`.
        bounds: as in `Runs`.
        begin: number of the first run.
        end: number of the run after the last.
        routine: address of what makes the values.
        numbers: uint8, the bytes of the numbers of the distribution.
        key_0: word 0 of the key.
        key_1: word 1 of the key.
        stream_0: word 0 of the id of the stream.
        stream_1: word 1 of it.
        lower_0: the same of the second stream, which gives what float64 has beyond float32.
        lower_1: word 1 of it.
    """
    # One allocation, as five would take as long as a small blob.
    scratch = np.empty(2 * _TABLE + 3 * COUNTERS + VALUES, np.uint64)
    table, lower = scratch[:_TABLE], scratch[_TABLE : 2 * _TABLE]
    counters = scratch[2 * _TABLE : 2 * _TABLE + COUNTERS]
    offsets = scratch[2 * _TABLE + COUNTERS : 2 * _TABLE + 2 * COUNTERS]
    lengths = scratch[2 * _TABLE + 2 * COUNTERS : 2 * _TABLE + 3 * COUNTERS]
    tile = address(scratch) + 8 * (2 * _TABLE + 3 * COUNTERS)
    high, is_prepared = 0, False
    run, written = begin, 0
    place = address(out) + bounds[begin] * size
    while run < end:
        index, left = starts[run] + written, bounds[run + 1] - bounds[run] - written
        counter = index >> 2
        if not is_prepared or counter >> _HIGH != high:
            high, is_prepared = counter >> _HIGH, True
            schedule(table, np.uint64(high), key_0, key_1, stream_0, stream_1)
            if size == 8:
                schedule(lower, np.uint64(high), key_0, key_1, lower_0, lower_1)
        groups = min(left // VALUES, (((high + 1) << _HIGH) - counter) // COUNTERS)
        is_tiled = groups == 0 or index & 3 != 0
        count, pieces = 0, 0
        if is_tiled:
            # Short runs and the ends of long ones share a group.
            groups = 1
            while run < end and count < COUNTERS:
                index, left = starts[run] + written, bounds[run + 1] - bounds[run] - written
                counter, skipped = index >> 2, index & 3
                if left > 0 and counter >> _HIGH != high:
                    break
                more = min(min((skipped + left + 3) >> 2, COUNTERS - count), ((high + 1) << _HIGH) - counter)
                length = min(4 * more - skipped, left)
                if left > 0:
                    for j in range(more):
                        counters[count + j] = np.uint64(counter + j) & _LOW_32
                    offsets[pieces], lengths[pieces] = 4 * count + skipped, length
                    count += more
                    pieces += 1
                written += length
                if length == left:
                    run += 1
                    written = 0
        else:
            for j in range(COUNTERS):
                counters[j] = np.uint64(counter + j) & _LOW_32
            written += groups * VALUES
            if left == groups * VALUES:
                run += 1
                written = 0
        target = tile if is_tiled else place
        call(routine, target, address(counters), groups, address(table), address(lower), address(numbers))
        if not is_tiled:
            place += groups * VALUES * size
        for piece in range(pieces):
            source, stop = tile + np.int64(offsets[piece]) * size, place + np.int64(lengths[piece]) * size
            while place < stop:
                if size == 4:
                    move(place, source, 4)
                elif size == 8:
                    move(place, source, 8)
                else:
                    move(place, source, 1)
                place += size
                source += size


@compiled.brief
def fill_briefly(
    out: Any,
    size: Any,
    starts: Any,
    bounds: Any,
    routine: Any,
    numbers: Any,
    key_0: Any,
    key_1: Any,
    stream_0: Any,
    stream_1: Any,
    lower_0: Any,
    lower_1: Any,
) -> None:
    """Write the values of all runs, which are few; the rest as in `fill`."""
    fill(
        out,
        size,
        starts,
        bounds,
        0,
        starts.size,
        routine,
        numbers,
        key_0,
        key_1,
        stream_0,
        stream_1,
        lower_0,
        lower_1,
    )


@compiled.parallel
def fill_parallel(
    out: Any,
    size: Any,
    starts: Any,
    bounds: Any,
    cuts: Any,
    routine: Any,
    numbers: Any,
    key_0: Any,
    key_1: Any,
    stream_0: Any,
    stream_1: Any,
    lower_0: Any,
    lower_1: Any,
) -> None:
    """Write the values of all runs, task k those number `cuts[k]` to `cuts[k + 1]`; the rest as in `fill`."""
    for k in prange(cuts.size - 1):
        fill(
            out,
            size,
            starts,
            bounds,
            cuts[k],
            cuts[k + 1],
            routine,
            numbers,
            key_0,
            key_1,
            stream_0,
            stream_1,
            lower_0,
            lower_1,
        )


def launch(out: NDArray[Any], runs: Runs, ids: tuple[int, ...], distribution: Prepared) -> None:
    """Write the values of runs, long ones on several threads.

    Args:
        out: float32, float64 or bool [runs.count], as the distribution says.
        runs: which values.
        ids: the two words of the key and of the ids of two streams, as in `fill`.
        distribution: what to make of the words.
    """
    kind, numbers = distribution
    size, nbytes = out.itemsize, out.view(np.uint8)
    routine = _ROUTINES[kind, size].address
    if out.size <= BRIEF:
        fill_briefly(nbytes, size, runs.starts, runs.bounds, routine, numbers, *ids)
        return
    if compiled.is_serial(out.size):
        fill(nbytes, size, runs.starts, runs.bounds, 0, runs.starts.size, routine, numbers, *ids)
        return
    pieces = runs.split(compiled.TASK)
    cuts = compiled.tasks(pieces.bounds)
    fill_parallel(nbytes, size, pieces.starts, pieces.bounds, cuts, routine, numbers, *ids)
