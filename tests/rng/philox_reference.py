"""The contract of the philox stream once more, written from its text: plain NumPy, one value at a time, no kernels."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.uint64]

MASK = np.uint64(0xFFFFFFFF)


def hexadecimal(*texts: str) -> list[float]:
    return [float.fromhex(text) for text in texts]


SINGLE = {
    "log": hexadecimal(
        "-0x1.fffffep+0", "0x1.00007ap+0", "-0x1.5559dcp-1", "0x1.ff623cp-2", "-0x1.978e2ep-2", "0x1.614c08p-2",
        "-0x1.4c3d0cp-2", "0x1.9dfa7cp-3",
    ),
    "sin": hexadecimal("0x1.921fb6p+0", "-0x1.4abbc2p-1", "0x1.4668b0p-4", "-0x1.324ccap-8", "0x1.3daff6p-13"),
    "cos": hexadecimal("0x1.fffffep-1", "-0x1.3bd3a6p+0", "0x1.03bd06p-2", "-0x1.54f61ap-6", "0x1.c1f066p-11"),
}  # fmt: skip
DOUBLE = {
    "log": hexadecimal(
        "-0x1.0p+2", "-0x1.55555555555aep+0", "-0x1.999999997ac3bp-1", "-0x1.2492494532f9fp-1",
        "-0x1.c71c4fe8c7ec2p-2", "-0x1.74669de44356dp-2", "-0x1.39994e1b47df8p-2", "-0x1.2f51d4a9013e6p-2",
    ),
    "sin": hexadecimal(
        "0x1.921fb54442d18p+0", "-0x1.4abbce625be52p-1", "0x1.466bc6775aa6ep-4", "-0x1.32d2cce627543p-8",
        "0x1.50783485190cbp-13", "-0x1.e3074ddd1d70cp-19", "0x1.e8f35e9d59ea1p-25", "-0x1.6f79770c62c1cp-31",
        "0x1.9d1b8696d4c1ap-38",
    ),
    "cos": hexadecimal(
        "0x1.0p+0", "-0x1.3bd3cc9be45dbp+0", "0x1.03c1f081b5993p-2", "-0x1.55d3c7e3bfc44p-6",
        "0x1.e1f506813c9e5p-11", "-0x1.a6d1efc968efdp-16", "0x1.f9d2548907bb3p-22", "-0x1.b69582d93f9a9p-28",
        "0x1.1679714caf33bp-34",
    ),
}  # fmt: skip


def philox(counter: list[Integers], key: tuple[int, int]) -> list[Integers]:
    """Philox4x32-10 of many counters, each of its four words an array of uint64 below 2^32."""
    c0, c1, c2, c3 = counter
    for number in range(10):
        k0 = np.uint64((key[0] + number * 0x9E3779B9) % 2**32)
        k1 = np.uint64((key[1] + number * 0xBB67AE85) % 2**32)
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & MASK, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & MASK
    return [c0, c1, c2, c3]


def words(seed: int, name: str, purpose: str, index: NDArray[Any]) -> Integers:
    """The word of each index, as uint64."""
    digest = hashlib.blake2b(name.encode("utf-8"), digest_size=8, person=purpose.encode("ascii")).digest()
    stream = int.from_bytes(digest, "little")
    counter = index.astype(np.uint64) // np.uint64(4)
    of_counter = philox(
        [
            counter & MASK,
            counter >> np.uint64(32),
            np.full(index.shape, stream % 2**32, np.uint64),
            np.full(index.shape, stream >> 32, np.uint64),
        ],
        (seed % 2**32, seed >> 32),
    )
    return np.choose(index.astype(np.int64) % 4, of_counter)


def signed_words(seed: int, name: str, index: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """W: int32 for float32, int64 for float64."""
    w = words(seed, name, "values", index)
    if dtype == np.float32:
        return w.astype(np.uint32).view(np.int32)
    return ((w << np.uint64(32)) | words(seed, name, "low", index)).view(np.int64)


def uniform_parameters(low: float, high: float, dtype: Any) -> tuple[Any, Any]:
    """Middle and step."""
    number = np.dtype(dtype).type
    low, high = number(low), number(high)
    middle = low * number(0.5) + high * number(0.5)
    middle = low if middle < low else min(middle, high)
    half = min(middle - low, high - middle)
    if middle + half > high or middle - half < low:
        half = np.nextafter(half, number(0))
    power = number(2.0**31) if number is np.float32 else number(2.0**63)
    step = half / power
    if step * power > half:
        step = np.nextafter(step, number(0))
    return middle, step


def uniform(seed: int, name: str, index: NDArray[Any], low: float, high: float, dtype: Any) -> NDArray[Any]:
    middle, step = uniform_parameters(low, high, dtype)
    return fma(signed_words(seed, name, index, dtype).astype(dtype), step, middle)


def odd_sum(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """x + y in float64, rounded to the neighbour with an odd last bit unless it is exact (Boldo, Melquiond, 2008)."""
    total, error = two_sum(x, y)
    even = total.view(np.int64) % 2 == 0
    return np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)


def two_sum(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """x + y, and what rounding took off (Knuth)."""
    total = x + y
    of_y = total - x
    return total, (x - (total - of_y)) + (y - of_y)


def two_product(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """x * y, and what rounding took off (Dekker)."""

    def halves(number: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        scaled = number * 134217729.0
        upper = scaled - (scaled - number)
        return upper, number - upper

    product, (a, b), (c, d) = x * y, halves(x), halves(y)
    return product, ((a * c - product) + a * d + b * c) + b * d


def fma(x: Any, y: Any, z: Any) -> NDArray[Any]:
    """x * y + z rounded once, of float32 or float64, whose products do not leave the range of float64."""
    x, y, z = np.broadcast_arrays(x, y, z)
    if x.dtype == np.float32:
        wide = x.astype(np.float64) * y.astype(np.float64)
        return odd_sum(wide, z.astype(np.float64)).astype(np.float32)
    # The halves of factors whose product is near the end of the range would go beyond it.
    scale = np.where(np.abs(x * y) > 2.0**1000, 2.0**-128, 1.0)
    x, z = x * scale, z * scale
    product, error = two_product(x, y)
    first, second = two_sum(z, error)
    high, low = two_sum(product, first)
    # Where the product is exact its sum with z is, too, and keeps the sign of a zero.
    rounded: NDArray[Any] = np.where(error == 0, product + z, high + odd_sum(second, low)) / scale
    return rounded


def horner(coefficients: list[float], x: NDArray[Any]) -> NDArray[Any]:
    number = x.dtype.type
    value = np.full_like(x, number(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = fma(value, x, number(coefficient))
    return value


def normals(a: NDArray[Any], b: NDArray[Any], dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two normal values of two signed words."""
    number = np.dtype(dtype).type
    n, table = (31, SINGLE) if number is np.float32 else (63, DOUBLE)
    root = np.array([0x3F3504F3], np.int32).view(np.float32)[0]
    if number is np.float64:
        root = np.array([0x3FE6A09E667F3BCD], np.int64).view(np.float64)[0]
    odd = ((a & np.iinfo(a.dtype).max) | 1).astype(dtype)
    mantissa, exponent = np.frexp(odd)  # [1/2, 1)
    below = mantissa < root
    mantissa, exponent = np.where(below, mantissa * number(2), mantissa), exponent - below
    x = mantissa - number(1)
    if number is np.float64:
        x = x / (x + number(2))
    log = horner(table["log"], x if number is np.float32 else x * x) * x
    r = np.sqrt(fma((exponent - n).astype(dtype), number(-2 * np.log(2)), log))
    t = b.astype(dtype) * number(2.0**-n)
    s = horner(table["sin"], t * t) * t
    c = horner(table["cos"], t * t)
    return r * np.where(a < 0, -c, c), r * s


def gaussian(seed: int, name: str, index: NDArray[Any], mean: float, std: float, dtype: Any) -> NDArray[Any]:
    number = np.dtype(dtype).type
    even = index - index % 2
    of_even, of_odd = normals(
        signed_words(seed, name, even, dtype), signed_words(seed, name, even + index.dtype.type(1), dtype), dtype
    )
    return fma(np.where(index % 2 == 0, of_even, of_odd), number(std), number(mean))


def bernoulli(seed: int, name: str, index: NDArray[Any], probability: float) -> NDArray[np.bool_]:
    return words(seed, name, "mask", index) < np.uint64(round(probability * 2**32))
