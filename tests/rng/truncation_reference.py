"""The contract of truncated normal values once more, written from its text: integers, fractions and plain NumPy."""

from fractions import Fraction
from functools import cache
from math import inf, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.rng import philox_reference as reference
from tests.rng.philox_reference import fma, hexadecimal, horner

SINGLE = {
    "central": hexadecimal(
        "0x1.0fc8bcp+1", "0x1.652c64p-3", "-0x1.832c88p-10", "-0x1.d07ecep-13", "0x1.43da1ap-16", "-0x1.ccd25ap-23",
        "-0x1.499614p-24", "0x1.50c808p-28", "0x1.229a1ap-33", "-0x1.5f2b4ep-36",
    ),
    "numerator": hexadecimal("0x1.903886p+1", "0x1.187d82p+1", "0x1.ce1458p-2", "0x1.c90984p-6"),
    "denominator": hexadecimal("0x1.0p+0", "0x1.649104p-2", "0x1.c86bb2p-6", "0x1.61c2ecp-21"),
}  # fmt: skip
DOUBLE = {
    "central": hexadecimal(
        "0x1.0fc8bc55fe004p+1", "0x1.652c5b9e4a45fp-3", "-0x1.83296808f70e0p-10", "-0x1.d069d456b80f3p-13",
        "0x1.43a5452e75ac3p-16", "-0x1.da28c51e94195p-23", "-0x1.444234036bd18p-24", "0x1.6b78e1301532dp-28",
        "0x1.45f97748a0943p-34", "-0x1.07e21413d324ep-35", "0x1.60b44d7d64356p-40", "0x1.73f8da0027eaap-44",
        "-0x1.82f11265dbfdcp-47", "0x1.6a8b3a29f54efp-53", "0x1.ab19848e91ef9p-55", "-0x1.e3cfbadbee7d3p-59",
        "-0x1.351cb4d6133aap-64", "0x1.7e678369d6659p-66", "-0x1.84d13536c562ap-71", "-0x1.4b59c5db0b879p-74",
        "0x1.8a6447b6d5d4bp-78", "0x1.a9d56cee549b4p-84", "-0x1.ee46d5d836651p-87",
    ),
    "numerator": hexadecimal(
        "0x1.9038854e3762fp+1", "0x1.1a7181569bff3p+2", "0x1.4e09f9a0ee0cfp+1", "0x1.af4a3359090b2p-1",
        "0x1.491229c5b9654p-3", "0x1.2a3c5589052a1p-6", "0x1.30ce974ca15aap-10", "0x1.348cdeaaf54b1p-15",
        "0x1.bf86bc5b14655p-22",
    ),
    "denominator": hexadecimal(
        "0x1.0p+0", "0x1.0f0e111bf0cf9p+0", "0x1.ded1a16584f19p-2", "0x1.c2381a2d18541p-4", "0x1.dab97781d0f2bp-7",
        "0x1.0ed949f0eae81p-10", "0x1.277791b824e9ap-15", "0x1.bf82a9bb7fa80p-22", "0x1.f848c71d0fdfcp-45",
    ),
}  # fmt: skip

UNIT = 1 << 600
"""Real numbers are whole multiples of its inverse."""


def arctangent_of_inverse(n: int) -> int:
    total, power, k = 0, UNIT // n, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        power, k = power // (n * n), k + 1
    return total


@cache
def root_of_2_pi() -> int:
    pi = 4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239))
    return isqrt(2 * pi * UNIT)


def upper_tail(x: float | Fraction) -> Fraction:
    """Q(x), by the series of exp and of the normal integral."""
    if abs(x) > 18:
        return Fraction(int(x < 0))
    exact = Fraction(x)
    square = exact * exact
    term = exponential = UNIT
    k = 0
    while term:
        k += 1
        term = int(term * -square / 2 / k)
        exponential += term
    term = total = int(UNIT * exact)
    odd = 1
    while abs(term) > 1:
        odd += 2
        term = int(term * square / odd)
        total += term
    return Fraction(1, 2) - Fraction(exponential * total, UNIT * root_of_2_pi())


def parameters(mean: float, std: float, low: float, high: float, dtype: Any) -> dict[str, Any]:
    number = np.dtype(dtype).type
    n = 31 if number is np.float32 else 63

    def distance(x: Any, y: Any) -> float | Fraction:
        """(x - y) / std."""
        if np.isinf(x) or np.isinf(y):
            return inf
        return (Fraction(float(x)) - Fraction(float(y))) / Fraction(float(number(std)))

    to_low, to_high = distance(number(mean), number(low)), distance(number(high), number(mean))
    below, above = upper_tail(to_low), upper_tail(to_high)
    mass = 1 - below - above
    step = mass / 2**n
    split = ((1 - 2 * below) / mass - 1) * 2**n
    if to_low <= 0:
        split = Fraction(-(2**n))
    elif to_high <= 0:
        split = Fraction(2 ** (n + 1))
    real = {
        "split": split,
        "step": step,
        "left": below + step / 2,
        "right": above + step / 2,
        "middle": below - above + step / 2,
    }
    return {name: number(float(value)) for name, value in real.items()}


def minus_2_ln(value: NDArray[Any], exponent_more: int) -> NDArray[Any]:
    """-2 ln(value 2^exponent_more)."""
    number = value.dtype.type
    root = np.array([0x3F3504F3], np.int32).view(np.float32)[0]
    if number is np.float64:
        root = np.array([0x3FE6A09E667F3BCD], np.int64).view(np.float64)[0]
    m, e = np.frexp(value)
    is_less = m < root
    m, e = np.where(is_less, m * number(2), m), e - is_less
    x = m - number(1)
    if number is np.float64:
        x = x / (x + number(2))
    table = reference.SINGLE if number is np.float32 else reference.DOUBLE
    log = horner(table["log"], x if number is np.float32 else x * x) * x
    return fma((e + exponent_more).astype(number), number(-2 * np.log(2)), log)


def of_words(word: NDArray[Any], mean: float, std: float, low: float, high: float, dtype: Any) -> NDArray[Any]:
    number = np.dtype(dtype).type
    n, table = (31, SINGLE) if number is np.float32 else (63, DOUBLE)
    p = parameters(mean, std, low, high, dtype)
    mean, std, low, high = (number(x) + number(0) for x in (mean, std, low, high))
    place = word.astype(dtype)
    is_left = place < p["split"]
    exact = word.astype(object)
    k = np.where(is_left, exact + 2**n, 2**n - 1 - exact) // 2
    t = fma(k.astype(np.int64).astype(dtype), p["step"], np.where(is_left, p["left"], p["right"]))
    y = minus_2_ln(t * (number(1) - t), 2)
    central = horner(table["central"], y - number(5)) * fma(place, p["step"], p["middle"])
    s = np.sqrt(np.maximum(minus_2_ln(t, 0), number(0))) - number(3.75)
    tail = horner(table["numerator"], s) / horner(table["denominator"], s)
    z = np.where(t < number(2.0**-10), np.where(is_left, -tail, tail), central)
    value = fma(z, std, mean)
    return np.where(value > high, high, np.where(value < low, low, value))


def truncated(
    seed: int, name: str, index: NDArray[Any], mean: float, std: float, low: float, high: float, dtype: Any
) -> NDArray[Any]:
    return of_words(reference.signed_words(seed, name, index, dtype), mean, std, low, high, dtype)
