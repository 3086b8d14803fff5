"""Operations over regions of interest."""

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import regions


@emits(regions.ROIPooling)
def roi_pooling(layer: LayerNodes, operation: regions.ROIPooling, x: str, rois: str) -> str:
    """Say ROIPooling, which is MaxRoiPool."""
    if operation.pooled is None or len(operation.pooled) != 2:
        raise NoCounterpart("pools over axes that MaxRoiPool does not have")
    rois = rois if len(layer.shape(rois)) == 2 else layer.reshaped(rois, [-1, 5])
    return layer.add(
        "MaxRoiPool", x, rois, pooled_shape=list(operation.pooled), spatial_scale=float(operation.spatial_scale)
    )
