"""A filler that shows where every value came from, for tests that need no random numbers."""

from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers.base import Filler, Moments
from filler_server.rng.stream import RandomStream, Runs, Values


class NoStream:
    """A stream of which nothing is drawn."""

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        raise AssertionError("no random number is needed")

    gaussian = uniform

    def bernoulli(self, out: Any, runs: Runs, probability: float) -> None:
        raise AssertionError("no random number is needed")


class FlatIndexFiller(Filler):
    """Gives each element its flat index times `scale`, modulo `modulus`."""

    type = "flat_index"
    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, param: FillerParameter, *, scale: float = 1.0, modulus: int = 2**24) -> None:
        self.scale = scale
        self.modulus = modulus
        self.shapes: list[tuple[int, ...]] = []
        self.longest = 0

    def check(self, shape: tuple[int, ...]) -> None:
        self.shapes.append(shape)

    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        assert runs.count == out.size
        self.longest = max(self.longest, out.size)
        self.shapes.append(shape)
        for start, first, end in zip(runs.starts, runs.bounds[:-1], runs.bounds[1:], strict=True):
            indices = np.arange(start, start + end - first, dtype=np.int64)
            out[first:end] = self.values(indices)

    def values(self, indices: Any) -> Any:
        """What stands at these flat indices, in float64."""
        return (indices % self.modulus) * self.scale

    def moments(self, shape: tuple[int, ...]) -> Moments:
        return Moments(0.0, 1.0, 0.0, (self.modulus - 1) * self.scale)


def flat_index_blob(
    shape: tuple[int, ...],
    region: Region | None = None,
    dtype: Any = np.float32,
    *,
    name: str = "blob",
    filled_shape: tuple[int, ...] | None = None,
    owner: str | None = None,
    scale: float = 1.0,
    modulus: int | None = None,
) -> FilledBlob:
    """Return a blob whose values are their flat indices, modulo what `dtype` can hold."""
    modulus = modulus or (2**24 if np.dtype(dtype).itemsize > 2 else 2**12)
    filler = FlatIndexFiller(FillerParameter(), scale=scale, modulus=modulus)
    region = Region.whole(shape) if region is None else region
    return FilledBlob(
        name, filler, NoStream(), region, np.dtype(dtype), shape=shape, filled_shape=filled_shape, owner=owner
    )
