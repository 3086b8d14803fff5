"""Operations of SSD and of YOLO in Caffe."""

from math import sqrt

from filler_server.models.mining import foreign_mining
from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import Source, call
from filler_server.models.torch.registry import emits
from filler_server.net.operations import detection as of


@emits(of.PriorBox)
def prior_box(layer: Layer, operation: of.PriorBox) -> str:
    """Write PriorBox as a module that works out its boxes from the sizes of its bottoms."""
    if operation.reduce_boxes:
        raise NoCounterpart("what reduce_boxes does is not known")
    sides: list[tuple[float, float]] = []
    for index, smallest in enumerate(operation.min_sizes):
        sides.append((float(smallest), float(smallest)))
        if operation.max_sizes:
            middle = sqrt(smallest * operation.max_sizes[index])
            sides.append((middle, middle))
        # The first ratio is 1, which the square is.
        sides += [(smallest * sqrt(ratio), smallest / sqrt(ratio)) for ratio in operation.ratios[1:]]
    return _priors(layer, operation, sides)


@emits(of.PriorBoxClustered)
def prior_box_clustered(layer: Layer, operation: of.PriorBoxClustered) -> str:
    """Write PriorBoxClustered like PriorBox."""
    if not operation.heights:
        raise NoCounterpart("it has widths without heights")
    return _priors(layer, operation, list(zip(operation.widths, operation.heights, strict=True)))


@emits(of.DetectionOutput)
def detection_output(layer: Layer, operation: of.DetectionOutput) -> str:
    """Write DetectionOutput as a module, whose output has as many rows as there are detections."""
    if len(layer.bottoms) > 3:
        raise NoCounterpart("the forms of RefineDet are not written")
    defaults = of.DetectionOutput(num_classes=operation.num_classes, nms_threshold=operation.nms_threshold)
    others = {
        name: value
        for name, value in operation.attributes().items()
        if value != getattr(defaults, name) and name != "objectness_score"
    }
    module = layer.module("DetectionOutput", operation.num_classes, operation.nms_threshold, **others)
    return f"{module}({', '.join(layer.bottoms)})"


@emits(of.MultiBoxLoss)
def multi_box_loss(layer: Layer, operation: of.MultiBoxLoss) -> str:
    """Write MultiBoxLoss as a module."""
    reason = _other_mining(operation)
    if reason is not None:
        raise NoCounterpart(reason)
    defaults = of.MultiBoxLoss(num_classes=operation.num_classes)
    written = (
        *("share_location", "loc_loss_type", "conf_loss_type", "loc_weight", "match_type", "overlap_threshold"),
        *("use_difficult_gt", "neg_pos_ratio", "neg_overlap", "code_type", "encode_variance_in_target"),
    )
    others = {name: getattr(operation, name) for name in written}
    module = layer.module(
        "MultiBoxLoss",
        operation.num_classes,
        **{name: value for name, value in others.items() if value != getattr(defaults, name)},
        mining=False if operation.mining_type == "none" else None,
        normalization=None if operation.normalization == "valid" else operation.normalization,
    )
    return f"{module}({', '.join(layer.bottoms)})"


@emits(of.Reorg)
def reorg(layer: Layer, operation: of.Reorg) -> str:
    """Write Reorg."""
    named: dict[str, object] = {"reverse": True} if operation.reverse else {}
    return call("reorganized", [Source(layer.bottoms[0]), operation.stride], named)


def _other_mining(operation: of.MultiBoxLoss) -> str | None:
    """Return which of the ways to choose among priors is not written, or None."""
    foreign = foreign_mining(operation)
    return f"{foreign} is not written" if foreign else None


def _priors(layer: Layer, operation: of.PriorBox | of.PriorBoxClustered, sides: list[tuple[float, float]]) -> str:
    image = operation.image
    by_bottom = len(layer.bottoms) > 1 and image == layer.extents(2, bottom=1)
    if not by_bottom and None in image:
        raise NoCounterpart("the size of the image is not known")
    module = layer.module(
        "PriorBox",
        tuple(sides),
        operation.variances,
        image=None if by_bottom else image,
        step=None if operation.step == (None, None) else operation.step,
        offset=None if operation.offset == 0.5 else operation.offset,
        clip=True if operation.clip else None,
    )
    return f"{module}({', '.join(layer.bottoms)})"
