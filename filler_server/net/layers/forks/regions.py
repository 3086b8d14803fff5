"""Layers over regions of interest: of Fast and Faster R-CNN, R-FCN and what follows them."""

from filler_server.net.dimensions import Dim, Unknown, count, differ, shapes_differ
from filler_server.net.layer import LayerContext, OpenDims, SetUp
from filler_server.net.layers.losses import check_batch, ignore_label, normalization
from filler_server.net.operations import losses
from filler_server.net.operations import regions as operations
from filler_server.net.operations.base import Operation, single
from filler_server.net.registry import at_least, between, exactly, register_fork

_SCALAR: OpenDims = ()


@register_fork("ROIPooling", bottoms=exactly(2), tops=exactly(1), fork_fields=["roi_pooling_param"])
def roi_pooling(layer: LayerContext) -> SetUp:
    """[regions, C, pooled_h, pooled_w] (rbgirshick/caffe-fast-rcnn, roi_pooling_layer.cpp).

    pooled_size stands for all spatial axes, or for each of them (happynear/caffe-windows, yjxiong/caffe).
    """
    bottom = layer.bottoms[0]
    sizes = layer.fork.integers("roi_pooling_param.pooled_size")
    if sizes:
        if len(sizes) == 1 and isinstance(bottom, Unknown):
            return SetUp([bottom], operation=_roi_operation(layer, None))
        axes = len(sizes) if isinstance(bottom, Unknown) else len(bottom) - 2
        layer.require(len(sizes) in (1, axes), "pooled_size must be specified once, or once per spatial dimension")
        pooled = sizes * axes if len(sizes) == 1 else sizes
    else:
        pooled = tuple(layer.fork.integer(f"roi_pooling_param.pooled_{side}", 0) for side in "hw")
    return _pooled(layer, pooled, _roi_operation(layer, pooled))


@register_fork("ROIAlign", bottoms=exactly(2), tops=exactly(1), fork_fields=["roi_align_param"])
def roi_align(layer: LayerContext) -> SetUp:
    """[regions, C, pooled_h, pooled_w]; some forks say pooled_height and pooled_width (roi_align_layer.cpp)."""
    fork = layer.fork
    pooled = tuple(
        fork.integer(f"roi_align_param.pooled_{side[0]}", 0) or fork.integer(f"roi_align_param.pooled_{side}", 0)
        for side in ("height", "width")
    )

    def operation() -> Operation:
        samples = "roi_align_param.sampling_ratio"
        return operations.ROIAlign(
            pooled=pooled,
            spatial_scale=fork.number("roi_align_param.spatial_scale", 1),
            sampling_ratio=fork.integer(samples, 0, least=-1) if samples in fork else None,
        )

    return _pooled(layer, pooled, layer.operation(operation))


@register_fork("PSROIPooling", bottoms=exactly(2), tops=exactly(1), fork_fields=["psroi_pooling_param"])
def psroi_pooling(layer: LayerContext) -> SetUp:
    """[regions, output_dim, group_size, group_size] (daijifeng001/caffe-rfcn, psroi_pooling_layer.cpp)."""
    block = "psroi_pooling_param"
    operation = layer.operation(
        lambda: operations.PSROIPooling(
            output_dim=layer.fork.integer(f"{block}.output_dim", 0),
            group_size=layer.fork.integer(f"{block}.group_size", 0),
            spatial_scale=_required_scale(layer, block),
        )
    )
    return _position_sensitive(layer, block, operation)


@register_fork("PSROIAlign", bottoms=exactly(2), tops=exactly(1), fork_fields=["psroi_align_param"])
def psroi_align(layer: LayerContext) -> SetUp:
    """[regions, output_dim, group_size, group_size] (afantideng/R-FCN-PSROIAlign, psori_align_layer.cpp)."""
    fork, block = layer.fork, "psroi_align_param"
    operation = layer.operation(
        lambda: operations.PSROIAlign(
            output_dim=fork.integer(f"{block}.output_dim", 0),
            group_size=fork.integer(f"{block}.group_size", 0),
            spatial_scale=_required_scale(layer, block),
            sample_num=fork.integer(f"{block}.sample_num", 0) if f"{block}.sample_num" in fork else None,
        )
    )
    return _position_sensitive(layer, block, operation)


@register_fork("Proposal", bottoms=at_least(1), tops=between(1, 2), fork_fields=["proposal_param"])
def proposal(layer: LayerContext) -> SetUp:
    """[N * post_nms_topn, 5], and their scores [N * post_nms_topn] (sanghoon/caffe, proposal_layer.cpp)."""
    bottom = layer.bottoms[0]
    images: Dim = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, 0)]
    proposals = images * layer.fork.integer("proposal_param.post_nms_topn", 300)
    fork, block = layer.fork, "proposal_param"

    def operation() -> Operation:
        for info in layer.bottoms[2:3]:
            values = info if isinstance(info, Unknown) else count(info[min(1, len(info) - 1) :])
            # With one scale it is that of py-faster-rcnn, whose anchors are others.
            if not isinstance(values, Unknown):
                layer.require(values == 4, "bottom[2] must be height, width and two scales of an image", shape=info)
        return operations.Proposal(
            feat_stride=fork.integer(f"{block}.feat_stride", 16),
            base_size=fork.integer(f"{block}.base_size", 16),
            min_size=fork.integer(f"{block}.min_size", 16),
            ratios=fork.numbers(f"{block}.ratio"),
            scales=fork.numbers(f"{block}.scale"),
            pre_nms_topn=fork.integer(f"{block}.pre_nms_topn", 6000),
            post_nms_topn=fork.integer(f"{block}.post_nms_topn", 300),
            nms_thresh=fork.number(f"{block}.nms_thresh", single(0.7)),
            score_thresh=fork.number(f"{block}.score_thresh", 0) if f"{block}.score_thresh" in fork else None,
        )

    tops: list[OpenDims] = [(proposals, 5), (proposals,)]
    return SetUp(tops[: layer.num_tops], operation=layer.operation(operation))


@register_fork("BoxAnnotatorOHEM", bottoms=exactly(4), tops=exactly(2), fork_fields=["box_annotator_ohem_param"])
def box_annotator_ohem(layer: LayerContext) -> SetUp:
    """Labels [N, 1, H, W], weights like bottom[3] (daijifeng001/caffe-rfcn, box_annotator_ohem_layer.cpp)."""
    num, channels, height, width = layer.legacy(0)
    if differ(channels, 5):
        layer.refuse("bottom[0] must have 5 channels", shape=layer.bottoms[0])
    for bottom in (1, 2, 3):
        other = layer.legacy(bottom)
        expected = (num, 1 if bottom < 3 else other[1], height, width)
        if shapes_differ(expected, other):
            layer.refuse(
                f"bottom[{bottom}] must be as bottom[0]", bottom_0=layer.bottoms[0], other=layer.bottoms[bottom]
            )
    fork, block = layer.fork, "box_annotator_ohem_param"

    def operation() -> Operation:
        layer.require(f"{block}.roi_per_img" in fork, "roi_per_img is required")
        return losses.BoxAnnotatorOHEM(
            roi_per_img=fork.integer(f"{block}.roi_per_img", 0),
            ignore_label=fork.integer(f"{block}.ignore_label", -1, least=-(1 << 31), most=(1 << 31) - 1),
        )

    tops: list[OpenDims] = [(num, 1, height, width), (num, layer.legacy(3)[1], height, width)]
    return SetUp(tops, operation=layer.operation(operation))


@register_fork("SmoothL1Loss", bottoms=between(2, 4), tops=exactly(1), loss=True, fork_fields=["smooth_l1_loss_param"])
def smooth_l1_loss(layer: LayerContext) -> SetUp:
    """A scalar; bottoms beyond the second weigh the values (rbgirshick/caffe-fast-rcnn, smooth_L1_loss_layer.cpp)."""
    check_batch(layer)
    _check_same_size(layer)
    operation = layer.operation(lambda: losses.SmoothL1Loss(sigma=layer.fork.number("smooth_l1_loss_param.sigma", 1)))
    return SetUp([_SCALAR], operation=operation)


@register_fork(
    "SmoothL1LossOHEM",
    bottoms=between(2, 3),
    tops=between(1, 2),
    loss=True,
    fork_fields=["smooth_l1_loss_param"],
)
def smooth_l1_loss_ohem(layer: LayerContext) -> SetUp:
    """A scalar, and the loss of each place [N, 1, H, W] (intel/caffe, smooth_L1_loss_ohem_layer.cpp)."""
    check_batch(layer)
    _check_same_size(layer)
    num, _, height, width = layer.legacy(0)
    places: OpenDims = (num, 1, height, width)
    operation = layer.operation(
        lambda: losses.SmoothL1Loss(
            sigma=layer.fork.number("smooth_l1_loss_param.sigma", 1), places=True, normalization=normalization(layer)
        )
    )
    return SetUp([_SCALAR, places][: layer.num_tops], operation=operation)


@register_fork("SoftmaxWithLossOHEM", bottoms=exactly(2), tops=between(1, 3), loss=True)
def softmax_with_loss_ohem(layer: LayerContext) -> SetUp:
    """A scalar, the probabilities, and the loss of each label (intel/caffe, softmax_loss_ohem_layer.cpp)."""
    check_batch(layer)
    data, axis = layer.bottoms[0], layer.parameter.softmax_param.axis
    operation = losses.SoftmaxWithLoss(
        axis=layer.axis(data, axis) if isinstance(data, tuple) else axis,
        normalization=normalization(layer),
        ignore_label=ignore_label(layer),
        places=True,
    )
    return SetUp([_SCALAR, *layer.bottoms][: layer.num_tops], operation=operation)


def _roi_operation(layer: LayerContext, pooled: tuple[int, ...] | None) -> Operation:
    layer.fork.disregard("roi_pooling_param.engine")
    return layer.operation(
        lambda: operations.ROIPooling(
            pooled=pooled, spatial_scale=layer.fork.number("roi_pooling_param.spatial_scale", 1)
        )
    )


def _required_scale(layer: LayerContext, block: str) -> float:
    layer.require(f"{block}.spatial_scale" in layer.fork, "spatial_scale is required")
    return layer.fork.number(f"{block}.spatial_scale", 0)


def _pooled(layer: LayerContext, pooled: tuple[int, ...], operation: Operation) -> SetUp:
    layer.require(min(pooled, default=0) > 0, "the pooled size must be > 0", pooled=pooled)
    bottom = layer.bottoms[0]
    channels: Dim = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, 1)]
    if isinstance(bottom, tuple):
        layer.require(
            len(bottom) == 2 + len(pooled),
            f"bottom[0] must have {len(pooled)} spatial axes",
            shape=bottom,
            pooled=pooled,
        )
    return SetUp([(_regions(layer), channels, *pooled)], operation=operation)


def _position_sensitive(layer: LayerContext, block: str, operation: Operation) -> SetUp:
    output_dim = layer.fork.integer(f"{block}.output_dim", 0)
    group_size = layer.fork.integer(f"{block}.group_size", 0)
    layer.require(output_dim > 0, "output_dim must be > 0", output_dim=output_dim)
    layer.require(group_size > 0, "group_size must be > 0", group_size=group_size)
    channels = layer.legacy(0)[1]
    if differ(channels, output_dim * group_size * group_size):
        layer.refuse(
            "input channel number does not match layer parameters",
            shape=layer.bottoms[0],
            output_dim=output_dim,
            group_size=group_size,
        )
    return SetUp([(_regions(layer), output_dim, group_size, group_size)], operation=operation)


def _regions(layer: LayerContext) -> Dim:
    regions = layer.bottoms[1]
    return regions if isinstance(regions, Unknown) else regions[layer.axis(regions, 0)]


def _check_same_size(layer: LayerContext) -> None:
    predictions = layer.legacy(0)[1:]
    for bottom in range(1, len(layer.bottoms)):
        if shapes_differ(predictions, layer.legacy(bottom)[1:]):
            layer.refuse(
                f"bottom[{bottom}] must have the channels, height and width of bottom[0]",
                bottom_0=layer.bottoms[0],
                other=layer.bottoms[bottom],
            )
