"""NumPy's Generator over its fast bit generators."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.buffers import buffer, divided, together


def about() -> str:
    """Return the version."""
    return f"numpy {np.__version__}"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`<distribution> <bit generator>`, as `normal PCG64`; with two threads a generator for each half."""
    distribution, bits = work.split()
    seeds = np.random.SeedSequence(1701).spawn(threads)

    def one(part: NDArray[np.float32], seed: np.random.SeedSequence) -> Callable[[], object]:
        generator = np.random.Generator(getattr(np.random, bits)(seed))
        if distribution == "normal":
            return lambda: generator.standard_normal(dtype=np.float32, out=part)
        return lambda: generator.random(dtype=np.float32, out=part)

    return together([one(part, seed) for part, seed in zip(divided(buffer(nbytes), threads), seeds, strict=False)])
