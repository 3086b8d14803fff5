"""The `philox` stream: random access to the random numbers of any blob.

Contract, version 1
===================

Every value is a pure function of the seed, the stream's name, the purpose and the value's flat index i. What follows
defines it to the last bit; tests hold it against a plain reference and against frozen values. Every operation on
floats is one IEEE 754 operation in T, the dtype of the values, rounded to nearest even, in the order written, with
brackets first and products left to right. fma(a, b, c) is a b + c rounded once (IEEE 754 fusedMultiplyAdd); nothing
else is contracted. So the bytes are the same on every CPU and for every number of threads, and any part of a blob costs
only its own length. (A CPU without an instruction for fma gives the same bytes, many times slower.)

**Words.** The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
2011), which makes four 32-bit words out of a 64-bit key and a 128-bit counter. The key is the seed: key word 0 its low
half, key word 1 its high half. Counter words 0 and 1 are the low and the high half of i div 4; counter words 2 and 3
are the low and the high half of the stream id. The word of index i is word i mod 4 of the result.

The stream id is BLAKE2b with digest size 8 of the name in UTF-8, personalized with the purpose in ASCII (padded with
zeros to BLAKE2b's 16 bytes), its digest read as a little-endian integer. There are three purposes: "values" gives the
word w of an index, "low" the word v, "mask" the word m.

**Signed words.** With float32, W = w read as a signed 32-bit integer (two's complement) and n = 31. With float64,
W = w * 2^32 + v read as a signed 64-bit integer and n = 63: the same number with 32 more bits, so that float64 values
refine the float32 ones. T(W) rounds.

**Uniform values** over [low, high], both first rounded to T: fma(T(W), step, middle), where

    middle = low * 0.5 + high * 0.5, then moved into [low, high]
    half   = the smaller of high - middle and middle - low; if middle + half > high or middle - half < low, the next
             number towards 0
    step   = half * 2^-n; if step * 2^n > half, the next number towards 0

so that no value lies outside and nothing overflows. (The corrections are for intervals of a few units in the last
place, and for subnormal numbers.)

**Normal values**, by Box and Muller ("A note on the generation of random normal deviates", 1958), come in pairs: A is
W of an even index, B that of the next.

    a = T((A without its sign bit) | 1) = 2^e * m        sqrt(1/2) <= m < sqrt(2); "without" sets the bit to 0
    r = sqrt(fma(T(e - n), -2 ln 2, L))                  L = -2 ln(m), so that r = sqrt(-2 ln(a * 2^-n))
    t = T(B) * 2^-n
    z(even index) = r * c, c = cos(t pi/2), negated if A has the sign bit
    z(odd index)  = r * s, s = sin(t pi/2)

and the value is fma(z, std, mean), with both first rounded to T. In float32 |z| <= sqrt(62 ln 2) < 6.56, in float64
|z| <= sqrt(126 ln 2) < 9.35. The functions are polynomials by Horner's rule,
p(x) = fma(fma(... fma(pk, x, pk-1) ..., x, p1), x, p0), with the constants `SINGLE` and `DOUBLE` of
`filler_server.rng.philox_numbers`:

    float32: x = m - 1; L = pL(x) * x
    float64: y = m - 1, x = y / (y + 2); L = pL(x * x) * x
    both:    s = pS(t * t) * t; c = pC(t * t)

The bound sqrt(1/2) of m is the number whose bits are 0x3F3504F3, in float64 0x3FE6A09E667F3BCD.

**Truncated normal values** stand in `filler_server.rng.truncation`, the rest of this contract.

**Bernoulli values** of probability p, a float64: m < round(p * 2^32), ties to even, compared as integers. p = 1 is
always true, p = 0 never.
"""

import hashlib
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from math import copysign
from struct import unpack
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.rng import philox_plain
from filler_server.rng.arguments import check_gaussian, check_out, check_probability, check_seed, check_uniform
from filler_server.rng.philox_numbers import DOUBLE, SINGLE, Bernoulli, Gaussian, Prepared, Uniform
from filler_server.rng.stream import Runs, Values
from filler_server.rng.truncation import truncated

_SHORT = 256
"""Characters of a name up to which the ids of its streams are kept."""

_WORTH_NUMBA = 1 << 21
"""Values from which on importing Numba takes less time than it saves; NumPy makes so many in 0.04 to 0.2 seconds."""

_LEAST = 1 << 12
"""Values that NumPy makes in the time that it takes to make any."""


@dataclass(frozen=True, slots=True)
class PhiloxStream:
    """The `philox` stream of one blob; the module's docstring defines its numbers.

    Attributes:
        seed: 0 <= seed < 2^64.
        name: name of the stream, in a net `<layer name>/<blob index>`.

    Raises:
        InvalidArgument: the seed is out of range, or the name cannot be encoded in UTF-8.
    """

    sequential: ClassVar[bool] = False

    seed: int
    name: str
    _value_words: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        try:
            object.__setattr__(self, "_value_words", self._words("values", "low"))
        except (TypeError, UnicodeEncodeError) as error:
            raise InvalidArgument(
                f"the name of a stream is text that UTF-8 can encode. Received: name={self.name!r}", field="name"
            ) from error

    def of_seed(self, seed: int) -> "PhiloxStream":
        """Return the stream of the same name and another seed.

        Raises:
            InvalidArgument: the seed is out of range.
        """
        value = check_seed(seed)
        other = object.__new__(PhiloxStream)
        words = value & 0xFFFFFFFF, value >> 32, *self._value_words[2:]
        for attribute, own in (("seed", seed), ("name", self.name), ("_value_words", words)):
            object.__setattr__(other, attribute, own)
        return other

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        """Fill `out`, float32 or float64, with uniform values of [low, high].

        Raises:
            InvalidArgument: `out` cannot be written, or low <= high does not hold or is not finite.
            RegionError: `runs` do not fit `out`.
        """
        check_out(out, runs, np.float32, np.float64)
        distribution = _uniform(out.dtype, low, high, copysign(1, low), copysign(1, high))
        _launch(out, runs, self._value_words, distribution)

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        """Fill `out`, float32 or float64, with normal values.

        Raises:
            InvalidArgument: `out` cannot be written, or mean and std are not finite, or not std > 0 in out's dtype.
            RegionError: `runs` do not fit `out`.
        """
        check_out(out, runs, np.float32, np.float64)
        distribution = _gaussian(out.dtype, mean, std, copysign(1, mean))
        _launch(out, runs, self._value_words, distribution)

    def truncated(self, out: Values, runs: Runs, mean: float, std: float, low: float, high: float) -> None:
        """Fill `out`, float32 or float64, with normal values that are truncated to [low, high].

        Raises:
            InvalidArgument: `out` cannot be written, or there is no such distribution in out's dtype
                (`arguments.check_truncated`).
            RegionError: `runs` do not fit `out`.
        """
        check_out(out, runs, np.float32, np.float64)
        _launch(out, runs, self._value_words, _truncated(out.dtype, mean, std, low, high))

    def bernoulli(self, out: NDArray[np.bool_], runs: Runs, probability: float) -> None:
        """Fill `out` with True of the given probability.

        Raises:
            InvalidArgument: `out` cannot be written, or the probability lies outside [0, 1].
            RegionError: `runs` do not fit `out`.
        """
        check_out(out, runs, np.bool_)
        check_probability(probability)
        if threshold := round(float(probability) * 2**32):
            _launch(out, runs, self._words("mask", "mask"), Prepared.of(Bernoulli(np.uint64(threshold))))
        else:
            out[:] = False

    def _words(self, first: str, second: str) -> tuple[int, ...]:
        """The key and the ids of the streams of two purposes, each as its two words."""
        seed = int(self.seed)
        stream_ids = _stream_ids if len(self.name) <= _SHORT else _stream_ids.__wrapped__
        return seed & 0xFFFFFFFF, seed >> 32, *stream_ids(self.name, first, second)


@lru_cache(maxsize=4096)
def _stream_ids(name: str, first: str, second: str) -> tuple[int, ...]:
    digests = [
        hashlib.blake2b(str.encode(name), digest_size=8, person=text.encode()).digest() for text in (first, second)
    ]
    return unpack("<4I", b"".join(digests))


def begin_in_numpy() -> None:
    """Let NumPy make the first values of this process, as of a command that fills once: few do not wait for Numba."""
    _plain.left = _WORTH_NUMBA


def expect(count: int) -> None:
    """Say that so many values will be asked for: where they are many, the first are not made in NumPy either."""
    if count > _plain.left:
        _plain.left = 0


def _launch(out: NDArray[Any], runs: Runs, ids: tuple[int, ...], distribution: Prepared) -> None:
    """Write the values of runs: by the kernels, or in NumPy where a process has begun in it and they are few."""
    kernels: Any = sys.modules.get("filler_server.rng.philox_kernels")
    # Another thread may be in the middle of importing it.
    if not hasattr(kernels, "launch"):
        if _plain.take(out, distribution):
            philox_plain.launch(out, runs, ids, distribution)
            return
        from filler_server.rng import philox_kernels as kernels
    kernels.launch(out, runs, ids, distribution)


class _Plain:
    """Number of values, `left`, that NumPy may still make in this process."""

    left = 0

    def take(self, out: NDArray[Any], distribution: Prepared) -> bool:
        """Return whether NumPy should make these values."""
        if self.left <= 0 or not philox_plain.can_make(out, distribution):
            return False
        self.left -= max(out.size, _LEAST)
        return self.left >= 0


_plain = _Plain()


# The signs are arguments because a cache takes 0 and -0 for the same.
@lru_cache
@np.errstate(under="ignore")
def _gaussian(dtype: np.dtype[Any], mean: float, std: float, sign: float) -> Prepared:
    distribution = Gaussian(dtype.type(mean), dtype.type(std))
    check_gaussian(float(distribution.mean), float(distribution.std))
    return Prepared.of(distribution)


@lru_cache
@np.errstate(under="ignore")
def _truncated(dtype: np.dtype[Any], mean: float, std: float, low: float, high: float) -> Prepared:
    return Prepared.of(truncated(dtype, mean, std, low, high))


@lru_cache
@np.errstate(under="ignore")
def _uniform(dtype: np.dtype[Any], lowest: float, highest: float, low_sign: float, high_sign: float) -> Prepared:
    number = dtype.type
    low, high = number(lowest), number(highest)
    check_uniform(float(low), float(high))
    middle = min(max(low * number(0.5) + high * number(0.5), low), high)
    half = min(high - middle, middle - low)
    if middle + half > high or middle - half < low:
        half = np.nextafter(half, number(0))
    bits = number(2.0 ** (SINGLE if number is np.float32 else DOUBLE).bits)
    step = half / bits
    if step * bits > half:
        step = np.nextafter(step, number(0))
    return Prepared.of(Uniform(middle, step))
