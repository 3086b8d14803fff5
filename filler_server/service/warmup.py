"""The kernels in parts, each compiled or loaded by running what needs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from math import prod
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import ShapeError
from filler_server import compiled
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

_SHAPES = ((2, 3, 4, 4), (8, 1, 32, 32), (4, 1, 256, 256), (64, 1, 64, 64))
"""One that is made with the GIL, one small enough for a single thread, and two that are shared among threads: by parts
of planes, and by planes."""

_DIGESTED = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
"""One of each length of the values that there are."""

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

_RARE = ("positive_unitball", "bilinear", "truncated_gaussian", "variance_scaling_truncated", "orthogonal")
"""Types with code of their own that few nets have."""


class Group(Enum):
    """Parts that have code in common, in the order in which they are wanted."""

    PLAIN = auto()
    """Digests, and fillers without random numbers."""
    COMMON = auto()
    """The usual fillers over the philox stream, and those that users have registered."""
    FURTHER = auto()
    """Rare ones."""
    CAFFE = auto()
    """Fillers over Caffe's streams."""

    @property
    def comes_first(self) -> bool:
        """Whether a server serves only when it has them."""
        return self in (Group.PLAIN, Group.COMMON)


@dataclass(frozen=True, slots=True)
class Part:
    """Kernels that are needed together.

    Attributes:
        name: stream and type of the filler, as `part_name` has it, or "digests".
        group: the group that it is of.
        run: needs them, and so compiles them or loads them.
    """

    name: str
    group: Group
    run: Callable[[], None]

    def compile(self) -> None:
        """Run it, unless another process of this machine is at it: then load what that has compiled."""
        with compiled.exclusively(self.name):
            self.run()


def part_name(stream: str, kind: str) -> str:
    """Return the name of the part that a filler needs.

    Args:
        stream: "philox" or a profile of Caffe's stream.
        kind: type of the filler.
    """
    return f"{stream} {kind}"


def parts() -> Sequence[Part]:
    """Return all parts, in the order in which they are wanted."""
    found = [Part("digests", Group.PLAIN, _digest)]
    found += _of_stream("philox", lambda shape, dtype: PhiloxStream(0, ""), _SHAPES, registered(), _group)
    in_caffe = {kind: filler for kind, filler in registered().items() if filler.in_caffe}
    for profile in Profile:
        found += _of_stream(profile, partial(_caffe, profile), _SHAPES[:1], in_caffe, lambda filler: Group.CAFFE)
    return sorted(found, key=lambda part: part.group.value)


def import_kernels() -> None:
    """Import all that has kernels: threads that import different parts of Numba first would wait for each other."""
    from filler_server.digests import kernels  # noqa: F401
    from filler_server.fillers import kernels as fillers  # noqa: F401
    from filler_server.fillers import orthonormal_kernels  # noqa: F401
    from filler_server.rng import philox_kernels  # noqa: F401


def _group(filler: type[Filler]) -> Group:
    if filler.type in _RARE:
        return Group.FURTHER
    return Group.COMMON if filler.draws else Group.PLAIN


def _of_stream(
    stream: str,
    stream_of: _StreamOf,
    shapes: Sequence[_Shape],
    fillers: Mapping[str, type[Filler]],
    group: Callable[[type[Filler]], Group],
) -> list[Part]:
    return [
        Part(part_name(stream, kind), group(filler), partial(_fill, filler, stream_of, shapes))
        for kind, filler in fillers.items()
    ]


def _caffe(profile: Profile, shape: _Shape, dtype: np.dtype[Any]) -> CaffeStream:
    return CaffeStream(EngineState.seeded(0), prod(shape), dtype, profile)


def _digest() -> None:
    for dtype in _DIGESTED:
        for count in (1, 1 << 17):
            digest(np.zeros(count, dtype))


def _fill(filler: type[Filler], stream_of: _StreamOf, shapes: Sequence[_Shape]) -> None:
    """Fill blobs in each way of computing it."""
    for param in filler.samples():
        for dtype in _DTYPES:
            for shape in shapes:
                _fill_blob(param, dtype, shape, stream_of(shape, dtype))


def _fill_blob(param: FillerParameter, dtype: np.dtype[Any], shape: _Shape, random: RandomStream) -> None:
    try:
        blob = FilledBlob("", get_filler(param), random, Region.whole(shape), dtype, shape=shape)
    except ShapeError:
        # A user's filler need not take every shape.
        return
    # From the second value on, so that rows are filled in part, too.
    blob.read(1, np.empty(blob.region.count - 1, dtype))
