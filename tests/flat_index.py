"""A filler that shows where every value came from, for tests that need no random numbers."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import Distribution, Filler
from filler_server.rng.stream import RandomStream, Runs, Values


class NoStream:
    """A stream of which nothing is drawn."""

    sequential: ClassVar[bool] = False

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        raise AssertionError("no random number is needed")

    gaussian = uniform

    def bernoulli(self, out: Any, runs: Runs, probability: float) -> None:
        raise AssertionError("no random number is needed")


class FlatIndex:
    """Each element is its flat index times `scale`, modulo `modulus`; a distribution that fills blobs itself."""

    def __init__(self, scale: float = 1.0, modulus: int = 2**24) -> None:
        self.scale = scale
        self.modulus = modulus
        self.longest = 0
        self.minimum = 0.0
        self.maximum = (modulus - 1) * scale
        self.mean = self.maximum / 2
        self.std = scale * ((modulus**2 - 1) / 12) ** 0.5

    def fill(self, out: Values, runs: Runs, random: RandomStream) -> None:
        assert runs.count == out.size
        self.longest = max(self.longest, out.size)
        for start, first, end in zip(runs.starts, runs.bounds[:-1], runs.bounds[1:], strict=True):
            indices = np.arange(start, start + end - first, dtype=np.int64)
            out[first:end] = (indices % self.modulus) * self.scale

    def density(self, x: ArrayLike) -> Any:
        return np.zeros(np.shape(x))

    def mass(self, x: ArrayLike) -> Any:
        return np.where(np.asarray(x) / self.scale % 1 == 0, 1 / self.modulus, 0.0)

    def cdf(self, x: ArrayLike) -> Any:
        return np.clip(np.floor(np.asarray(x) / self.scale) + 1, 0, self.modulus) / self.modulus

    def quantile(self, q: ArrayLike) -> Any:
        return (np.ceil(np.asarray(q) * self.modulus) - 1).clip(0) * self.scale


class FlatIndexFiller(Filler):
    """Gives a distribution, of `FlatIndex` where no other is given, and keeps the shapes that it has seen."""

    type = "flat_index"
    fields: ClassVar[tuple[str, ...]] = ()
    draws = False

    def __init__(self, param: FillerParameter, given: Distribution | None = None) -> None:
        self.given = FlatIndex() if given is None else given
        self.shapes: list[tuple[int, ...]] = []

    def check(self, shape: tuple[int, ...]) -> None:
        self.shapes.append(shape)

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Distribution:
        self.shapes.append(shape)
        return self.given


def flat_index_blob(
    shape: tuple[int, ...],
    region: Region | None = None,
    dtype: Any = np.float32,
    *,
    name: str = "blob",
    filled_shape: tuple[int, ...] | None = None,
    owner: str | None = None,
    distribution: Distribution | None = None,
    scale: float = 1.0,
) -> FilledBlob:
    """Return a blob whose values are their flat indices, modulo what `dtype` can hold."""
    if distribution is None:
        distribution = FlatIndex(scale, 2**24 if np.dtype(dtype).itemsize > 2 else 2**12)
    filler = FlatIndexFiller(FillerParameter(), distribution)
    region = Region.whole(shape) if region is None else region
    return FilledBlob(
        name, filler, NoStream(), region, np.dtype(dtype), shape=shape, filled_shape=filled_shape, owner=owner
    )
