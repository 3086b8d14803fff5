"""Compiles every kernel before the first request needs one."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import ShapeError
from filler_server.digests import digest
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import Filler, get_filler, registered
from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream

_Shape = tuple[int, ...]
_StreamOf = Callable[[_Shape, np.dtype[Any]], RandomStream]

_SHAPES = ((2, 3, 4, 4), (4, 1, 256, 256), (64, 1, 64, 64))
"""One small enough for a single thread, and two that are shared among threads: by parts of planes, and by planes."""

_DIGESTED = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
"""One of each length of the values that there are."""

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def warm_up() -> Iterator[str]:
    """Run each filler once per way of computing it, and digests; yield what is done, as stream and type.

    The first run on a machine compiles, which takes half a minute; later ones load what Numba has cached.
    """
    yield from _warm_up("philox", lambda shape, dtype: PhiloxStream(0, ""), _SHAPES, registered())
    for dtype in _DIGESTED:
        digest(np.zeros(1, dtype))
    yield "digests"
    in_caffe = {kind: filler for kind, filler in registered().items() if filler.in_caffe}
    for profile in Profile:
        yield from _warm_up(profile, _caffe(profile), _SHAPES[:1], in_caffe)


def _warm_up(
    stream: str, stream_of: _StreamOf, shapes: tuple[_Shape, ...], fillers: Mapping[str, type[Filler]]
) -> Iterator[str]:
    for kind, filler in fillers.items():
        for param in filler.samples():
            for dtype in _DTYPES:
                for shape in shapes:
                    _fill(param, dtype, shape, stream_of(shape, dtype))
        yield f"{stream} {kind}"


def _caffe(profile: Profile) -> _StreamOf:
    return lambda shape, dtype: CaffeStream(EngineState.seeded(0), prod(shape), dtype, profile)


def _fill(param: FillerParameter, dtype: np.dtype[Any], shape: _Shape, random: RandomStream) -> None:
    try:
        blob = FilledBlob("", get_filler(param), random, Region.whole(shape), dtype, shape=shape)
    except ShapeError:
        # A user's filler need not take every shape.
        return
    # From the second value on, so that rows are filled in part, too.
    blob.read(1, np.empty(blob.region.count - 1, dtype))
