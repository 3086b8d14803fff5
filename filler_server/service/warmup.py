"""Compiles every kernel before the first request needs one."""

from collections.abc import Iterator

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.engine.region import Region
from filler_server.engine.source import FilledBlob
from filler_server.fillers import get_filler, registered
from filler_server.rng.philox import PhiloxStream

_SHAPES = ((2, 3, 4, 4), (4, 1, 256, 256), (64, 1, 64, 64))
"""One small enough for a single thread, and two that are shared among threads: by parts of planes, and by planes."""


def warm_up() -> Iterator[str]:
    """Run each filler once per way of computing it; yield its type when that is done.

    The first run on a machine compiles, which takes seconds; later ones load what Numba has cached.
    """
    for kind in registered():
        params = [FillerParameter(type=kind)]
        if kind == "gaussian":
            params.append(FillerParameter(type=kind, sparse=1))
        for param in params:
            for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
                for shape in _SHAPES:
                    blob = FilledBlob(
                        "", get_filler(param), PhiloxStream(0, ""), Region.whole(shape), dtype, shape=shape
                    )
                    # From the second value on, so that rows are filled in part, too.
                    blob.read(1, np.empty(blob.region.count - 1, dtype))
        yield kind
