"""Layers of forks that bring data in; what only the data could tell is left open, as for BVLC's."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.layer import LayerContext, OpenDims, SetUp
from filler_server.net.layers.data import SIZE_FIELDS, channels, check_mean, data_seeds, image_size, transform
from filler_server.net.operations.base import Operation
from filler_server.net.operations.data import ForkData
from filler_server.net.registry import at_least, between, exactly, register_fork, unknown_seeds


def _annotated_data_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> int:
    """Count those of Data, and one for the thread of the reader (weiliu89/caffe branch ssd, data_reader.cpp)."""
    return data_seeds(parameter, phase) + 1


@register_fork(
    "AnnotatedData",
    bottoms=exactly(0),
    tops=between(1, 2),
    fork_fields=["annotated_data_param", *SIZE_FIELDS],
    seeds=_annotated_data_seeds,
)
def annotated_data(layer: LayerContext) -> SetUp:
    """[batch_size, C, H, W], and boxes [1, 1, boxes, 8] (weiliu89/caffe branch ssd, annotated_data_layer.cpp).

    Without anno_type the second top may hold labels [batch_size] as well.
    """
    batch_size = _batch_size(layer)
    boxes: OpenDims = (1, 1, None, 8) if "annotated_data_param.anno_type" in layer.fork else None
    tops: list[OpenDims] = [(batch_size, channels(layer), *image_size(layer)), boxes]
    return SetUp(tops[: layer.num_tops], operation=_operation(layer))


@register_fork("BoxData", bottoms=exactly(0), tops=at_least(1), fork_fields=SIZE_FIELDS, seeds=unknown_seeds)
def box_data(layer: LayerContext) -> SetUp:
    """[batch_size, C, H, W], and for each side labels [batch_size, ...] (intel/caffe, box_data_layer.cpp)."""
    batch_size = _batch_size(layer)
    image: OpenDims = (batch_size, channels(layer), *image_size(layer))
    return SetUp([image, *[(batch_size, None)] * (layer.num_tops - 1)], operation=_operation(layer))


@register_fork("FloatData", bottoms=exactly(0), tops=between(1, 2), seeds=unknown_seeds)
def float_data(layer: LayerContext) -> SetUp:
    """[batch_size, C, H, W], and labels [batch_size, 1, 1, 1] (stephenyan1231/caffe-public, float_data_layer.cpp)."""
    batch_size = _batch_size(layer)
    crop_size = layer.parameter.data_param.crop_size or None
    tops: list[OpenDims] = [(batch_size, channels(layer), crop_size, crop_size), (batch_size, 1, 1, 1)]
    return SetUp(tops[: layer.num_tops], operation=_operation(layer))


@register_fork("ImageSegData", bottoms=exactly(0), tops=between(1, 3), fork_fields=SIZE_FIELDS, seeds=unknown_seeds)
def image_seg_data(layer: LayerContext) -> SetUp:
    """Images [batch_size, 3 or 1, H, W], labels [batch_size, 1, H, W], sizes [batch_size, 1, 1, 2].

    Source: hszhao/PSPNet, image_seg_data_layer.cpp.
    """
    parameter = layer.parameter.image_data_param
    layer.require(parameter.batch_size > 0, "Positive batch size required", batch_size=parameter.batch_size)
    height, width = image_size(layer)
    size = height or parameter.new_height or None, width or parameter.new_width or None
    images: OpenDims = (parameter.batch_size, 3 if parameter.is_color else 1, *size)
    return SetUp(
        [images, (parameter.batch_size, 1, *size), (parameter.batch_size, 1, 1, 2)][: layer.num_tops],
        operation=_operation(layer),
    )


@register_fork(
    "ImageSegUniformSizeData", bottoms=exactly(0), tops=between(1, 3), fork_fields=SIZE_FIELDS, seeds=unknown_seeds
)
def image_seg_uniform_size_data(layer: LayerContext) -> SetUp:
    """Images [batch_size, C, H, W], labels [batch_size, 1, H, W], and their size [2].

    Source: stephenyan1231/caffe-public, image_seg_uniform_size_data_layer.cpp.
    """
    batch_size, size = _batch_size(layer), image_size(layer)
    tops: list[OpenDims] = [(batch_size, channels(layer), *size), (batch_size, 1, *size), (2,)]
    return SetUp(tops[: layer.num_tops], operation=_operation(layer))


@register_fork(
    "TokenizedData",
    bottoms=exactly(0),
    tops=between(2, 3),
    fork_fields=["tokenized_data_param"],
    seeds=unknown_seeds,
)
def tokenized_data(layer: LayerContext) -> SetUp:
    """Tokens [batch_size, block_size], positions [1, block_size], targets like the tokens.

    Source: MyCaffe/MyCaffe, TokenizedDataLayer.cs.
    """
    batch_size, block_size = (
        layer.fork.integer(f"tokenized_data_param.{name}", 0) for name in ("batch_size", "block_size")
    )
    layer.require(
        batch_size > 0 and block_size > 0,
        "batch_size and block_size must be positive",
        batch_size=batch_size,
        block_size=block_size,
    )
    tokens: OpenDims = (batch_size, block_size)
    return SetUp([tokens, (1, block_size), tokens][: layer.num_tops], operation=_operation(layer))


@register_fork(
    "DenseImageData", bottoms=exactly(0), tops=exactly(2), fork_fields=["dense_image_data_param"], seeds=unknown_seeds
)
def dense_image_data(layer: LayerContext) -> SetUp:
    """Images [batch_size, 3 or 1, H, W], labels [batch_size, 1, H, W].

    Source: alexgkendall/caffe-segnet, dense_image_data_layer.cpp.
    """
    check_mean(layer)
    fork, crop_size = layer.fork, layer.parameter.transform_param.crop_size
    batch_size = fork.integer("dense_image_data_param.batch_size", 0)
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    size = tuple(
        crop_size
        or fork.integer(f"dense_image_data_param.crop_{side}", 0)
        or fork.integer(f"dense_image_data_param.new_{side}", 0)
        or None
        for side in ("height", "width")
    )
    colors = 3 if fork.flag("dense_image_data_param.is_color", True) else 1
    return SetUp([(batch_size, colors, *size), (batch_size, 1, *size)], operation=_operation(layer))


@register_fork(
    "ImageLabelData", bottoms=exactly(0), tops=exactly(2), fork_fields=["image_label_data_param"], seeds=unknown_seeds
)
def image_label_data(layer: LayerContext) -> SetUp:
    """Images and labels [batch_size, C, H, W] (tidsp/caffe-jacinto, image_label_data_layer.cpp)."""
    batch_size = layer.fork.integer("image_label_data_param.batch_size", 0)
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    crop_size = layer.parameter.transform_param.crop_size or None
    image: OpenDims = (batch_size, None, crop_size, crop_size)
    return SetUp([image, image], operation=_operation(layer))


@register_fork(
    "VideoData",
    bottoms=exactly(0),
    tops=between(1, 2),
    fork_fields=["video_data_param", "image_data_param.new_length", *SIZE_FIELDS],
    seeds=unknown_seeds,
)
def video_data(layer: LayerContext) -> SetUp:
    """One of three forms, told by the fields of video_data_param.

    * video_type: frames [batch_size, 3, H, W] (weiliu89/caffe branch ssd, video_data_layer.cpp).
    * new_length with modality or num_segments: frames as channels (yjxiong/caffe, video_data_layer.cpp).
    * new_length otherwise: clips [batch_size, C, new_length, H, W] (facebookarchive/C3D, video_data_layer.cpp).
    """
    fork = layer.fork
    size = image_size(layer)
    if "image_data_param.new_length" in fork:
        batch_size = layer.parameter.image_data_param.batch_size
        length = fork.integer("image_data_param.new_length", 0)
        return _clips(layer, batch_size, length, (batch_size, 1, 1, 1, 1))
    batch_size = fork.integer("video_data_param.batch_size", layer.parameter.data_param.batch_size)
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    if any(f"video_data_param.{name}" in fork for name in ("video_type", "video_file", "device_id", "skip_frames")):
        tops: list[OpenDims] = [(batch_size, 3, *size), (batch_size,)]
        return SetUp(tops[: layer.num_tops], operation=_operation(layer))
    length = fork.integer("video_data_param.new_length", 1)
    named = ("modality", "num_segments", "name_pattern", "length_first", "encoded")
    if not any(f"video_data_param.{name}" in fork for name in named):
        return _clips(layer, batch_size, length, (batch_size,))
    colors = 2
    if fork.word("video_data_param.modality", "FLOW") in ("RGB", "0"):
        colors = 1 if fork.flag("video_data_param.grayscale", False) else 3
    frames = length * fork.integer("video_data_param.num_segments", 1)
    tops = [(batch_size, colors * frames, *size), (batch_size, 1, 1, 1)]
    if fork.flag("video_data_param.length_first", False):
        tops = [None, (batch_size, 1, 1, 1)]
    return SetUp(tops[: layer.num_tops], operation=_operation(layer))


@register_fork("CPMData", bottoms=exactly(0), tops=between(1, 2), fork_fields=["cpmdata_param"], seeds=unknown_seeds)
def cpm_data(layer: LayerContext) -> SetUp:
    """Images and maps of joints [batch_size, C, H, W] (cpm_data_layer.cpp of the pose machines)."""
    batch_size = layer.fork.integer("cpmdata_param.batch_size", 0)
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    image: OpenDims = (batch_size, None, None, None)
    return SetUp([image, image][: layer.num_tops], operation=_operation(layer))


@register_fork("CoSData", bottoms=exactly(0), tops=at_least(1), fork_fields=["cos_data_param"], seeds=unknown_seeds)
def cos_data(layer: LayerContext) -> SetUp:
    """[batch_size, channels, height, width] or their first axes; [channels, batch_size] with transpose.

    Source: yahoo/CaffeOnSpark, cos_data_layer.cpp.
    """
    batch_size = layer.fork.integer("cos_data_param.batch_size", 0)
    blocks = layer.fork.blocks("cos_data_param.top")
    layer.require(
        len(blocks) == layer.num_tops,
        "number of tops in this layer should be equal to number of tops in CoSDataParameter",
        top=len(blocks),
        tops=layer.num_tops,
    )
    tops: list[OpenDims] = []
    for block in blocks:
        axes = block.integer("sample_num_axes", 3, most=3)
        sample = [block.integer(f"out_{side}", 0) or block.integer(side, 0) for side in ("channels", "height", "width")]
        tops.append((sample[0], batch_size) if block.flag("transpose", False) else (batch_size, *sample)[: axes + 1])
    return SetUp(tops, operation=_operation(layer))


@register_fork("RandVec", bottoms=exactly(0), tops=exactly(1), fork_fields=["randvec_param"], seeds=unknown_seeds)
def rand_vec(layer: LayerContext) -> SetUp:
    """[batch_size, dim], or [batch_size, dim, height, width] (GANs in Caffe, randvec_layer.cpp)."""
    batch_size, dim, height, width = (
        layer.fork.integer(f"randvec_param.{name}", 0) for name in ("batch_size", "dim", "height", "width")
    )
    layer.require(batch_size > 0 and dim > 0, "batch_size and dim must be positive", batch_size=batch_size, dim=dim)
    return SetUp(
        [(batch_size, dim, height, width) if height and width else (batch_size, dim)], operation=_operation(layer)
    )


@register_fork(
    "DetectNetTransformation",
    bottoms=exactly(2),
    tops=exactly(2),
    fork_fields=["detectnet_groundtruth_param"],
)
def detect_net_transformation(layer: LayerContext) -> SetUp:
    """Images [N, C, image_size_y, image_size_x], and their coverage (NVIDIA/caffe, detectnet_transform_layer.cpp)."""
    num, colors, *_ = layer.legacy(0)
    height, width = (layer.fork.integer(f"detectnet_groundtruth_param.image_size_{side}", 0) for side in "yx")
    layer.require(height > 0 and width > 0, "image_size_x and image_size_y must be positive", size=(height, width))
    return SetUp([(num, colors, height, width), None], operation=_operation(layer))


def _operation(layer: LayerContext) -> Operation:
    return layer.operation(lambda: ForkData(layer_type=layer.type, transform=transform(layer), fields=layer.fields()))


def _batch_size(layer: LayerContext) -> int:
    check_mean(layer)
    batch_size = layer.parameter.data_param.batch_size
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    return batch_size


def _clips(layer: LayerContext, batch_size: int, length: int, labels: OpenDims) -> SetUp:
    layer.require(batch_size > 0 and length > 0, "batch_size and new_length must be positive", new_length=length)
    images: OpenDims = (batch_size, channels(layer), length, *image_size(layer))
    return SetUp([images, labels][: layer.num_tops], operation=_operation(layer))
