"""Inner products and tables."""

from math import prod

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import emits
from filler_server.net.operations import inner_product as of


@emits(of.InnerProduct)
def inner_product(layer: Layer, operation: of.InnerProduct) -> str:
    """Write InnerProduct as Linear over all axes from its axis on."""
    if operation.weight_bottom or operation.bias_bottom:
        raise NoCounterpart("its weight or bias is a bottom")
    values = layer.extents(operation.axis)
    module = layer.module("nn.Linear", prod(values), operation.num_output, bias=None if operation.bias else False)
    flat = "" if len(values) == 1 else f".flatten({operation.axis or ''})"
    return f"{module}({layer.bottoms[0]}{flat})"


@emits(of.Embed)
def embed(layer: Layer, operation: of.Embed) -> str:
    """Write Embed as Embedding, or as one with a bias."""
    kind = "EmbeddingWithBias" if operation.bias else "nn.Embedding"
    return f"{layer.module(kind, operation.input_dim, operation.num_output)}({layer.bottoms[0]}.long())"
