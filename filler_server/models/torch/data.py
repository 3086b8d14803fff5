"""Sources of data: only a learned blob is a part of a model."""

from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import emits
from filler_server.net.operations import data as of


@emits(of.Parameter)
def parameter(layer: Layer, operation: of.Parameter) -> str:
    """Write Parameter as a module that is asked for its weight."""
    module = layer.module("Parameter", layer.state["weight"])
    return f"{module}()"
