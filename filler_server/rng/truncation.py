"""Normal values within bounds: the part of the philox contract that defines them, and its constants.

Truncated normal values
=======================

They are the quantiles of uniform values: no value is drawn twice, and each depends on its own word alone. What follows
is read as the contract of `filler_server.rng.philox` is, with its W, n, T and L.

The distribution has a mean, a std > 0 and bounds low < high, one or both of which may be infinite; all are first
rounded to T, and a negative zero is 0. Q(x) is the probability that a standard normal value exceeds x, and counts as 0
beyond x = 18. Real numbers, each rounded to float64 and then to T:

    below  = Q((mean - low) / std)      above = Q((high - mean) / std)      M = 1 - below - above
    step   = M 2^-n                     left  = below + step / 2
    middle = below - above + step / 2   right = above + step / 2
    split  = ((1 - 2 below) / M - 1) 2^n; -2^n where low >= mean, 2^(n+1) where high <= mean

A word makes the probability t that a value lies further out on its side, and x, which is 1 - 2 t with the sign of the
side. Where T(W) < split, which is the left side, k is W + 2^n, else 2^n - 1 - W; its last bit is dropped.

    t = fma(T(k div 2), step, left or right)        x = fma(T(W), step, middle)

With t (1 - t) = 2^e m, m and L as for normal values, and with t = 2^e m in turn:

    t >= 2^-10:  y = fma(T(e + 2), -2 ln 2, L), which is -2 ln(4 t (1 - t));  z = pC(y - 5) * x
    t < 2^-10:   s = sqrt(fma(T(e), -2 ln 2, L)) - 3.75;  z = pN(s) / pD(s), negated on the left side

The value is fma(z, std, mean); below low it is low, above high it is high.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

import numpy as np

from filler_server.rng.arguments import check_truncated
from filler_server.rng.constants import numbers

_Real = np.float32 | np.float64


class Quantiles(NamedTuple):
    """The constants of the quantiles of one dtype; polynomials lowest power first.

    Attributes:
        central: pC.
        numerator: pN.
        denominator: pD.
    """

    central: tuple[float, ...]
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]


TAIL = 2.0**-10
"""The t from which on the formula of the middle is taken."""

CENTER = 5.0
"""The y in the middle of that formula."""

FOOT = 3.75
"""The square root from which on the formula of the tail counts."""

# central: relative error 2^-25.4 of z / x for y in [0, 11.1]. tail: 2^-28.0 of z for t in [1e-25, 2^-10].
SINGLE = Quantiles(
    central=numbers(
        "0x1.0fc8bcp+1 0x1.652c64p-3 -0x1.832c88p-10 -0x1.d07ecep-13 0x1.43da1ap-16 -0x1.ccd25ap-23 -0x1.499614p-24 "
        "0x1.50c808p-28 0x1.229a1ap-33 -0x1.5f2b4ep-36"
    ),
    numerator=numbers("0x1.903886p+1 0x1.187d82p+1 0x1.ce1458p-2 0x1.c90984p-6"),
    denominator=numbers("0x1.000000p+0 0x1.649104p-2 0x1.c86bb2p-6 0x1.61c2ecp-21"),
)

# central: 2^-56.0. tail: 2^-62.2 for t in [2e-35, 2^-10].
DOUBLE = Quantiles(
    central=numbers(
        "0x1.0fc8bc55fe004p+1 0x1.652c5b9e4a45fp-3 -0x1.83296808f70e0p-10 -0x1.d069d456b80f3p-13 "
        "0x1.43a5452e75ac3p-16 -0x1.da28c51e94195p-23 -0x1.444234036bd18p-24 0x1.6b78e1301532dp-28 "
        "0x1.45f97748a0943p-34 -0x1.07e21413d324ep-35 0x1.60b44d7d64356p-40 0x1.73f8da0027eaap-44 "
        "-0x1.82f11265dbfdcp-47 0x1.6a8b3a29f54efp-53 0x1.ab19848e91ef9p-55 -0x1.e3cfbadbee7d3p-59 "
        "-0x1.351cb4d6133aap-64 0x1.7e678369d6659p-66 -0x1.84d13536c562ap-71 -0x1.4b59c5db0b879p-74 "
        "0x1.8a6447b6d5d4bp-78 0x1.a9d56cee549b4p-84 -0x1.ee46d5d836651p-87"
    ),
    numerator=numbers(
        "0x1.9038854e3762fp+1 0x1.1a7181569bff3p+2 0x1.4e09f9a0ee0cfp+1 0x1.af4a3359090b2p-1 "
        "0x1.491229c5b9654p-3 0x1.2a3c5589052a1p-6 0x1.30ce974ca15aap-10 0x1.348cdeaaf54b1p-15 "
        "0x1.bf86bc5b14655p-22"
    ),
    denominator=numbers(
        "0x1.0000000000000p+0 0x1.0f0e111bf0cf9p+0 0x1.ded1a16584f19p-2 0x1.c2381a2d18541p-4 "
        "0x1.dab97781d0f2bp-7 0x1.0ed949f0eae81p-10 0x1.277791b824e9ap-15 0x1.bf82a9bb7fa80p-22 "
        "0x1.f848c71d0fdfcp-45"
    ),
)


class Truncated(NamedTuple):
    """The numbers that make a truncated normal value of a word, by the names of the contract; all of one dtype."""

    mean: _Real
    std: _Real
    low: _Real
    high: _Real
    split: _Real
    step: _Real
    left: _Real
    right: _Real
    middle: _Real


# Decimal arithmetic is the same on every machine; that of C's erfc is not.
_decimal = Context(prec=90, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, traps=[])
_ROOT_OF_2_PI = Decimal("2.5066282746310005024157652848110452530069867406099383166299235763422936546078419749465958384")
_FARTHEST = 18
_NOTHING = Decimal("1e-85")


def truncated(dtype: np.dtype[Any], mean: float, std: float, low: float, high: float) -> Truncated:
    """Return the numbers of a distribution.

    Raises:
        InvalidArgument: it has no values, or its bounds are too far out or too close (`arguments.check_truncated`).
    """
    number = dtype.type
    # A negative zero and 0 becomes 0.
    real = [number(value) + number(0) for value in (mean, std, low, high)]
    check_truncated(*map(float, real))
    exact_mean, exact_std, exact_low, exact_high = (Decimal(float(value)) for value in real)
    to_low, to_high = _decimal.subtract(exact_mean, exact_low), _decimal.subtract(exact_high, exact_mean)
    below, above = (upper_tail(_decimal.divide(distance, exact_std)) for distance in (to_low, to_high))
    mass = _decimal.subtract(_decimal.subtract(Decimal(1), below), above)
    words = Decimal(2 ** (31 if number is np.float32 else 63))
    step = _decimal.divide(mass, words)
    half = _decimal.divide(step, Decimal(2))
    if to_low <= 0:
        split = -words
    elif to_high <= 0:
        split = 2 * words
    else:
        share = _decimal.divide(_decimal.fma(Decimal(-2), below, Decimal(1)), mass)
        split = _decimal.multiply(_decimal.subtract(share, Decimal(1)), words)
    left, right = _decimal.add(below, half), _decimal.add(above, half)
    middle = _decimal.add(_decimal.subtract(below, above), half)
    return Truncated(*real, *(number(float(value)) for value in (split, step, left, right, middle)))


def upper_tail(x: Decimal) -> Decimal:
    """Return the probability that a standard normal value exceeds x, to 70 decimal places; 0 for x > 18.

    It is 1/2 less the density times x + x^3 / 3 + x^5 / (3 5) + x^7 / (3 5 7) ...
    """
    if x.copy_abs() > _FARTHEST:
        return Decimal(0 if x > 0 else 1)
    square = _decimal.multiply(x, x)
    term = total = x
    odd = 1
    while term.copy_abs() > _NOTHING:
        odd += 2
        term = _decimal.divide(_decimal.multiply(term, square), Decimal(odd))
        total = _decimal.add(total, term)
    density = _decimal.divide(_decimal.exp(_decimal.divide(square, Decimal(-2))), _ROOT_OF_2_PI)
    return _decimal.subtract(Decimal("0.5"), _decimal.multiply(density, total))
