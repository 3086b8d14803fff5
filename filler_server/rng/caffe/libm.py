"""log, cos and sin of the C library with which Caffe's values were recorded, for kernels, to the last bit.

Boost's older normal distributions are sums and products of what these functions give, and C libraries differ in the
last bits; glibc alone has other ones for CPUs with fused multiply-add than for those without. Here they are computed as
glibc 2.36 does with fused multiply-add, operation by operation, whatever the CPU and its C library: log, logf, cosf and
sinf after ARM's optimized routines (MIT license), cos and sin after IBM's Accurate Mathematical Library. They were
compared with glibc's for every argument that Boost can give them, 2^32 each.

Numba's cache does not see a change of this file: remove `__pycache__` of the kernels that use it after one.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from filler_server import compiled

_DIGITS = 60


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float.fromhex(number) for number in text.split()])


def _logarithms(inverses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log(c) of each 1 / c, rounded once."""
    with localcontext(prec=_DIGITS):
        return np.array([float(-Decimal(inverse).ln()) for inverse in inverses.tolist()])


def _sines() -> NDArray[np.float64]:
    """Sine, cosine and what rounding left of both, of k / 128."""
    rows = []
    with localcontext(prec=_DIGITS):
        for k in range(110):
            x = Decimal(k) / 128
            terms = [Decimal(1)]
            for n in range(1, 50):
                terms.append(terms[-1] * x / n)
            row = []
            for first in (1, 0):
                value = sum((term if n % 4 < 2 else -term) for n, term in enumerate(terms) if n % 2 == first)
                row += [float(value), float(value - Decimal(float(value)))]
            rows.append(row)
    return np.array(rows)


# 1 / c for a c near the middle of each part of [0x1.6p-1, 0x1.6p0), chosen so that log(c) is nearly a double.
_INVERSES = _numbers(
    """
    0x1.734f0c3e0de9fp+0 0x1.713786a2ce91fp+0 0x1.6f26008fab5a0p+0 0x1.6d1a61f138c7dp+0 0x1.6b1490bc5b4d1p+0
    0x1.69147332f0cbap+0 0x1.6719f18224223p+0 0x1.6524f99a51ed9p+0 0x1.63356aa8f24c4p+0 0x1.614b36b9ddc14p+0
    0x1.5f66452c65c4cp+0 0x1.5d867b5912c4fp+0 0x1.5babccb5b90dep+0 0x1.59d61f2d91a78p+0 0x1.5805612465687p+0
    0x1.56397cee76bd3p+0 0x1.54725e2a77f93p+0 0x1.52aff42064583p+0 0x1.50f22dbb2bddfp+0 0x1.4f38f4734ded7p+0
    0x1.4d843cfde2840p+0 0x1.4bd3ec078a3c8p+0 0x1.4a27fc3e0258ap+0 0x1.4880524d48434p+0 0x1.46dce1b192d0bp+0
    0x1.453d9d3391854p+0 0x1.43a2744b4845ap+0 0x1.420b54115f8fbp+0 0x1.40782da3ef4b1p+0 0x1.3ee8f5d57fe8fp+0
    0x1.3d5d9a00b4ce9p+0 0x1.3bd60c010c12bp+0 0x1.3a5242b75dab8p+0 0x1.38d22cd9fd002p+0 0x1.3755bc5847a1cp+0
    0x1.35dce49ad36e2p+0 0x1.34679984dd440p+0 0x1.32f5cceffcb24p+0 0x1.3187775a10d49p+0 0x1.301c8373e3990p+0
    0x1.2eb4ebb95f841p+0 0x1.2d50a0219a9d1p+0 0x1.2bef9a8b7fd2ap+0 0x1.2a91c7a0c1babp+0 0x1.293726014b530p+0
    0x1.27dfa5757a1f5p+0 0x1.268b39b1d3bbfp+0 0x1.2539d838ff5bdp+0 0x1.23eb7aac9083bp+0 0x1.22a012ba940b6p+0
    0x1.2157996cc4132p+0 0x1.201201dd2fc9bp+0 0x1.1ecf4494d480bp+0 0x1.1d8f5528f6569p+0 0x1.1c52311577e7cp+0
    0x1.1b17c74cb26e9p+0 0x1.19e010c2c1ab6p+0 0x1.18ab07bb670bdp+0 0x1.1778a25efbcb6p+0 0x1.1648d354c31dap+0
    0x1.151b990275fddp+0 0x1.13f0ea432d24cp+0 0x1.12c8b7210f9dap+0 0x1.11a3028ecb531p+0 0x1.107fbda8434afp+0
    0x1.0f5ee0f4e6bb3p+0 0x1.0e4065d2a9fcep+0 0x1.0d244632ca521p+0 0x1.0c0a77ce2981ap+0 0x1.0af2f83c636d1p+0
    0x1.09ddb98a01339p+0 0x1.08cabaf52e7dfp+0 0x1.07b9f2f4e28fbp+0 0x1.06ab58c358f19p+0 0x1.059eea5ecf92cp+0
    0x1.04949cdd12c90p+0 0x1.038c6c6f0ada9p+0 0x1.02865137932a9p+0 0x1.0182427ea7348p+0 0x1.008040614b195p+0
    0x1.fe01ff726fa1ap-1 0x1.fa11cc261ea74p-1 0x1.f6310b081992ep-1 0x1.f25f63ceeadcdp-1 0x1.ee9c8039113e7p-1
    0x1.eae8078cbb1abp-1 0x1.e741aa29d0c9bp-1 0x1.e3a91830a99b5p-1 0x1.e01e009609a56p-1 0x1.dca01e577bb98p-1
    0x1.d92f20b7c9103p-1 0x1.d5cac66fb5ccep-1 0x1.d272caa5ede9dp-1 0x1.cf26e3e6b2ccdp-1 0x1.cbe6da2a77902p-1
    0x1.c8b266d37086dp-1 0x1.c5894bd5d5804p-1 0x1.c26b533bb9f8cp-1 0x1.bf583eeece73fp-1 0x1.bc4fd75db96c1p-1
    0x1.b951e0c864a28p-1 0x1.b65e2c5ef3e2cp-1 0x1.b374867c9888bp-1 0x1.b094b211d304ap-1 0x1.adbe885f2ef7ep-1
    0x1.aaf1d31603da2p-1 0x1.a82e63fd358a7p-1 0x1.a5740ef09738bp-1 0x1.a2c2a90ab4b27p-1 0x1.a01a01393f2d1p-1
    0x1.9d79f24db3c1bp-1 0x1.9ae2505c7b190p-1 0x1.9852ef297ce2fp-1 0x1.95cbaeea44b75p-1 0x1.934c69de74838p-1
    0x1.90d4f2f6752e6p-1 0x1.8e6528effd79dp-1 0x1.8bfce9fcc007cp-1 0x1.899c0dabec30ep-1 0x1.87427aa2317fbp-1
    0x1.84f00acb39a08p-1 0x1.82a49e8653e55p-1 0x1.8060195f40260p-1 0x1.7e22563e0a329p-1 0x1.7beb377dcb5adp-1
    0x1.79baa679725c2p-1 0x1.77907f2170657p-1 0x1.756cadbd6130cp-1
    """
)
_LOGARITHMS = _logarithms(_INVERSES)
_OFFSET = np.int64(0x3FE6000000000000)
_EXPONENT = np.int64(-(1 << 52))
_LN2_HIGH, _LN2_LOW = _numbers("0x1.62e42fefa3800p-1 0x1.ef35793c76730p-45").tolist()
_A0, _A1, _A2, _A3, _A4 = _numbers(
    "-0x1.0000000000001p-1 0x1.555555551305bp-2 -0x1.fffffffeb4590p-3 0x1.999b324f10111p-3 -0x1.55575e506c89fp-3"
).tolist()
_BELOW_1, _ABOVE_1 = 0.9375, 1.064697265625
_B1, _B2, _B3, _B4, _B5, _B6, _B7, _B8, _B9, _B10 = _numbers(
    "0x1.5555555555577p-2 -0x1.ffffffffffdcbp-3 0x1.999999995dd0cp-3 -0x1.55555556745a7p-3 0x1.24924a344de30p-3 "
    "-0x1.fffffa4423d65p-4 0x1.c7184282ad6cap-4 -0x1.999eb43b068ffp-4 0x1.78182f7afd085p-4 -0x1.5521375d145cdp-4"
).tolist()

_INVERSES_32 = _numbers(
    """
    0x1.661ec79f8f3bep+0 0x1.571ed4aaf883dp+0 0x1.49539f0f010b0p+0 0x1.3c995b0b80385p+0 0x1.30d190c8864a5p+0
    0x1.25e227b0b8ea0p+0 0x1.1bb4a4a1a343fp+0 0x1.12358f08ae5bap+0 0x1.0953f419900a7p+0 0x1.0000000000000p+0
    0x1.e608cfd9a47acp-1 0x1.ca4b31f026aa0p-1 0x1.b2036576afce6p-1 0x1.9c2d163a1aa2dp-1 0x1.886e6037841edp-1
    0x1.767dcf5534862p-1
    """
)
_LOGARITHMS_32 = _logarithms(_INVERSES_32)
_OFFSET_32 = np.int32(0x3F330000)
_EXPONENT_32 = np.int32(-(1 << 23))
_LN2, _F0, _F1, _F2 = _numbers(
    "0x1.62e42fefa39efp-1 -0x1.00ea348b88334p-2 0x1.5575b0be00b6ap-2 -0x1.ffffef20a4123p-2"
).tolist()

_SINES = _sines()
_TO_128TH = 1.5 * 2.0**45
_TO_INTEGER = 1.5 * 2.0**52
_HALF_PI, _HALF_PI_LOW, _2_OVER_PI = _numbers(
    "0x1.921fb54442d18p+0 0x1.1a62633145c07p-54 0x1.45f306dc9c883p-1"
).tolist()
_PI_0, _PI_1, _PI_2, _PI_3 = _numbers(
    "0x1.921fb58000000p+0 -0x1.dde973c000000p-27 -0x1.cb3b398000000p-55 -0x1.d747f23e32ed7p-83"
).tolist()
_SMALL, _TAYLOR, _FIRST, _SECOND = 2.0**-26, 0.126, 0.85546875, _numbers("0x1.368fdp+1").item()
_S1, _S2, _S3, _S4, _S5 = _numbers(
    "-0x1.5555555555555p-3 0x1.1111111110ecep-7 -0x1.a01a019db08b8p-13 0x1.71de27b9a7ed9p-19 -0x1.addffc2fcdf59p-26"
).tolist()
_SN3, _SN5, _CS4, _CS6 = _numbers(
    "-0x1.5555555555515p-3 0x1.11110e829872fp-7 -0x1.5555555555535p-5 0x1.6c16bedd9e239p-10"
).tolist()

_2_OVER_PI_32 = _numbers("0x1.45f306dc9c883p+23").item()
_FIRST_32 = np.float32(0.75)
_C1, _C2, _C3, _C4 = _numbers(
    "-0x1.ffffffd0c621cp-2 0x1.55553e1068f19p-5 -0x1.6c087e89a359dp-10 0x1.99343027bf8c3p-16"
).tolist()
_T1, _T2, _T3 = _numbers("-0x1.555545995a603p-3 0x1.1107605230bc4p-7 -0x1.994eb3774cf24p-13").tolist()


@intrinsic
def _fused(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z of doubles, rounded once (IEEE 754 fusedMultiplyAdd)."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """Return the bits of a float as an integer of its size."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return builder.bitcast(args[0], ir.IntType(x.bitwidth))

    return types.Integer.from_bitwidth(x.bitwidth, signed=True)(x), codegen


@intrinsic
def _of_bits(typingctx: Any, bits: Any) -> Any:
    """Return the float that has these bits."""
    result, llvm = (types.float64, ir.DoubleType()) if bits.bitwidth == 64 else (types.float32, ir.FloatType())

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return builder.bitcast(args[0], llvm)

    return result(bits), codegen


@compiled.serial
def _log(x: Any) -> Any:
    if x == 1.0:
        return 0.0
    if _BELOW_1 <= x < _ABOVE_1:
        r = x - 1.0
        r2 = r * r
        r3 = r * r2
        y = _fused(r2, _B9, _fused(r, _B8, _B7))
        y = _fused(_fused(r3, _B10, y), r3, _fused(r2, _B6, _fused(r, _B5, _B4)))
        y = _fused(y, r3, _fused(r2, _B3, _fused(r, _B2, _B1)))
        high = _fused(-(2.0**27), r, _fused(r, 2.0**27, r))
        low = r - high
        square = high * high
        total = _fused(square, -0.5, r)
        rest = _fused(-0.5 * low, r + high, _fused(square, -0.5, r - total))
        return total + _fused(y, r3, rest)
    bits = _bits(x)
    shifted = bits - _OFFSET
    part = (shifted >> 45) & 127
    z = _of_bits(bits - (shifted & _EXPONENT))
    k = np.float64(shifted >> 52)
    r = _fused(z, _INVERSES[part], -1.0)
    total = _fused(k, _LN2_HIGH, _LOGARITHMS[part])
    high = r + total
    low = _fused(k, _LN2_LOW, total - high + r)
    r2 = r * r
    polynomial = _fused(_fused(r, _A4, _A3), r2, _fused(r, _A2, _A1))
    return _fused(r * r2, polynomial, _fused(r2, _A0, low)) + high


@compiled.serial
def _log_32(x: Any) -> Any:
    if x == np.float32(1):
        return np.float32(0)
    bits = _bits(x)
    shifted = np.int32(bits - _OFFSET_32)
    part = (shifted >> 19) & 15
    z = np.float64(_of_bits(np.int32(bits - (shifted & _EXPONENT_32))))
    r = _fused(z, _INVERSES_32[part], -1.0)
    total = r + _fused(np.float64(shifted >> 23), _LN2, _LOGARITHMS_32[part])
    r2 = r * r
    return np.float32(_fused(_fused(_F0, r2, _fused(_F1, r, _F2)), r2, total))


@compiled.serial
def _table_sine(x: Any, low: Any) -> Any:
    """The sine of x + low."""
    if abs(x) < _TAYLOR:
        square = x * x
        y = _fused(square, _fused(square, _fused(square, _fused(square, _S5, _S4), _S3), _S2), _S1)
        return x + _fused(square, _fused(y, x, -(0.5 * low)), low)
    if x <= 0:
        low = -low
    place = _TO_128TH + abs(x)
    rest = abs(x) - (place - _TO_128TH)
    row = np.int64((place - _TO_128TH) * 128.0)
    sine, sine_low, cosine, cosine_low = _SINES[row, 0], _SINES[row, 1], _SINES[row, 2], _SINES[row, 3]
    square = rest * rest
    s = rest + _fused(rest * square, _fused(square, _SN5, _SN3), low)
    c = _fused(rest, low, square * _fused(square, _fused(square, _CS6, _CS4), 0.5))
    result = sine + _fused(s, cosine, _fused(-c, sine, _fused(s, cosine_low, sine_low)))
    return result if x > 0 else -result


@compiled.serial
def _table_cosine(x: Any, low: Any) -> Any:
    """The cosine of x + low."""
    if x < 0:
        low = -low
    place = _TO_128TH + abs(x)
    rest = abs(x) - (place - _TO_128TH) + low
    row = np.int64((place - _TO_128TH) * 128.0)
    sine, sine_low, cosine, cosine_low = _SINES[row, 0], _SINES[row, 1], _SINES[row, 2], _SINES[row, 3]
    square = rest * rest
    s = _fused(rest * square, _fused(square, _SN5, _SN3), rest)
    c = square * _fused(square, _fused(square, _CS6, _CS4), 0.5)
    return cosine + _fused(-s, sine, _fused(-c, cosine, _fused(-s, sine_low, cosine_low)))


@compiled.serial
def _reduced(x: Any) -> Any:
    """Return x - n pi / 2 as the sum of two, and n."""
    shifted = _fused(x, _2_OVER_PI, _TO_INTEGER)
    n = shifted - _TO_INTEGER
    y = _fused(-n, _PI_1, _fused(-n, _PI_0, x))
    t = _fused(-n, _PI_2, y)
    high = _fused(-n, _PI_3, t)
    low = _fused(-n, _PI_2, y - t) + _fused(-n, _PI_3, t - high)
    return high, low, np.int64(n)


@compiled.serial
def _sin(x: Any) -> Any:
    if x < _SMALL:
        return x
    if x < _FIRST:
        return _table_sine(x, 0.0)
    if x < _SECOND:
        return _table_cosine(_HALF_PI - x, _HALF_PI_LOW)
    high, low, n = _reduced(x)
    value = _table_cosine(high, low) if n & 1 else _table_sine(high, low)
    return -value if n & 2 else value


@compiled.serial
def _cos(x: Any) -> Any:
    if x < 0.5 * _SMALL:
        return 1.0
    if x < _FIRST:
        return _table_cosine(x, 0.0)
    if x < _SECOND:
        y = _HALF_PI - x
        high = y + _HALF_PI_LOW
        return _table_sine(high, y - high + _HALF_PI_LOW)
    high, low, n = _reduced(x)
    value = _table_sine(high, low) if n & 1 else _table_cosine(high, low)
    return -value if (n + 1) & 2 else value


@compiled.serial
def _polynomial_32(x: Any, n: Any) -> Any:
    """The sine of x + n pi / 2, for an x near 0."""
    square = x * x
    if n & 1:
        fourth = square * square
        y = _fused(_fused(square, _C4, _C3), square * fourth, _fused(fourth, _C2, _fused(square, _C1, 1.0)))
    else:
        cube = square * x
        y = _fused(_fused(square, _T3, _T2), square * cube, _fused(cube, _T1, x))
    return np.float32(-y if n & 2 else y)


@compiled.serial
def _reduced_32(x: Any) -> Any:
    """Return x - n pi / 2, and n."""
    n = (np.int64(x * _2_OVER_PI_32) + 0x800000) >> 24
    return _fused(-np.float64(n), _HALF_PI, x), n


@compiled.serial
def _sin_32(x: Any) -> Any:
    if x < np.float32(2.0**-12):
        return x
    if x < _FIRST_32:
        return _polynomial_32(np.float64(x), 0)
    rest, n = _reduced_32(np.float64(x))
    return _polynomial_32(rest, n)


@compiled.serial
def _cos_32(x: Any) -> Any:
    if x < np.float32(2.0**-12):
        return np.float32(1)
    if x < _FIRST_32:
        return _polynomial_32(np.float64(x), 1)
    rest, n = _reduced_32(np.float64(x))
    return _polynomial_32(rest, n + 1)


def log(x: Any) -> Any:
    """Return the natural logarithm of a positive normal float32 or float64. Compiled only."""
    raise NotImplementedError


def cos(x: Any) -> Any:
    """Return the cosine of a float32 or float64, 0 <= x < 100. Compiled only."""
    raise NotImplementedError


def sin(x: Any) -> Any:
    """Return the sine of a float32 or float64, 0 <= x < 100. Compiled only."""
    raise NotImplementedError


@overload(log, strict=False)
def _log_of_type(x: Any) -> Any:
    return (lambda x: _log_32(x)) if x is types.float32 else (lambda x: _log(x))


@overload(cos, strict=False)
def _cos_of_type(x: Any) -> Any:
    return (lambda x: _cos_32(x)) if x is types.float32 else (lambda x: _cos(x))


@overload(sin, strict=False)
def _sin_of_type(x: Any) -> Any:
    return (lambda x: _sin_32(x)) if x is types.float32 else (lambda x: _sin(x))
