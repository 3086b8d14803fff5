"""Layers of YOLO in Caffe."""

from filler_server.net.dimensions import Dim, quotient
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import detection as operations
from filler_server.net.registry import at_least, exactly, register_fork


@register_fork("Reorg", bottoms=exactly(1), tops=exactly(1), fork_fields=["reorg_param"])
def reorg(layer: LayerContext) -> SetUp:
    """Every stride x stride places become channels, or the reverse (eric612/MobileNet-YOLO, reorg_layer.cpp)."""
    layer.require(not layer.in_place, "Reorg Layer does not allow in-place computation", top=list(layer.parameter.top))
    stride = layer.fork.integer("reorg_param.stride", 0)
    layer.require(stride > 0, "Reorg Layer needs a positive stride", stride=stride)
    num, channels, height, width = layer.legacy(0)
    reverse = layer.fork.flag("reorg_param.reverse", False)
    if reverse:
        top = num, quotient(channels, stride * stride), height * stride, width * stride
    else:
        top = num, channels * stride * stride, quotient(height, stride), quotient(width, stride)
    return SetUp([top], operation=operations.Reorg(stride=stride, reverse=reverse))


@register_fork("YoloDetectionOutput", bottoms=at_least(1), tops=exactly(1))
@register_fork("Yolov3DetectionOutput", bottoms=at_least(1), tops=exactly(1))
def yolo_detection_output(layer: LayerContext) -> SetUp:
    """[1, 1, found, 7], found 1 at first (eric612/MobileNet-YOLO, yolov3_detection_output_layer.cpp)."""
    return SetUp([(1, 1, 1, 7)], operation=layer.custom())


@register_fork("EvalDetection", bottoms=at_least(2), tops=exactly(1), fork_fields=["eval_detection_param"])
def eval_detection(layer: LayerContext) -> SetUp:
    """[N, classes + side * side * objects * 4] (intel/caffe, eval_detection_layer.cpp)."""
    side, classes, objects = (
        layer.fork.integer(f"eval_detection_param.{name}", default)
        for name, default in (("side", 7), ("num_class", 20), ("num_object", 2))
    )
    layer.require(
        min(side, classes, objects) > 0,
        "side, num_class and num_object must be positive",
        side=side,
        num_class=classes,
        num_object=objects,
    )
    num: Dim = layer.legacy(0)[0]
    return SetUp([(num, classes + side * side * objects * 4)], operation=layer.custom())
