"""Random streams that tests can look into, and the shortest way to fill a blob."""

from collections import defaultdict
from math import prod
from typing import Any, ClassVar

import numpy as np
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers import Distribution, Filler, backend, get_filler
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream, Runs, Values

STREAM = PhiloxStream(1701, "conv1/0")


def filler_of(text: str) -> Filler:
    """The filler of a FillerParameter in text format."""
    return get_filler(text_format.Parse(text, FillerParameter()))


def distribution_of(text: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Distribution:
    """The distribution of a FillerParameter in text format."""
    filler = filler_of(text)
    filler.check(shape)
    return filler.distribution(shape, np.dtype(dtype))


def prepared(text: str, shape: tuple[int, ...], dtype: Any = np.float32) -> backend.Fill:
    """Return the filler of a blob."""
    return backend.prepare(distribution_of(text, shape, dtype))


def fill(
    text: str, shape: tuple[int, ...], dtype: Any = np.float32, random: RandomStream = STREAM
) -> np.ndarray[Any, Any]:
    """A whole blob."""
    out = np.empty(prod(shape), dtype)
    prepared(text, shape, dtype)(out, Runs.contiguous(0, out.size), random)
    return out.reshape(shape)


class GivenStream:
    """Gives `values` by index as uniform and normal values, `mask` as Bernoulli values, and keeps the calls."""

    sequential: ClassVar[bool] = False

    def __init__(self, values: Any, mask: Any = ()) -> None:
        self.values = np.asarray(values).ravel()
        self.mask = np.asarray(mask, np.bool_).ravel()
        self.calls: list[tuple[Any, ...]] = []
        self.drawn = 0
        self.sizes: dict[str, list[int]] = defaultdict(list)

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        self._take("uniform", self.values, out, runs, low, high)

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        self._take("gaussian", self.values, out, runs, mean, std)

    def truncated(self, out: Values, runs: Runs, mean: float, std: float, low: float, high: float) -> None:
        self._take("truncated", self.values, out, runs, mean, std, low, high)

    def bernoulli(self, out: Any, runs: Runs, probability: float) -> None:
        self._take("bernoulli", self.mask, out, runs, probability)

    def _take(self, kind: str, source: Any, out: Any, runs: Runs, *params: float) -> None:
        self.calls.append((kind, *params))
        self.drawn += out.size
        self.sizes[kind].append(out.size)
        for start, begin, end in zip(runs.starts, runs.bounds[:-1], runs.bounds[1:], strict=True):
            out[begin:end] = source[start : start + end - begin]
