"""Operations of FlowNet."""

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import flow


@emits(flow.ChannelNorm)
def channel_norm(layer: LayerNodes, operation: flow.ChannelNorm, x: str) -> str:
    """Say ChannelNorm."""
    return layer.reduced("ReduceL2", x, [1])
