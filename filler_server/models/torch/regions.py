"""Operations over regions of interest."""

from math import sqrt

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import Written, emits
from filler_server.net.operations import regions as of


@emits(of.ROIPooling)
def roi_pooling(layer: Layer, operation: of.ROIPooling) -> str:
    """Write ROIPooling."""
    if operation.pooled is None or len(operation.pooled) != 2:
        raise NoCounterpart("it is not over height and width")
    return _over_regions(layer, "ROIPooling", operation.pooled, operation.spatial_scale)


@emits(of.PSROIPooling)
def psroi_pooling(layer: Layer, operation: of.PSROIPooling) -> str:
    """Write PSROIPooling."""
    return _over_regions(
        layer, "PSROIPooling", operation.output_dim, operation.group_size, spatial_scale=operation.spatial_scale
    )


@emits(of.Proposal)
def proposal(layer: Layer, operation: of.Proposal) -> Written:
    """Write Proposal of happynear/caffe-windows, in which scales are sides in pixels."""
    if operation.score_thresh is not None:
        raise NoCounterpart("what score_thresh does is not known")
    if not operation.ratios or not operation.scales:
        raise NoCounterpart("it has no ratio or no scale")
    if len(layer.bottoms) != 3:
        raise NoCounterpart("it has other bottoms than scores, offsets and the size of the image")
    if min(operation.scales) < operation.base_size:
        raise NoCounterpart("its scales are below base_size, as in forks where they are multiples of it")
    module = layer.module(
        "Proposal",
        _anchors(operation),
        feat_stride=operation.feat_stride,
        min_size=operation.min_size,
        pre_nms_topn=operation.pre_nms_topn,
        post_nms_topn=operation.post_nms_topn,
        nms_thresh=operation.nms_thresh,
    )
    found = f"{module}({', '.join(layer.bottoms)})"
    return found if len(layer.node.tops) == 2 else f"{found}[0]"


def _over_regions(layer: Layer, kind: str, *positional: object, **named: object) -> str:
    return f"{layer.module(kind, *positional, **named)}({', '.join(layer.bottoms)})"


def _anchors(operation: of.Proposal) -> tuple[tuple[float, ...], ...]:
    """Return the anchors around the first place; scales are sides in pixels."""
    base = operation.base_size
    center = (base - 1) / 2
    anchors: list[tuple[float, ...]] = []
    for ratio in operation.ratios:
        width = sqrt(base * base / ratio)
        for scale in operation.scales:
            half = [int(side * scale / base - 0.5) / 2 for side in (width, width * ratio)]
            anchors.append((center - half[0], center - half[1], center + half[0], center + half[1]))
    return tuple(anchors)
