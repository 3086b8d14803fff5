"""This project's fillers, called as the engine calls them."""

import math
from collections.abc import Callable

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server import compiled
from filler_server.fillers import backend, get_filler
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import Runs
from tests.benchmarks.machine import version
from tests.benchmarks.peers.buffers import buffer

FILLERS = {
    "gaussian": FillerParameter(type="gaussian", std=0.01),
    "msra": FillerParameter(type="msra"),
    "uniform": FillerParameter(type="uniform", min=-0.01, max=0.01),
    "xavier": FillerParameter(type="xavier"),
    "constant": FillerParameter(type="constant", value=0.5),
    "bilinear": FillerParameter(type="bilinear"),
    "positive_unitball": FillerParameter(type="positive_unitball"),
}


def about() -> str:
    """Return version and threading layer."""
    return f"caffe-filler {version('caffe-filler')}, numba {version('numba')} ({compiled.threading_layer()})"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """Fill a blob with the filler of that name; what fills, the stream and the buffer exist already."""
    out = buffer(nbytes)
    shape = _shape(work, out.size)
    compiled.set_threads(threads)
    filler, stream, runs = get_filler(FILLERS[work]), PhiloxStream(1701, "fc6/0"), Runs.contiguous(0, out.size)
    filler.check(shape)
    fill = backend.prepare(filler.distribution(shape, out.dtype))
    return lambda: fill(out, runs, stream)


def _shape(work: str, count: int) -> tuple[int, ...]:
    """A shape as nets have it: FCN's kernels of 64 x 64 for bilinear, else rows of 1024 inputs."""
    if work == "bilinear":
        return (count // 4096, 1, 64, 64)
    rows = math.gcd(count, 1 << 30) // 1024
    return (rows, count // rows)
