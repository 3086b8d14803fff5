"""Values of the philox stream in NumPy: the same as those of the kernels, some fifty times slower.

The contract that both keep stands in `filler_server.rng.philox`. Of float32 there are uniform and normal values.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.rng.philox_numbers import MULTIPLIERS, SINGLE, WEYL, Distribution, Gaussian, Prepared, Uniform
from filler_server.rng.stream import Runs

_Words: TypeAlias = NDArray[np.uint64]
_Floats: TypeAlias = NDArray[np.float32]
_Doubles: TypeAlias = NDArray[np.float64]

_BLOCK = 1 << 14
"""Values that are made at once, so that what they are made of stays in the cache."""

_ROUNDS = 10
_SHIFT_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0, _MULTIPLIER_1 = map(np.uint64, MULTIPLIERS)

_EXPONENT = np.int32(-(1 << 23))
_REST = np.int64((1 << 29) - 1)
"""The bits that a float64 has beyond a float32."""
_HALF = np.int64(1 << 28)
_LEAST_NORMAL = 2.0**-126


def can_make(out: NDArray[Any], distribution: Prepared) -> bool:
    """Return whether values of this dtype and distribution can be made here."""
    return out.dtype == np.float32 and distribution.kind in _MAKERS


@np.errstate(all="ignore")
def launch(out: _Floats, runs: Runs, ids: tuple[int, ...], distribution: Prepared) -> None:
    """Write the values of runs.

    Args:
        out: float32 [runs.count].
        runs: which values.
        ids: the two words of the key and of the id of the stream, and more that float32 does not need.
        distribution: what to make of the words.
    """
    make, numbers = _MAKERS[distribution.kind], distribution.numbers.view(np.float32)
    for begin, end, block in runs.blocks(_BLOCK, _BLOCK):
        if block.starts.size == 1:
            first = block.starts.item(0)
            counters = np.arange(first >> 2, (first + block.count + 3) >> 2, dtype=np.uint64)
            skipped = first & 3
            out[begin:end] = make(_words(counters, ids), numbers).reshape(-1)[skipped : skipped + block.count]
        else:
            indices = block.indices()
            some, places = np.unique(indices >> 2, return_inverse=True)
            out[begin:end] = make(_words(some.astype(np.uint64), ids), numbers)[places, indices & 3]


def _words(counters: _Words, ids: tuple[int, ...]) -> NDArray[np.int32]:
    """Philox4x32-10: int32 [counters, 4]."""
    keys, streams = ids[:2], ids[2:4]
    c0, c1 = counters & _LOW_32, counters >> _SHIFT_32
    c2, c3 = (np.full_like(counters, stream) for stream in streams)
    for number in range(_ROUNDS):
        key_0, key_1 = (np.uint64((key + number * step) & 0xFFFFFFFF) for key, step in zip(keys, WEYL, strict=True))
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        c0, c1 = (product_1 >> _SHIFT_32) ^ c1 ^ key_0, product_1 & _LOW_32
        c2, c3 = (product_0 >> _SHIFT_32) ^ c3 ^ key_1, product_0 & _LOW_32
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32).view(np.int32)


def _uniform(words: NDArray[np.int32], numbers: _Floats) -> _Floats:
    middle, step = numbers
    return _fused(words.astype(np.float32), step, middle)


def _gaussian(words: NDArray[np.int32], numbers: _Floats) -> _Floats:
    mean, std = numbers
    a, b = words[:, 0::2], words[:, 1::2]
    bits = ((a & np.int32(0x7FFFFFFF)) | np.int32(1)).astype(np.float32).view(np.int32)
    exponent = (bits - np.int32(SINGLE.sqrt_half + (SINGLE.bits << 23))) & _EXPONENT
    x = (bits - np.int32(SINGLE.bits << 23) - exponent).view(np.float32) - np.float32(1)
    log = _polynomial(SINGLE.log, x) * x
    radius = np.sqrt(_fused((exponent >> 23).astype(np.float32), np.float32(SINGLE.exponent), log))
    angle = b.astype(np.float32) * np.float32(2.0**-SINGLE.bits)
    square = angle * angle
    cosine = np.where(a < 0, np.float32(-1), np.float32(1)) * _polynomial(SINGLE.cos, square)
    normals = np.empty(words.shape, np.float32)
    normals[:, 0::2] = radius * cosine
    normals[:, 1::2] = radius * (_polynomial(SINGLE.sin, square) * angle)
    return _fused(normals, std, mean)


def _polynomial(coefficients: tuple[float, ...], x: _Floats) -> _Floats:
    value: _Floats = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = _fused(value, x, np.float32(coefficient))
    return value


def _fused(x: _Floats, y: _Floats | np.float32, z: _Floats | np.float32) -> _Floats:
    """Return x * y + z, rounded once (IEEE 754 fusedMultiplyAdd)."""
    product = np.multiply(x, y, dtype=np.float64)
    addend = np.float64(z)
    total: _Doubles = product + addend
    # The product is exact, and the sum is rounded. To round that again goes wrong in the middle between two float32 at
    # most, and where these lie closer.
    is_open = ((total.view(np.int64) & _REST) == _HALF) | (np.abs(total) < _LEAST_NORMAL)
    if is_open.any():
        total = np.where(is_open, _to_odd(product, addend, total), total)
    return total.astype(np.float32)


def _to_odd(x: _Doubles, y: _Doubles | np.float64, total: _Doubles) -> _Doubles:
    """Return x + y, of which `total` is the nearest, as the neighbour whose last bit is 1 unless it is exact.

    That can be rounded again (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    """
    of_y = total - x
    error = (x - (total - of_y)) + (y - of_y)
    is_even = total.view(np.int64) % 2 == 0
    return np.where((error != 0) & is_even, np.nextafter(total, np.copysign(np.inf, error)), total)


_MAKERS: dict[type[Distribution], Callable[[NDArray[np.int32], _Floats], _Floats]] = {
    Uniform: _uniform,
    Gaussian: _gaussian,
}
