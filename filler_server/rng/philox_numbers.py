"""Constants of the `philox` stream, and its distributions as the kernels take them.

The contract that they belong to stands in `filler_server.rng.philox`.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from filler_server.rng.constants import numbers
from filler_server.rng.truncation import Truncated

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Of Philox4x32: of counter words 0 and 2."""

WEYL = (0x9E3779B9, 0xBB67AE85)
"""Increments of the two words of the key in each round of Philox4x32."""


class Functions(NamedTuple):
    """The constants of the functions of normal values in one dtype; polynomials lowest power first, minimax (Remez).

    Attributes:
        bits: n, the bits of W without its sign.
        sqrt_half: the bits of the least m.
        exponent: -2 ln 2.
        log: pL.
        sin: pS.
        cos: pC.
    """

    bits: int
    sqrt_half: int
    exponent: float
    log: tuple[float, ...]
    sin: tuple[float, ...]
    cos: tuple[float, ...]


# log: relative error 2^-22.5 of -2 ln(1 + x) / x for 1 + x in [sqrt(1/2), sqrt(2)], which the square root halves.
# sin: relative error 2^-27.5 of sin(x pi/2) / x by x^2 for x in [-1, 1]. cos: absolute error 2^-24.4.
SINGLE = Functions(
    bits=31,
    sqrt_half=0x3F3504F3,
    exponent=float.fromhex("-0x1.62e43p+0"),
    log=numbers(
        "-0x1.fffffep+0 0x1.00007ap+0 -0x1.5559dcp-1 0x1.ff623cp-2 "
        "-0x1.978e2ep-2 0x1.614c08p-2 -0x1.4c3d0cp-2 0x1.9dfa7cp-3"
    ),
    sin=numbers("0x1.921fb6p+0 -0x1.4abbc2p-1 0x1.4668b0p-4 -0x1.324ccap-8 0x1.3daff6p-13"),
    cos=numbers("0x1.fffffep-1 -0x1.3bd3a6p+0 0x1.03bd06p-2 -0x1.54f61ap-6 0x1.c1f066p-11"),
)

# log: relative error 2^-59.6 of -4 atanh(x) / x by x^2 for |x| <= (sqrt(2) - 1) / (sqrt(2) + 1). sin: 2^-61.8,
# cos: 2^-57.8.
DOUBLE = Functions(
    bits=63,
    sqrt_half=0x3FE6A09E667F3BCD,
    exponent=float.fromhex("-0x1.62e42fefa39efp+0"),
    log=numbers(
        "-0x1.0000000000000p+2 -0x1.55555555555aep+0 -0x1.999999997ac3bp-1 -0x1.2492494532f9fp-1 "
        "-0x1.c71c4fe8c7ec2p-2 -0x1.74669de44356dp-2 -0x1.39994e1b47df8p-2 -0x1.2f51d4a9013e6p-2"
    ),
    sin=numbers(
        "0x1.921fb54442d18p+0 -0x1.4abbce625be52p-1 0x1.466bc6775aa6ep-4 -0x1.32d2cce627543p-8 "
        "0x1.50783485190cbp-13 -0x1.e3074ddd1d70cp-19 0x1.e8f35e9d59ea1p-25 -0x1.6f79770c62c1cp-31 "
        "0x1.9d1b8696d4c1ap-38"
    ),
    cos=numbers(
        "0x1.0000000000000p+0 -0x1.3bd3cc9be45dbp+0 0x1.03c1f081b5993p-2 -0x1.55d3c7e3bfc44p-6 "
        "0x1.e1f506813c9e5p-11 -0x1.a6d1efc968efdp-16 0x1.f9d2548907bb3p-22 -0x1.b69582d93f9a9p-28 "
        "0x1.1679714caf33bp-34"
    ),
)


class Uniform(NamedTuple):
    """`middle + step * word`, in the dtype of both."""

    middle: np.float32 | np.float64
    step: np.float32 | np.float64


class Gaussian(NamedTuple):
    """`normal * std + mean`, in the dtype of both."""

    mean: np.float32 | np.float64
    std: np.float32 | np.float64


class Bernoulli(NamedTuple):
    """`word < threshold`, 0 < threshold; 2^32 is above every word."""

    threshold: np.uint64


Distribution: TypeAlias = Uniform | Gaussian | Truncated | Bernoulli
"""Transformation of the words."""


class Prepared(NamedTuple):
    """A distribution as the kernels take it.

    Attributes:
        kind: its class.
        numbers: uint8, the bytes of its numbers.
    """

    kind: type[Distribution]
    numbers: NDArray[np.uint8]

    @classmethod
    def of(cls, distribution: Distribution) -> "Prepared":
        """Prepare a distribution."""
        return cls(type(distribution), np.array(distribution).view(np.uint8))
