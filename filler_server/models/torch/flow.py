"""Operations of FlowNet."""

from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import emits
from filler_server.net.operations import flow as of


@emits(of.ChannelNorm)
def channel_norm(layer: Layer, operation: of.ChannelNorm) -> str:
    """Write ChannelNorm as the norm of a vector, whose gradient at 0 is 0."""
    return f"torch.linalg.vector_norm({layer.bottoms[0]}, dim=1, keepdim=True)"
