"""JAX's random numbers on the CPU, jitted."""

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp


def about() -> str:
    """Return the version."""
    return f"jax {jax.__version__}, {jax.devices('cpu')[0].platform}, {len(os.sched_getaffinity(0))} CPU(s)"


def prepare(work: str, nbytes: int, threads: int) -> Callable[[], object]:
    """`<distribution> <generator>`, as `normal rbg`, into the memory of the array before, which is donated.

    XLA takes its number of threads from the CPUs that the process may use at its start.
    """
    distribution, generator = work.split()
    count = nbytes // 4
    key = jax.random.key(1701, impl={"threefry": "threefry2x32", "rbg": "rbg"}[generator])
    draw = jax.random.normal if distribution == "normal" else jax.random.uniform
    fill = jax.jit(lambda key, _: draw(key, (count,), jnp.float32), donate_argnums=1, keep_unused=True)
    array = jnp.zeros(count, jnp.float32)

    def call() -> None:
        nonlocal array
        array = fill(key, array).block_until_ready()

    return call
