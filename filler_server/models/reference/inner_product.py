"""Inner products and tables."""

from math import prod

from filler_server.models.reference.combination import whole_numbers
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import inner_product as operations


@computes(operations.InnerProduct)
def inner_product(operation: operations.InnerProduct, layer: Layer) -> Array:
    """Return W x + b."""
    x, blobs = layer.bottom, list(layer.blobs)
    weight = layer.bottoms[1] if operation.weight_bottom else blobs.pop(0)
    bias = layer.bottoms[2] if operation.bias_bottom else blobs.pop(0) if operation.bias else None
    axis = operation.axis % x.ndim
    batch, inputs = x.shape[:axis], prod(x.shape[axis:])
    matrix = weight.reshape(inputs, -1) if operation.transpose else weight.reshape(-1, inputs).T
    top = x.reshape(-1, inputs) @ matrix
    if bias is not None:
        top += bias.reshape(-1)
    return top.reshape(*batch, top.shape[-1])


@computes(operations.Embed)
def embed(operation: operations.Embed, layer: Layer) -> Array:
    """Return the row of the weight for each value."""
    rows = whole_numbers(layer.bottom, operation.input_dim, "an index of Embed")
    top = layer.blobs[0][rows]
    return top + layer.blobs[1] if operation.bias else top
