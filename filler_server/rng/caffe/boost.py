"""Boost's distributions as Caffe uses them, prepared for the kernels."""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.rng.arguments import check_gaussian, check_probability, check_uniform
from filler_server.rng.caffe import kernels, ziggurat

Dtype: TypeAlias = np.dtype[np.float32] | np.dtype[np.float64]


class Profile(StrEnum):
    """The releases of Boost between which Caffe's numbers differ.

    They differ in normal values: a ziggurat since 1.56, whose tail and acceptance changed with 1.64, Box and Muller
    before. Up to 1.55 the uniform distribution did not guard against overflow, either.
    """

    CAFFE = "caffe"
    CAFFE_1_56 = "caffe-1.56"
    CAFFE_1_55 = "caffe-1.55"


@lru_cache(maxsize=256)
@np.errstate(under="ignore")
def uniform(low: float, high: float, dtype: Dtype, profile: Profile = Profile.CAFFE) -> kernels.Uniform:
    """`caffe_rng_uniform(n, low, high)`: `boost::uniform_real` from low to the next number above high.

    Raises:
        InvalidArgument: low <= high does not hold or is not finite, or Caffe would draw forever because no output
            gives a number of this range.
    """
    real = dtype.type
    largest = np.finfo(real).max
    a, b = real(low), real(high)
    check_uniform(float(a), float(b))
    end = np.nextafter(b, largest)
    half, scale = real(0.5), real(1)
    if profile != Profile.CAFFE_1_55 and end * half - a * half > largest * half:
        a, end, scale = a * half, end * half, real(2)
    with np.errstate(over="ignore", invalid="ignore"):
        span = end - a
        accepted = _count(lambda u: real(u) / real(2**32) * span + a < end)
    if accepted == 0:
        raise InvalidArgument(
            f"Caffe would draw forever: none of its {dtype} numbers lies in this range. "
            f"Received: low={low!r}, high={high!r}, profile={profile.value!r}",
            field="low",
        )
    return kernels.Uniform(a, span, scale, np.uint32(accepted - 1))


def gaussian(
    mean: float, std: float, dtype: Dtype, profile: Profile = Profile.CAFFE
) -> kernels.Gaussian | kernels.BoxMuller:
    """`caffe_rng_gaussian(n, mean, std)`: `boost::normal_distribution`.

    Raises:
        InvalidArgument: mean and std are not finite, or not std > 0 in `dtype`.
    """
    mu, sigma = dtype.type(mean), dtype.type(std)
    check_gaussian(float(mu), float(sigma))
    if profile == Profile.CAFFE_1_55:
        return kernels.BoxMuller(mu, sigma)
    return kernels.Gaussian(mu, sigma, _tables(dtype), profile == Profile.CAFFE_1_56)


def bernoulli(probability: float, dtype: Dtype) -> kernels.Bernoulli | None:
    """`caffe_rng_bernoulli(n, p)`, or None for p = 0, which draws nothing and is false throughout.

    Raises:
        InvalidArgument: the probability lies outside [0, 1].
    """
    check_probability(probability)
    real = dtype.type
    p = real(probability)
    if p == 0:
        return None
    return kernels.Bernoulli(np.uint32(_count(lambda u: real(u) <= p * real(4294967295)) - 1))


def _count(holds: Callable[[int], Any]) -> int:
    """For how many u of 0 to 2^32 - 1 a condition holds that holds for all u up to some number and for none beyond."""
    low, high = 0, 2**32
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            low = middle + 1
        else:
            high = middle
    return low


@lru_cache
def _tables(dtype: Dtype) -> NDArray[np.void]:
    """Tables of the ziggurats that `kernels.Gaussian` needs."""
    real = dtype.type
    bits = 24 if real is np.float32 else 53
    unit = real(2.0**-bits)
    normal, exponential = ziggurat.normal(), ziggurat.exponential()
    x: NDArray[Any] = normal.x[:-1].astype(dtype)
    tables = np.zeros(1, kernels.tables_dtype(real))
    tables["limit"] = np.repeat([_inside(*pair, bits, unit) for pair in zip(x, normal.x[1:], strict=True)], 2)
    tables["step"] = np.repeat(x * unit, 2) * np.tile(np.array([-1, 1], dtype), x.size)
    for prefix, strips in (("", normal), ("exponential_", exponential)):
        tables[f"{prefix}x"], tables[f"{prefix}y"] = strips.x, strips.y
        tables[f"{prefix}width"], tables[f"{prefix}height"] = -np.diff(strips.x), np.diff(strips.y)
    tables.flags.writeable = False
    return tables


def _inside(x: Any, below: np.float64, bits: int, unit: Any) -> int:
    """The number of integers h < 2^bits for which h * unit * x, rounded, is less than the double `below`."""
    low, high = 0, 2**bits
    while low < high:
        middle = (low + high) // 2
        if np.float64(type(x)(middle) * unit * x) < below:
            low = middle + 1
        else:
            high = middle
    return low
