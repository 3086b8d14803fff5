"""Layers of forks for segmentation, but for their normalizations and interpolations."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, differ
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.registry import exactly, register_fork

_ZEROS = caffe_pb2.FillerParameter()


@register_fork("SegAccuracy", bottoms=exactly(2), tops=exactly(1))
def seg_accuracy(layer: LayerContext) -> SetUp:
    """[1, 1, 1, 3]: three measures (hszhao/PSPNet, seg_accuracy_layer.cpp)."""
    num, _, height, width = layer.legacy(0)
    other = layer.legacy(1)
    if any(map(differ, (num, 1, height, width), other)):
        layer.refuse(
            "The data and label should have the same number, height and width, and the label one channel",
            data=layer.bottoms[0],
            label=layer.bottoms[1],
        )
    return SetUp([(1, 1, 1, 3)], operation=layer.custom())


@register_fork(
    "MultiStageMeanfield",
    bottoms=exactly(3),
    tops=exactly(1),
    roles=[("spatial_kernel", "bilateral_kernel", "compatibility")],
)
def multi_stage_meanfield(layer: LayerContext) -> SetUp:
    """Spatial and bilateral kernels and the compatibility of labels, each [1, 1, C, C].

    Source: bittnt/caffe, multi_stage_meanfield.cpp.
    """
    num, channels, height, width = layer.legacy(0)
    square: Dims = (1, 1, channels, channels)
    if not layer.given:
        layer.report("its blobs are planned as zeros; the fork reads their first values from files beside the net")
    blobs = layer.learned(*(LearnedBlob(square, _ZEROS) for _ in range(3)))
    return SetUp([(num, channels, height, width)], blobs, layer.custom())
