"""Operations of SSD and of YOLO in Caffe."""

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import detection


@emits(detection.Reorg)
def reorg(layer: LayerNodes, operation: detection.Reorg, x: str) -> str:
    """Say Reorg in darknet's order: what lies in memory is first taken for a map of fewer, larger channels."""
    shape = layer.known(layer.shape(x)[1:], x)
    channels, height, width = shape
    stride = operation.stride
    if operation.reverse:
        return layer.add("DepthToSpace", x, blocksize=stride, mode="DCR")
    larger = layer.reshaped(x, [0, channels // stride**2, height * stride, width * stride])
    return layer.as_top(layer.add("SpaceToDepth", larger, blocksize=stride), kept=1)
