"""Operations of FlowNet."""

import numpy as np

from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import flow as operations


@computes(operations.ChannelNorm)
def channel_norm(operation: operations.ChannelNorm, layer: Layer) -> Array:
    """Return the root of the sum of squares over channels."""
    x = layer.bottom
    return np.sqrt((x * x).sum(1, keepdims=True))
