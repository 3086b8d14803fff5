"""Sources of data that a net has itself."""

from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import data as operations


@computes(operations.Parameter)
def parameter(operation: operations.Parameter, layer: Layer) -> Array:
    """Return the blob."""
    return layer.blobs[0]
