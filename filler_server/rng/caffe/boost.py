"""Boost's distributions as Caffe uses them, prepared for the kernels."""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import FieldViolation, InvalidArgument
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


def uniform_law(low: float, high: float, dtype: Dtype, profile: Profile = Profile.CAFFE) -> kernels.Uniform:
    """`caffe_rng_uniform(n, low, high)`: `boost::uniform_real` from low to the next number above high.

    Raises:
        InvalidArgument: low <= high does not hold or is not finite, or Caffe would draw for ever because no output
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
        limit = _first(lambda u: not real(u) / real(2**32) * span + a < end)
    if limit == 0:
        message = (
            f"Caffe would draw for ever: none of its {dtype} numbers lies in this range. "
            f"Received: low={low!r}, high={high!r}, profile={profile.value!r}"
        )
        raise InvalidArgument(message, violations=[FieldViolation("low", message)])
    return kernels.Uniform(a, span, scale, np.uint64(limit))


def gaussian_law(
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
    return kernels.Gaussian(mu, sigma, *_tables(dtype), profile == Profile.CAFFE_1_56)


def bernoulli_law(probability: float, dtype: Dtype) -> kernels.Bernoulli | None:
    """`caffe_rng_bernoulli(n, p)`, or None for p = 0, which draws nothing and is false throughout.

    Raises:
        InvalidArgument: the probability lies outside [0, 1].
    """
    check_probability(probability)
    real = dtype.type
    p = real(probability)
    if p == 0:
        return None
    return kernels.Bernoulli(np.uint64(_first(lambda u: not real(u) <= p * real(4294967295))))


def _first(holds: Callable[[int], Any]) -> int:
    """The smallest u < 2^32 for which a condition holds that holds for all above it, too; 2^32 if there is none."""
    low, high = 0, 2**32
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache
def _tables(
    dtype: Dtype,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], kernels.Ziggurat, kernels.Ziggurat]:
    """What `Gaussian` needs of the ziggurats: limit, step, steep, normal, exponential."""
    real = dtype.type
    bits = 24 if real is np.float32 else 53
    normal, exponential = ziggurat.normal(), ziggurat.exponential()
    x = normal.x.astype(dtype)
    unit = real(2.0**-bits)
    limit = [_inside(x[i], normal.x[i + 1], bits, unit) for i in range(128)]
    signs = np.tile(np.array([-unit, unit], dtype), 128)
    return (
        np.repeat(np.array(limit, dtype), 2),
        np.repeat(x[:-1], 2) * signs,
        normal.x[:-1] >= 1,
        _strips(normal, dtype),
        _strips(exponential, dtype),
    )


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


def _strips(tables: ziggurat.Tables, dtype: Dtype) -> kernels.Ziggurat:
    x, y = tables.x, tables.y
    return kernels.Ziggurat(
        x.astype(dtype), y.astype(dtype), (x[:-1] - x[1:]).astype(dtype), (y[1:] - y[:-1]).astype(dtype)
    )
