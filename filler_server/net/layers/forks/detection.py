"""Layers of SSD and of detectors built on it; an axis whose extent depends on what is found has one entry at first."""

from filler_server.net.dimensions import Dim, Unknown, differ, quotient
from filler_server.net.layer import LayerContext, OpenDims, SetUp
from filler_server.net.layers.losses import check_batch
from filler_server.net.registry import at_least, between, exactly, register_fork

_MOST_RATIOS = 1000


@register_fork("PriorBox", bottoms=at_least(1), tops=exactly(1), fork_fields=["prior_box_param"])
def prior_box(layer: LayerContext) -> SetUp:
    """[1, 2, H * W * boxes * 4]: boxes and variances (weiliu89/caffe branch ssd, prior_box_layer.cpp)."""
    min_sizes = layer.fork.numbers("prior_box_param.min_size")
    max_sizes = layer.fork.numbers("prior_box_param.max_size")
    layer.require(len(min_sizes) > 0, "must provide min_size", min_size=list(min_sizes))
    layer.require(min(min_sizes) > 0, "min_size must be positive", min_size=list(min_sizes))
    if max_sizes:
        layer.require(
            len(max_sizes) == len(min_sizes) and all(map(float.__gt__, max_sizes, min_sizes)),
            "there must be as many max_size as min_size, each greater",
            min_size=list(min_sizes),
            max_size=list(max_sizes),
        )
    boxes = len(min_sizes) * _number_of_ratios(layer) + len(max_sizes)
    return _priors(layer, boxes)


@register_fork("PriorBoxClustered", bottoms=at_least(1), tops=exactly(1), fork_fields=["prior_box_param"])
def prior_box_clustered(layer: LayerContext) -> SetUp:
    """[1, 2, H * W * boxes * 4] (openvinotoolkit/training_toolbox_caffe, prior_box_clustered_layer.cpp)."""
    widths = layer.fork.numbers("prior_box_param.width")
    heights = layer.fork.numbers("prior_box_param.height")
    layer.require(len(widths) > 0 and min(widths) > 0, "must provide positive width", width=list(widths))
    layer.require(
        len(heights) in (0, len(widths)),
        "there must be as many height as width",
        width=len(widths),
        height=len(heights),
    )
    return _priors(layer, len(widths))


@register_fork("DetectionOutput", bottoms=between(3, 5), tops=exactly(1), fork_fields=["detection_output_param"])
def detection_output(layer: LayerContext) -> SetUp:
    """[1, 1, found, 7], found 1 at first (weiliu89/caffe branch ssd, detection_output_layer.cpp)."""
    _check_predictions(layer, "detection_output_param")
    return SetUp([(1, 1, 1, 7)])


@register_fork(
    "DetectionOutputExtended", bottoms=exactly(3), tops=between(1, 2), fork_fields=["detection_output_param"]
)
def detection_output_extended(layer: LayerContext) -> SetUp:
    """[1, 1, found, 10] (openvinotoolkit/training_toolbox_caffe, detection_output_extended_layer.cpp)."""
    _check_predictions(layer, "detection_output_param", flat=True)
    top: OpenDims = (1, 1, 1, 10)
    return SetUp([top, None][: layer.num_tops])


@register_fork("DetectionEvaluate", bottoms=exactly(2), tops=exactly(1), fork_fields=["detection_evaluate_param"])
def detection_evaluate(layer: LayerContext) -> SetUp:
    """[1, 1, classes + found, 5], classes without the background (weiliu89/caffe, detection_evaluate_layer.cpp)."""
    classes = _num_classes(layer, "detection_evaluate_param")
    background = layer.fork.integer("detection_evaluate_param.background_label_id", 0, least=-(1 << 31))
    for bottom, width in ((0, 7), (1, 8)):
        num, channels, _, columns = layer.legacy(bottom)
        if differ(num, 1) or differ(channels, 1) or differ(columns, width):
            layer.refuse(f"bottom[{bottom}] must be [1, 1, found, {width}]", shape=layer.bottoms[bottom])
    return SetUp([(1, 1, classes - (background != -1) + layer.legacy(0)[2], 5)])


@register_fork("MultiBoxLoss", bottoms=exactly(4), tops=exactly(1), loss=True, fork_fields=["multibox_loss_param"])
def multi_box_loss(layer: LayerContext) -> SetUp:
    """A scalar (weiliu89/caffe branch ssd, multibox_loss_layer.cpp)."""
    check_batch(layer)
    _check_predictions(layer, "multibox_loss_param")
    return SetUp([()])


def _number_of_ratios(layer: LayerContext) -> int:
    """Return how many aspect ratios there are: 1, and those given, each with its inverse if they are to be flipped."""
    given = layer.fork.numbers("prior_box_param.aspect_ratio")
    layer.require(len(given) <= _MOST_RATIOS, f"more than {_MOST_RATIOS} aspect_ratio", aspect_ratio=len(given))
    flip = layer.fork.flag("prior_box_param.flip", True)
    ratios = [1.0]
    for ratio in given:
        layer.require(ratio != 0, "aspect_ratio must not be 0", aspect_ratio=list(given))
        if all(abs(ratio - other) >= 1e-6 for other in ratios):
            ratios += [ratio, 1 / ratio] if flip else [ratio]
    return len(ratios)


def _priors(layer: LayerContext, boxes: int) -> SetUp:
    _, _, height, width = layer.legacy(0)
    values = height * width * boxes * 4
    layer.require_values(values, "the input")
    return SetUp([(1, 2, values)])


def _num_classes(layer: LayerContext, block: str) -> int:
    classes = layer.fork.integer(f"{block}.num_classes", 0)
    layer.require(classes >= 1, "num_classes must be specified and positive", num_classes=classes)
    return classes


def _check_predictions(layer: LayerContext, block: str, *, flat: bool = False) -> None:
    """Refuse predictions of locations and classes for another number of boxes than the priors, bottom[2], hold."""
    classes = _num_classes(layer, block)
    locations = 1 if layer.fork.flag(f"{block}.share_location", True) else classes
    if isinstance(layer.bottoms[2], Unknown):
        return
    priors: Dim = quotient(layer.legacy(2)[2], 4)
    for bottom, what, values in ((0, "location", locations * 4), (1, "confidence", classes)):
        _, channels, height, width = layer.legacy(bottom)
        if differ(priors * values, channels * height * width if flat else channels):
            layer.refuse(
                f"Number of priors must match number of {what} predictions",
                priors=layer.bottoms[2],
                predictions=layer.bottoms[bottom],
                num_classes=classes,
            )
