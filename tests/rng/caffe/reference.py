"""Boost's distributions in plain Python, one output at a time, to hold the kernels against.

Everything is computed in `real`, numpy's float32 or float64, operation by operation; log, cos and sin are the kernels'
own, which have tests of their own.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from filler_server import compiled
from filler_server.rng.caffe import libm, ziggurat
from filler_server.rng.caffe.boost import Profile

Real = Any


@compiled.serial
def _log(x: Any) -> Any:
    return libm.log(x)


@compiled.serial
def _cos(x: Any) -> Any:
    return libm.cos(x)


@compiled.serial
def _sin(x: Any) -> Any:
    return libm.sin(x)


FUNCTIONS: dict[str, Callable[[Real], Real]] = {"log": _log, "cos": _cos, "sin": _sin}
"""Of float32 and float64."""


class Reference:
    """Draws values one by one and counts the outputs that this takes."""

    def __init__(self, seed: int, dtype: type[Any], profile: Profile = Profile.CAFFE) -> None:
        self.draws = 0
        self._generator = np.random.MT19937()
        self._generator._legacy_seeding(seed % 2**32)
        self._buffer: list[int] = []
        self._real = dtype
        self._profile = profile
        self._normal, self._exponential = ziggurat.normal(), ziggurat.exponential()

    def next(self) -> int:
        """The next output."""
        if not self._buffer:
            self._buffer = self._generator.random_raw(5000).tolist()[::-1]
        self.draws += 1
        return self._buffer.pop()

    def uniform(self, low: float, high: float) -> Iterator[Real]:
        """`boost::uniform_real(low, nextafter(high))`."""
        real = self._real
        a, end = real(low), np.nextafter(real(high), np.finfo(real).max)
        if self._profile != Profile.CAFFE_1_55 and end / 2 - a / 2 > np.finfo(real).max / 2:
            yield from (2 * value for value in self._uniform(a / 2, end / 2))
        yield from self._uniform(a, end)

    def _uniform(self, a: Real, end: Real) -> Iterator[Real]:
        real = self._real
        divisor = real(4294967295) + real(1)
        while True:
            value = real(self.next()) / divisor * (end - a) + a
            if value < end:
                yield value

    def bernoulli(self, probability: float) -> Iterator[bool]:
        """`boost::bernoulli_distribution`, p above 0."""
        real = self._real
        while True:
            yield bool(real(self.next()) <= real(probability) * real(4294967295))

    def gaussian(self, mean: float, std: float) -> Iterator[Real]:
        """`boost::normal_distribution`."""
        mu, sigma = self._real(mean), self._real(std)
        if self._profile == Profile.CAFFE_1_55:
            for deviate in self._box_muller():
                yield deviate * sigma + mu
        while True:
            yield self._ziggurat() * sigma + mu

    def _box_muller(self) -> Iterator[Real]:
        real = self._real
        while True:
            r1 = self._u01()
            r2 = self._u01()
            rho = np.sqrt(-real(2) * real(_log(real(1) - r2)))
            yield rho * real(_cos(real(2) * real(math.pi) * r1))
            yield rho * real(_sin(real(2) * real(math.pi) * r1))

    def _u01(self) -> Real:
        while (value := self._real(self.next()) * self._real(2.0**-32)) >= 1:
            pass
        return value

    def _pair(self) -> tuple[Real, int]:
        real = self._real
        u = self.next()
        r = real(u >> 8) * real(2.0**-24)
        if real is np.float64:
            r = (r + real(self.next() & 0x1FFFFFFF)) * real(2.0**-29)
        return r, u & 255

    def _ziggurat(self) -> Real:
        real = self._real
        X, Y = self._normal.x, self._normal.y  # noqa: N806 - doubles; what is rounded to `real` says so
        while True:
            r, k = self._pair()
            s, i = real(1 if k & 1 else -1), k >> 1
            x = r * real(X[i])
            if float(x) < X[i + 1]:
                return x * s
            if i == 0:
                return self._tail() * s
            v = self._u01()
            y = real(Y[i]) + v * real(Y[i + 1] - Y[i])
            if self._profile == Profile.CAFFE:
                chord = real(X[i] - X[i + 1]) * v - (real(X[i]) - x)
                tangent = y - (real(Y[i]) + (real(X[i]) - x) * real(Y[i]) * real(X[i]))
                upper, lower = (chord, tangent) if X[i] >= 1 else (tangent, chord)
                if upper >= 0:
                    continue
                if lower < 0:
                    return x * s
            if y < real(np.exp(np.float64(-(x * x / real(2))))):
                return x * s

    def _tail(self) -> Real:
        real = self._real
        t = real(self._normal.x[1])
        while True:
            a = self._expo() / t
            b = self._expo()
            if real(2) * b > a * a:
                return a + t

    def _expo(self) -> Real:
        real = self._real
        if self._profile != Profile.CAFFE:
            return -real(_log(real(1) - self._u01()))
        X, Y = self._exponential.x, self._exponential.y  # noqa: N806 - as above
        shift = real(0)
        while True:
            r, i = self._pair()
            x = r * real(X[i])
            if x < real(X[i + 1]):
                return shift + x
            if i == 0:
                shift = shift + real(X[1])
                continue
            v = self._u01()
            y = real(Y[i]) + v * real(Y[i + 1] - Y[i])
            upper = real(X[i] - X[i + 1]) * v - (real(X[i]) - x)
            lower = y - (real(Y[i + 1]) + (real(X[i + 1]) - x) * real(Y[i + 1]))
            if upper < 0 and (lower < 0 or y < real(np.exp(np.float64(-x)))):
                return x + shift
