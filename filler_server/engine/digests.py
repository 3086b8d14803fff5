"""Digests of what is computed, which is forgotten block by block."""

import numpy as np

from filler_server.cancellation import checkpoint
from filler_server.digests import Digest, Digester
from filler_server.engine.computed import ComputedTensor
from filler_server.tensors import BLOCK


def computed_digest(tensor: ComputedTensor) -> Digest:
    """Return the digest of a region of a blob; its values count by their places in the whole blob.

    Raises:
        Cancelled: the caller gave up.
    """
    digester = Digester(tensor.dtype, tensor.count)
    buffer = np.empty(min(BLOCK, tensor.count), tensor.dtype)
    for start in range(0, tensor.count, BLOCK):
        checkpoint()
        block = buffer[: min(BLOCK, tensor.count - start)]
        tensor.read(start, block)
        runs = tensor.region.runs(start, block.size)
        digester.add(block, runs.starts, runs.bounds)
    return digester.digest
