"""The kernels of the philox stream: Philox4x32-10, and the laws that turn its words into values.

The contract that they keep stands in `filler_server.rng.philox`. A kernel works in blocks of counters: the words of a
block first, then its values, each in plain loops over arrays that LLVM turns into vector code. Blocks never change
the values. Everything that is compiled stands in this one file, because Numba's cache does not see changes elsewhere.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import prange, types
from numba.extending import overload

from filler_server import compiled


class Uniform(NamedTuple):
    """`middle + step * word`, in the dtype of both."""

    middle: np.float32 | np.float64
    step: np.float32 | np.float64


class Gaussian(NamedTuple):
    """`normal * std + mean`, in the dtype of both."""

    mean: np.float32 | np.float64
    std: np.float32 | np.float64


class Bernoulli(NamedTuple):
    """`word < threshold`; a threshold of 2^32 is above every word."""

    threshold: np.uint64


Law = Uniform | Gaussian | Bernoulli

_BLOCK = 256
"""Counters computed together, four values each."""

_LANES = 16
"""Blocks are a multiple of so many counters, because a vector of them costs what one costs."""

_SHIFT_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)

# The coefficients are minimax polynomials (Remez), lowest power first.

_2_LN_2 = np.float32(float.fromhex("0x1.62e43p+0"))
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA_BITS = np.int32(0x007FFFFF)
_2_POW_MINUS_31 = np.float32(2.0**-31)
_SIGN_BIT = np.uint32(0x80000000)
_ODD = np.uint32(1)

# -2 ln(1 + x) / x for 1 + x in [sqrt(1/2), sqrt(2)], relative error 2^-22.5, which the square root halves.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (
    np.float32(float.fromhex(text))
    for text in (
        "-0x1.fffffep+0",
        "0x1.00007ap+0",
        "-0x1.5559dcp-1",
        "0x1.ff623cp-2",
        "-0x1.978e2ep-2",
        "0x1.614c08p-2",
        "-0x1.4c3d0cp-2",
        "0x1.9dfa7cp-3",
    )
)
# sin(x pi/2) / x by x^2 for x in [-1, 1], relative error 2^-27.5.
_S0, _S1, _S2, _S3, _S4 = (
    np.float32(float.fromhex(text))
    for text in ("0x1.921fb6p+0", "-0x1.4abbc2p-1", "0x1.4668b0p-4", "-0x1.324ccap-8", "0x1.3daff6p-13")
)
# cos(x pi/2) by x^2 for x in [-1, 1], absolute error 2^-24.4.
_C0, _C1, _C2, _C3, _C4 = (
    np.float32(float.fromhex(text))
    for text in ("0x1.fffffep-1", "-0x1.3bd3a6p+0", "0x1.03bd06p-2", "-0x1.54f61ap-6", "0x1.c1f066p-11")
)

_2_LN_2_DOUBLE = float.fromhex("0x1.62e42fefa39efp+0")
_SQRT_HALF_BITS_DOUBLE = np.int64(0x3FE6A09E667F3BCD)
_MANTISSA_BITS_DOUBLE = np.int64(0x000FFFFFFFFFFFFF)
_2_POW_MINUS_63 = 2.0**-63
_SIGN_BIT_DOUBLE = np.uint64(0x8000000000000000)
_ODD_DOUBLE = np.uint64(1)

# -4 atanh(x) / x by x^2 for |x| <= (sqrt(2) - 1) / (sqrt(2) + 1), relative error 2^-59.6.
_DL0, _DL1, _DL2, _DL3, _DL4, _DL5, _DL6, _DL7 = (
    float.fromhex(text)
    for text in (
        "-0x1.0000000000000p+2",
        "-0x1.55555555555aep+0",
        "-0x1.999999997ac3bp-1",
        "-0x1.2492494532f9fp-1",
        "-0x1.c71c4fe8c7ec2p-2",
        "-0x1.74669de44356dp-2",
        "-0x1.39994e1b47df8p-2",
        "-0x1.2f51d4a9013e6p-2",
    )
)
# As above for double: relative error 2^-61.8, absolute error 2^-57.8.
_DS0, _DS1, _DS2, _DS3, _DS4, _DS5, _DS6, _DS7, _DS8 = (
    float.fromhex(text)
    for text in (
        "0x1.921fb54442d18p+0",
        "-0x1.4abbce625be52p-1",
        "0x1.466bc6775aa6ep-4",
        "-0x1.32d2cce627543p-8",
        "0x1.50783485190cbp-13",
        "-0x1.e3074ddd1d70cp-19",
        "0x1.e8f35e9d59ea1p-25",
        "-0x1.6f79770c62c1cp-31",
        "0x1.9d1b8696d4c1ap-38",
    )
)
_DC0, _DC1, _DC2, _DC3, _DC4, _DC5, _DC6, _DC7, _DC8 = (
    float.fromhex(text)
    for text in (
        "0x1.0000000000000p+0",
        "-0x1.3bd3cc9be45dbp+0",
        "0x1.03c1f081b5993p-2",
        "-0x1.55d3c7e3bfc44p-6",
        "0x1.e1f506813c9e5p-11",
        "-0x1.a6d1efc968efdp-16",
        "0x1.f9d2548907bb3p-22",
        "-0x1.b69582d93f9a9p-28",
        "0x1.1679714caf33bp-34",
    )
)


@compiled.serial
def philox(words: Any, counters: Any, count: Any, key: Any, stream: Any) -> None:
    """Philox4x32-10 of counters of a stream.

    Args:
        words: uint32 [4, >= count], `words[i, j]` is set to word i of counter j.
        counters: int64 [>= count], words 0 and 1 of each counter.
        count: number of counters.
        key: uint32 [2].
        stream: uint32 [2], words 2 and 3 of every counter.
    """
    # All in uint64 with an empty upper half: what is multiplied needs no widening, which would halve the speed.
    key_0, key_1 = np.uint64(key[0]), np.uint64(key[1])
    stream_0, stream_1 = np.uint64(stream[0]), np.uint64(stream[1])
    words_0, words_1, words_2, words_3 = words[0], words[1], words[2], words[3]
    for j in range(count):
        counter = np.uint64(counters[j])
        c0, c1, c2, c3 = counter & _LOW_32, counter >> _SHIFT_32, stream_0, stream_1
        k0, k1 = key_0, key_1
        for _ in range(10):
            product_0 = _MULTIPLIER_0 * c0
            product_1 = _MULTIPLIER_1 * c2
            c0 = (product_1 >> _SHIFT_32) ^ c1 ^ k0
            c1 = product_1 & _LOW_32
            c2 = (product_0 >> _SHIFT_32) ^ c3 ^ k1
            c3 = product_0 & _LOW_32
            k0 = (k0 + _WEYL_0) & _LOW_32
            k1 = (k1 + _WEYL_1) & _LOW_32
        words_0[j], words_1[j], words_2[j], words_3[j] = c0, c1, c2, c3


@compiled.serial
def normals(a: Any, b: Any) -> Any:
    """Two standard normal float32 of two uint32, by Box and Muller (1958)."""
    odd = np.float32(np.int32((a & ~_SIGN_BIT) | _ODD))
    bits = np.int32(odd.view(np.int32) - _SQRT_HALF_BITS)
    exponent = np.float32(np.int32(31 - (bits >> 23)))
    x = np.int32((bits & _MANTISSA_BITS) + _SQRT_HALF_BITS).view(np.float32) - np.float32(1)
    log = ((((((_L7 * x + _L6) * x + _L5) * x + _L4) * x + _L3) * x + _L2) * x + _L1) * x + _L0
    radius = np.sqrt(exponent * _2_LN_2 + log * x)
    angle = np.float32(np.int32(b)) * _2_POW_MINUS_31
    square = angle * angle
    sine = ((((_S4 * square + _S3) * square + _S2) * square + _S1) * square + _S0) * angle
    cosine = np.float32((((_C4 * square + _C3) * square + _C2) * square + _C1) * square + _C0)
    # The angle covers half of the circle; the sign that a has left covers the other.
    cosine = np.uint32(cosine.view(np.uint32) ^ (a & _SIGN_BIT)).view(np.float32)
    return radius * cosine, radius * sine


@compiled.serial
def normals_double(a: Any, b: Any) -> Any:
    """Two standard normal float64 of two uint64, by Box and Muller (1958)."""
    odd = np.float64(np.int64((a & ~_SIGN_BIT_DOUBLE) | _ODD_DOUBLE))
    bits = np.int64(odd.view(np.int64) - _SQRT_HALF_BITS_DOUBLE)
    exponent = np.float64(63 - (bits >> 52))
    x = np.int64((bits & _MANTISSA_BITS_DOUBLE) + _SQRT_HALF_BITS_DOUBLE).view(np.float64) - 1.0
    s = x / (x + 2.0)
    z = s * s
    log = ((((((_DL7 * z + _DL6) * z + _DL5) * z + _DL4) * z + _DL3) * z + _DL2) * z + _DL1) * z + _DL0
    radius = np.sqrt(exponent * _2_LN_2_DOUBLE + log * s)
    angle = np.float64(np.int64(b)) * _2_POW_MINUS_63
    square = angle * angle
    sine = (((_DS8 * square + _DS7) * square + _DS6) * square + _DS5) * square + _DS4
    sine = ((((sine * square + _DS3) * square + _DS2) * square + _DS1) * square + _DS0) * angle
    cosine = (((_DC8 * square + _DC7) * square + _DC6) * square + _DC5) * square + _DC4
    cosine = np.float64((((cosine * square + _DC3) * square + _DC2) * square + _DC1) * square + _DC0)
    cosine = np.uint64(cosine.view(np.uint64) ^ (a & _SIGN_BIT_DOUBLE)).view(np.float64)
    return radius * cosine, radius * sine


@compiled.serial
def joined(high: Any, low: Any) -> Any:
    """A uint64 of its two halves."""
    return (np.uint64(high) << _SHIFT_32) | np.uint64(low)


def _uniform(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    philox(words, counters, count, ids[0], ids[1])
    middle, step = law
    for j in range(count):
        for i in range(4):
            values[4 * j + i] = middle + step * np.float32(np.int32(words[i, j]))


def _uniform_double(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    philox(words, counters, count, ids[0], ids[1])
    philox(low, counters, count, ids[0], ids[2])
    middle, step = law
    for j in range(count):
        for i in range(4):
            values[4 * j + i] = middle + step * np.float64(np.int64(joined(words[i, j], low[i, j])))


def _gaussian(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    philox(words, counters, count, ids[0], ids[1])
    mean, std = law
    for j in range(count):
        for i in range(0, 4, 2):
            one, other = normals(words[i, j], words[i + 1, j])
            values[4 * j + i] = one * std + mean
            values[4 * j + i + 1] = other * std + mean


def _gaussian_double(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    philox(words, counters, count, ids[0], ids[1])
    philox(low, counters, count, ids[0], ids[2])
    mean, std = law
    for j in range(count):
        for i in range(0, 4, 2):
            one, other = normals_double(joined(words[i, j], low[i, j]), joined(words[i + 1, j], low[i + 1, j]))
            values[4 * j + i] = one * std + mean
            values[4 * j + i + 1] = other * std + mean


def _bernoulli(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    philox(words, counters, count, ids[0], ids[3])
    threshold = law.threshold
    for j in range(count):
        for i in range(4):
            values[4 * j + i] = np.uint64(words[i, j]) < threshold


_BLOCKS = {
    (Uniform, types.float32): _uniform,
    (Uniform, types.float64): _uniform_double,
    (Gaussian, types.float32): _gaussian,
    (Gaussian, types.float64): _gaussian_double,
    (Bernoulli, types.uint64): _bernoulli,
}


def _block(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> None:
    """Set `values[: 4 * count]` to the values of the first `count` counters; `words` and `low` are scratch."""
    raise NotImplementedError


@overload(_block)
def _block_of_law(values: Any, words: Any, low: Any, counters: Any, count: Any, ids: Any, law: Any) -> Any:
    return _BLOCKS[law.instance_class, law.dtype]


@compiled.serial
def fill(out: Any, starts: Any, bounds: Any, begin: Any, end: Any, ids: Any, law: Any) -> None:
    """Write the values of the runs number `begin` to `end`.

    Args:
        out: float32, float64 or bool [bounds[-1]], as the law says.
        starts: as in `Runs`.
        bounds: as in `Runs`.
        begin: number of the first run.
        end: number of the run behind the last.
        ids: uint32 [4, 2], the key and the stream ids of "values", "low" and "mask".
        law: what to make of the words.
    """
    words = np.empty((4, _BLOCK), np.uint32)
    low = np.empty((4, _BLOCK), np.uint32)
    tile = np.empty(4 * _BLOCK, out.dtype)
    counters = np.zeros(_BLOCK, np.int64)
    offsets, lengths = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    run, written, place = begin, 0, bounds[begin]
    while run < end:
        # Short runs share a block; a long one goes on in the next.
        count, pieces = 0, 0
        while run < end and count < _BLOCK:
            index, left = starts[run] + written, bounds[run + 1] - bounds[run] - written
            skipped = index & 3
            more = min((skipped + left + 3) >> 2, _BLOCK - count)
            length = min(4 * more - skipped, left)
            if left > 0:
                these, first = counters[count : count + more], index >> 2
                for j in range(more):
                    these[j] = first + j
                offsets[pieces], lengths[pieces] = 4 * count + skipped, length
                count += more
                pieces += 1
            written += length
            if length == left:
                run += 1
                written = 0
        if pieces == 1 and lengths[0] == 4 * _BLOCK:
            _block(out[place : place + 4 * _BLOCK], words, low, counters, _BLOCK, ids, law)
            place += 4 * _BLOCK
            continue
        _block(tile, words, low, counters, (count + _LANES - 1) & -_LANES, ids, law)
        for piece in range(pieces):
            for i in range(lengths[piece]):
                out[place + i] = tile[offsets[piece] + i]
            place += lengths[piece]


@compiled.parallel
def fill_parallel(out: Any, starts: Any, bounds: Any, cuts: Any, ids: Any, law: Any) -> None:
    """Write the values of all runs, task k those number `cuts[k]` to `cuts[k + 1]`; the rest as in `fill`."""
    for task in prange(cuts.size - 1):
        fill(out, starts, bounds, cuts[task], cuts[task + 1], ids, law)
