"""Random streams that tests can look into, and the shortest way to fill a blob."""

from math import prod
from typing import Any

import numpy as np
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers import Filler, get_filler
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream, Runs, Values

STREAM = PhiloxStream(1701, "conv1/0")


def filler_of(text: str) -> Filler:
    """The filler of a FillerParameter in text format."""
    return get_filler(text_format.Parse(text, FillerParameter()))


def fill(
    filler: str | Filler, shape: tuple[int, ...], dtype: Any = np.float32, random: RandomStream = STREAM
) -> np.ndarray[Any, Any]:
    """A whole blob."""
    if isinstance(filler, str):
        filler = filler_of(filler)
    filler.check(shape)
    out = np.empty(prod(shape), dtype)
    filler.fill(out, Runs.contiguous(0, out.size), shape, random)
    return out.reshape(shape)


class GivenStream:
    """Gives `values` by index as uniform and normal values, `mask` as Bernoulli values, and keeps the calls."""

    def __init__(self, values: Any, mask: Any = ()) -> None:
        self.values = np.asarray(values).ravel()
        self.mask = np.asarray(mask, np.bool_).ravel()
        self.calls: list[tuple[Any, ...]] = []
        self.drawn = 0

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        self._take("uniform", self.values, out, runs, low, high)

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        self._take("gaussian", self.values, out, runs, mean, std)

    def bernoulli(self, out: Any, runs: Runs, probability: float) -> None:
        self._take("bernoulli", self.mask, out, runs, probability)

    def _take(self, law: str, source: Any, out: Any, runs: Runs, *params: float) -> None:
        self.calls.append((law, *params))
        self.drawn += out.size
        for start, begin, end in zip(runs.starts, runs.bounds[:-1], runs.bounds[1:], strict=True):
            out[begin:end] = source[start : start + end - begin]
