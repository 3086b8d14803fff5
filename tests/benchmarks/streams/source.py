"""Start and end of every server of the comparison."""

import os
import sys
from functools import cache

import numpy as np
from numpy.typing import NDArray

MESSAGE = 1 << 20
"""Bytes of a message or of a buffer, wherever a peer lets one choose."""


@cache
def weights(nbytes: int) -> NDArray[np.float32]:
    """Return a blob that exists before it is asked for, as all peers send one."""
    return np.random.Generator(np.random.SFC64(1701)).standard_normal(nbytes // 4, np.float32)


def ready(address: str) -> None:
    """Tell the process that started this one where to connect."""
    print(f"serving on {address}", file=sys.stderr, flush=True)


def given_address() -> str:
    """Return the address that the worker of a client was given."""
    return os.environ["BENCHMARK_SERVER"]
