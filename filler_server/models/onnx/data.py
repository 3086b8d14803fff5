"""Sources of data that belong to the model: a learned blob as a top."""

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import data


@emits(data.Parameter)
def parameter(layer: LayerNodes, operation: data.Parameter) -> str:
    """Say Parameter."""
    return layer.weight(0)
