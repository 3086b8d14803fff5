"""Layers of SSD and of detectors built on it; an axis whose extent depends on what is found has one entry at first."""

from collections.abc import Callable
from typing import TypedDict

from filler_server.net.dimensions import Dim, Unknown, differ, known, quotient
from filler_server.net.layer import LayerContext, OpenDims, SetUp
from filler_server.net.layers.losses import check_batch, normalization
from filler_server.net.operations import detection as operations
from filler_server.net.operations.base import Extents, Floats, Operation, single
from filler_server.net.registry import at_least, between, exactly, register_fork

_LEAST_RATIO = 2.0**-126
"""Aspect ratios nearer to 0 have no inverse in float32."""

_MOST_RATIOS = 1000
_CODES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")
_INT32 = {"least": -(1 << 31), "most": (1 << 31) - 1}


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
    ratios = _ratios(layer)

    def operation() -> Operation:
        return operations.PriorBox(
            min_sizes=tuple(map(int, min_sizes)),
            max_sizes=tuple(map(int, max_sizes)),
            ratios=ratios,
            reduce_boxes=layer.fork.flag("prior_box_param.reduce_boxes", False),
            **_grid(layer),
        )

    return _priors(layer, len(min_sizes) * len(ratios) + len(max_sizes), operation)


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

    def operation() -> Operation:
        return operations.PriorBoxClustered(widths=widths, heights=heights, **_grid(layer))

    return _priors(layer, len(widths), operation)


@register_fork("DetectionOutput", bottoms=between(3, 5), tops=exactly(1), fork_fields=["detection_output_param"])
def detection_output(layer: LayerContext) -> SetUp:
    """[1, 1, found, 7], found 1 at first (weiliu89/caffe branch ssd, detection_output_layer.cpp)."""
    _check_predictions(layer, "detection_output_param")
    fork, block = layer.fork, "detection_output_param"

    def operation() -> Operation:
        fork.disregard(*(f"{block}.{name}" for name in ("save_output_param", "visualize", "visualize_threshold")))
        fork.disregard(f"{block}.save_file")
        confidence, objectness = (
            fork.number(f"{block}.{name}", 0) if f"{block}.{name}" in fork else None
            for name in ("confidence_threshold", "objectness_score")
        )
        return operations.DetectionOutput(
            num_classes=fork.integer(f"{block}.num_classes", 0),
            share_location=fork.flag(f"{block}.share_location", True),
            background_label_id=fork.integer(f"{block}.background_label_id", 0, **_INT32),
            code_type=fork.choice(f"{block}.code_type", _CODES, first=1),
            variance_encoded_in_target=fork.flag(f"{block}.variance_encoded_in_target", False),
            keep_top_k=fork.integer(f"{block}.keep_top_k", -1, **_INT32),
            confidence_threshold=confidence,
            nms_threshold=fork.number(f"{block}.nms_param.nms_threshold", single(0.3)),
            top_k=fork.integer(f"{block}.nms_param.top_k", -1, **_INT32),
            eta=fork.number(f"{block}.nms_param.eta", 1),
            objectness_score=objectness,
        )

    return SetUp([(1, 1, 1, 7)], operation=layer.operation(operation))


@register_fork(
    "DetectionOutputExtended", bottoms=exactly(3), tops=between(1, 2), fork_fields=["detection_output_param"]
)
def detection_output_extended(layer: LayerContext) -> SetUp:
    """[1, 1, found, 10] (openvinotoolkit/training_toolbox_caffe, detection_output_extended_layer.cpp)."""
    _check_predictions(layer, "detection_output_param", flat=True)
    top: OpenDims = (1, 1, 1, 10)
    return SetUp([top, None][: layer.num_tops], operation=layer.custom())


@register_fork("DetectionEvaluate", bottoms=exactly(2), tops=exactly(1), fork_fields=["detection_evaluate_param"])
def detection_evaluate(layer: LayerContext) -> SetUp:
    """[1, 1, classes + found, 5], classes without the background (weiliu89/caffe, detection_evaluate_layer.cpp)."""
    classes = _num_classes(layer, "detection_evaluate_param")
    background = layer.fork.integer("detection_evaluate_param.background_label_id", 0, least=-(1 << 31))
    for bottom, width in ((0, 7), (1, 8)):
        num, channels, _, columns = layer.legacy(bottom)
        if differ(num, 1) or differ(channels, 1) or differ(columns, width):
            layer.refuse(f"bottom[{bottom}] must be [1, 1, found, {width}]", shape=layer.bottoms[bottom])
    fork, block = layer.fork, "detection_evaluate_param"

    def operation() -> Operation:
        return operations.DetectionEvaluate(
            num_classes=classes,
            background_label_id=background,
            overlap_threshold=fork.number(f"{block}.overlap_threshold", 0.5),
            evaluate_difficult_gt=fork.flag(f"{block}.evaluate_difficult_gt", True),
            name_size_file=fork.word(f"{block}.name_size_file", ""),
        )

    top: OpenDims = (1, 1, classes - (background != -1) + layer.legacy(0)[2], 5)
    return SetUp([top], operation=layer.operation(operation))


@register_fork("MultiBoxLoss", bottoms=exactly(4), tops=exactly(1), loss=True, fork_fields=["multibox_loss_param"])
def multi_box_loss(layer: LayerContext) -> SetUp:
    """A scalar (weiliu89/caffe branch ssd, multibox_loss_layer.cpp)."""
    check_batch(layer)
    _check_predictions(layer, "multibox_loss_param")
    return SetUp([()], operation=layer.operation(lambda: _multi_box_loss(layer)))


def _multi_box_loss(layer: LayerContext) -> Operation:
    fork, block = layer.fork, "multibox_loss_param"
    fork.disregard(f"{block}.do_neg_mining")

    def flag(name: str, default: bool) -> bool:
        return fork.flag(f"{block}.{name}", default)

    nms = f"{block}.nms_param"
    return operations.MultiBoxLoss(
        num_classes=fork.integer(f"{block}.num_classes", 0),
        share_location=flag("share_location", True),
        loc_loss_type=fork.choice(f"{block}.loc_loss_type", ("L2", "SMOOTH_L1"), "SMOOTH_L1"),
        conf_loss_type=fork.choice(f"{block}.conf_loss_type", ("SOFTMAX", "LOGISTIC")),
        loc_weight=fork.number(f"{block}.loc_weight", 1),
        match_type=fork.choice(f"{block}.match_type", ("BIPARTITE", "PER_PREDICTION"), "PER_PREDICTION"),
        overlap_threshold=fork.number(f"{block}.overlap_threshold", 0.5),
        use_prior_for_matching=flag("use_prior_for_matching", True),
        background_label_id=fork.integer(f"{block}.background_label_id", 0, **_INT32),
        use_difficult_gt=flag("use_difficult_gt", True),
        neg_pos_ratio=fork.number(f"{block}.neg_pos_ratio", 3),
        neg_overlap=fork.number(f"{block}.neg_overlap", 0.5),
        code_type=fork.choice(f"{block}.code_type", _CODES, first=1),
        encode_variance_in_target=flag("encode_variance_in_target", False),
        map_object_to_agnostic=flag("map_object_to_agnostic", False),
        ignore_cross_boundary_bbox=flag("ignore_cross_boundary_bbox", False),
        bp_inside=flag("bp_inside", False),
        mining_type=fork.choice(f"{block}.mining_type", ("NONE", "MAX_NEGATIVE", "HARD_EXAMPLE"), "MAX_NEGATIVE"),
        nms_threshold=fork.number(f"{nms}.nms_threshold", single(0.3)) if nms in fork else None,
        top_k=fork.integer(f"{nms}.top_k", -1, **_INT32),
        eta=fork.number(f"{nms}.eta", 1),
        sample_size=fork.integer(f"{block}.sample_size", 64, **_INT32),
        use_prior_for_nms=flag("use_prior_for_nms", False),
        normalization=normalization(layer),
    )


def _ratios(layer: LayerContext) -> Floats:
    """Return the aspect ratios: 1, and those given, each with its inverse if they are to be flipped."""
    given = layer.fork.numbers("prior_box_param.aspect_ratio")
    layer.require(len(given) <= _MOST_RATIOS, f"more than {_MOST_RATIOS} aspect_ratio", aspect_ratio=len(given))
    flip = layer.fork.flag("prior_box_param.flip", True)
    ratios = [1.0]
    for ratio in given:
        layer.require(abs(ratio) >= _LEAST_RATIO, "aspect_ratio must not be 0", aspect_ratio=list(given))
        if all(abs(ratio - other) >= 1e-6 for other in ratios):
            ratios += [ratio, single(1 / ratio)] if flip else [ratio]
    return tuple(ratios)


class _Grid(TypedDict):
    variances: Floats
    clip: bool
    offset: float
    image: Extents
    step: tuple[float | None, float | None]


def _grid(layer: LayerContext) -> _Grid:
    """Return what the layer says of places and of the image, with what follows from the bottoms in place of the rest.

    Raises:
        NetError: it says too much, or values that make no sense.
    """
    fork, block = layer.fork, "prior_box_param"
    variances = fork.numbers(f"{block}.variance") or (single(0.1),)
    layer.require(len(variances) in (1, 4) and min(variances) > 0, "variance must be one or four positive numbers")
    size, step = fork.integer(f"{block}.img_size", 0), fork.number(f"{block}.step", 0)
    given = [fork.integer(f"{block}.img_{side}", size) for side in "hw"]
    steps = [fork.number(f"{block}.step_{side}", step) for side in "hw"]
    layer.require(min(steps) >= 0, "steps must be positive", step=steps)
    *_, height, width = layer.legacy(0)
    image: Extents = tuple(given)
    if 0 in given:
        layer.require(len(layer.bottoms) > 1, "the size of the image must be given, or a second bottom that has it")
        image = tuple(map(known, layer.legacy(1)[2:]))
    down, across = (
        None if extent is None or not isinstance(places, int) or places == 0 else single(extent / places)
        for extent, places in zip(image, (height, width), strict=True)
    )
    return {
        "variances": variances * 4 if len(variances) == 1 else variances,
        "clip": fork.flag(f"{block}.clip", False),
        "offset": fork.number(f"{block}.offset", 0.5),
        "image": image,
        "step": (down, across) if 0 in steps else (steps[0], steps[1]),
    }


def _priors(layer: LayerContext, boxes: int, operation: Callable[[], Operation]) -> SetUp:
    _, _, height, width = layer.legacy(0)
    values = height * width * boxes * 4
    layer.require_values(values, "the input")
    return SetUp([(1, 2, values)], operation=layer.operation(operation))


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
