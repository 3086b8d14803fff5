"""The package mkl_random: NumPy's old interface over MKL."""

from collections.abc import Callable
from typing import Any

import mkl_random

from tests.benchmarks.machine import version
from tests.benchmarks.peers.buffers import parts, together


def about() -> str:
    """Return the version."""
    return f"mkl_random {version('mkl_random')}"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`<distribution> <generator>`, as `normal PHILOX4X32X10`, into new arrays of float64: it has no other."""
    distribution, generator = work.split()

    def one(count: int, seed: int) -> Callable[[], object]:
        state: Any = mkl_random.MKLRandomState(seed, brng=generator)
        if distribution == "normal":
            return lambda: state.normal(0.0, 0.01, count)
        return lambda: state.uniform(-0.01, 0.01, count)

    number = parts(nbytes, threads)
    return together([one(nbytes // 4 // number, seed) for seed in range(number)])
