"""Layers that bring data in. What only the data themselves could tell is left open."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.filler_types import CAFFE_FILLERS
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.operations import data as operations
from filler_server.net.registry import at_least, between, exactly, register, up_to

_Value = TypeVar("_Value")

_ZEROS = caffe_pb2.FillerParameter()

SIZE_FIELDS = tuple(
    f"transform_param.{name}" for name in ("crop_h", "crop_w", "crop_height", "crop_width", "resize_param")
)
"""Fields of forks that give images a size."""


def _transforms_at_random(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> bool:
    """`DataTransformer::InitRand`: whether the transformer takes an engine of its own, which one output seeds."""
    transform = parameter.transform_param
    return transform.mirror or (phase == caffe_pb2.TRAIN and transform.crop_size > 0)


# The transformer of a layer that fetches ahead is set up twice, and the thread takes an engine, too.


def data_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> int:
    """Return the outputs that a layer which fetches ahead draws, its own sources of chance aside."""
    return 2 * _transforms_at_random(parameter, phase) + 1


def _image_data_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> int:
    image_data = parameter.image_data_param
    return data_seeds(parameter, phase) + image_data.shuffle + (image_data.rand_skip > 0)


def _window_data_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> int:
    transform = parameter.transform_param
    return data_seeds(parameter, phase) + (transform.mirror or transform.crop_size > 0)


@register("Input", bottoms=exactly(0), tops=at_least(1))
def input_(layer: LayerContext) -> SetUp:
    """The shapes given, one for all tops or one for each; without any, the caller of the net sets them."""
    shapes = [tuple(shape.dim) for shape in layer.parameter.input_param.shape]
    layer.require(
        len(shapes) in (0, 1, layer.num_tops),
        "Must specify 'shape' once, once per top blob, or not at all",
        tops=layer.num_tops,
        shapes=len(shapes),
    )
    tops = _for_each_top(layer, shapes) if shapes else [None] * layer.num_tops
    return SetUp(tops, operation=operations.Input())


@register("DummyData", bottoms=exactly(0), tops=at_least(1))
def dummy_data(layer: LayerContext) -> SetUp:
    """The shapes given, by `shape` or by the four old fields."""
    parameter = layer.parameter.dummy_data_param
    fillers = list(parameter.data_filler)
    layer.require(
        len(fillers) in (0, 1, layer.num_tops),
        "Number of data fillers must be 0, 1 or equal to the number of tops",
        tops=layer.num_tops,
        data_fillers=len(fillers),
    )
    old = {"num": parameter.num, "channels": parameter.channels, "height": parameter.height, "width": parameter.width}
    shapes: list[tuple[int, ...]]
    if any(old.values()):
        layer.require(not parameter.shape, "Both shape and legacy fields were specified", shapes=len(parameter.shape))
        for name, values in old.items():
            _check_number(layer, name, len(values))
        shapes = list(zip(*(_for_each_top(layer, values) for values in old.values()), strict=True))
    else:
        _check_number(layer, "shape", len(parameter.shape))
        shapes = _for_each_top(layer, [tuple(shape.dim) for shape in parameter.shape])
    fillers = fillers or [_ZEROS]
    for filler in fillers:
        layer.require(
            filler.type in CAFFE_FILLERS,
            f"Unknown filler name: {filler.type}{did_you_mean(nearest(filler.type, CAFFE_FILLERS))}; there are "
            f"{', '.join(CAFFE_FILLERS)}",
            type=filler.type,
        )
    for shape, filler in zip(shapes, _for_each_top(layer, fillers), strict=True):
        layer.require(
            filler.type != "constant" or 0 not in shape,
            "a constant filler cannot fill a blob without values",
            shape=shape,
        )
    return SetUp(shapes, operation=operations.DummyData(fillers=tuple(map(_filler_text, fillers))))


@register("Data", bottoms=exactly(0), tops=between(1, 2), fork_fields=SIZE_FIELDS, seeds=data_seeds)
def data(layer: LayerContext) -> SetUp:
    """[batch_size, C, H, W], crop_size for H and W; the label is [batch_size]."""
    check_mean(layer)
    parameter = layer.parameter.data_param
    batch_size = parameter.batch_size
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    operation = layer.operation(
        lambda: operations.Data(
            source=parameter.source,
            backend=caffe_pb2.DataParameter.DB.Name(parameter.backend).lower(),
            batch_size=batch_size,
            transform=transform(layer),
        )
    )
    tops: list[OpenDims] = [(batch_size, channels(layer), *image_size(layer)), (batch_size,)]
    return SetUp(tops[: layer.num_tops], operation=operation)


@register(
    "ImageData",
    bottoms=exactly(0),
    tops=exactly(2),
    fork_fields=["image_data_param.channels"],
    seeds=_image_data_seeds,
)
def image_data(layer: LayerContext) -> SetUp:
    """[batch_size, 3 or 1, H, W], crop_size or new_height and new_width for H and W; the label is [batch_size].

    pl8787/exp_caffe has a field for the number of channels.
    """
    check_mean(layer)
    parameter = layer.parameter.image_data_param
    crop_size = layer.parameter.transform_param.crop_size
    height, width = parameter.new_height, parameter.new_width
    layer.require(
        (height > 0) == (width > 0),
        "Current implementation requires new_height and new_width to be set at the same time",
        new_height=height,
        new_width=width,
    )
    layer.require(
        not height or crop_size <= min(height, width),
        "the image must be at least as large as crop_size",
        crop_size=crop_size,
        new_height=height,
        new_width=width,
    )
    layer.require(parameter.batch_size > 0, "Positive batch size required", batch_size=parameter.batch_size)
    colors = layer.fork.integer("image_data_param.channels", 3 if parameter.is_color else 1)
    image = (parameter.batch_size, colors, crop_size or height or None, crop_size or width or None)
    operation = operations.ImageData(
        source=parameter.source,
        root_folder=parameter.root_folder,
        batch_size=parameter.batch_size,
        shuffle=parameter.shuffle,
        rand_skip=parameter.rand_skip,
        size=(height, width) if height else None,
        channels=colors,
        transform=transform(layer),
    )
    return SetUp([image, (parameter.batch_size,)], operation=operation)


@register("WindowData", bottoms=exactly(0), tops=exactly(2), seeds=_window_data_seeds)
def window_data(layer: LayerContext) -> SetUp:
    """[batch_size, C, crop_size, crop_size]; the label is [batch_size]."""
    check_mean(layer)
    parameter = layer.parameter.window_data_param
    batch_size = parameter.batch_size
    crop_size = layer.parameter.transform_param.crop_size
    layer.require(crop_size > 0, "crop_size must be positive", crop_size=crop_size)
    layer.require(batch_size > 0, "Positive batch size required", batch_size=batch_size)
    operation = operations.WindowData(
        source=parameter.source,
        root_folder=parameter.root_folder,
        batch_size=batch_size,
        scale=parameter.scale,
        fg_threshold=parameter.fg_threshold,
        bg_threshold=parameter.bg_threshold,
        fg_fraction=parameter.fg_fraction,
        context_pad=parameter.context_pad,
        crop_mode=parameter.crop_mode,
        transform=transform(layer),
    )
    return SetUp([(batch_size, channels(layer), crop_size, crop_size), (batch_size,)], operation=operation)


@register("MemoryData", bottoms=exactly(0), tops=exactly(2), seeds=_transforms_at_random)
def memory_data(layer: LayerContext) -> SetUp:
    """[batch_size, channels, height, width]; the label is [batch_size]."""
    check_mean(layer)
    parameter = layer.parameter.memory_data_param
    shape = (parameter.batch_size, parameter.channels, parameter.height, parameter.width)
    layer.require(
        all(shape),
        "batch_size, channels, height, and width must be specified and positive in memory_data_param",
        shape=shape,
    )
    operation = operations.MemoryData(size=shape, transform=transform(layer))
    return SetUp([shape, (parameter.batch_size,)], operation=operation)


@register("HDF5Data", bottoms=exactly(0), tops=at_least(1))
def hdf5_data(layer: LayerContext) -> SetUp:
    """[batch_size, ...]; the file has the rest, even the number of axes."""
    layer.require(
        not layer.parameter.HasField("transform_param"),
        "HDF5Data does not transform data: transform_param must be absent",
        type=layer.parameter.type,
    )
    parameter = layer.parameter.hdf5_data_param
    operation = operations.HDF5Data(source=parameter.source, batch_size=parameter.batch_size, shuffle=parameter.shuffle)
    return SetUp([None] * layer.num_tops, operation=operation)


@register(
    "Parameter", bottoms=exactly(0), tops=exactly(1), fork_fields=["parameter_param.filler"], roles=up_to("weight")
)
def parameter_(layer: LayerContext) -> SetUp:
    """One blob that is its own top, zero at first; openvinotoolkit/training_toolbox_caffe has a filler for it."""
    shape = tuple(layer.parameter.parameter_param.shape.dim)
    filler = layer.fork.filler("parameter_param.filler", _ZEROS)
    return SetUp([shape], layer.learned(LearnedBlob(shape, filler)), operations.Parameter())


def _filler_text(filler: caffe_pb2.FillerParameter) -> str:
    named = caffe_pb2.FillerParameter(type=filler.type)
    named.MergeFrom(filler)
    return text_format.MessageToString(named, as_one_line=True)


def _for_each_top(layer: LayerContext, values: Sequence[_Value]) -> list[_Value]:
    return list(values) * layer.num_tops if len(values) == 1 else list(values)


def _check_number(layer: LayerContext, name: str, number: int) -> None:
    layer.require(
        number in (1, layer.num_tops),
        f"Must specify '{name}' once, or once per top blob ({layer.num_tops})",
        specified=number,
    )


def check_mean(layer: LayerContext) -> None:
    """Refuse a mean given in two ways (Caffe's `DataTransformer`)."""
    transform = layer.parameter.transform_param
    layer.require(
        not (transform.HasField("mean_file") and transform.mean_value),
        "Cannot specify mean_file and mean_value at the same time",
        mean_file=transform.mean_file,
        mean_value=list(transform.mean_value),
    )


def transform(layer: LayerContext) -> operations.Transform:
    """Return what is done to images, fields of forks included where the layer's type declares them."""
    parameter, fork = layer.parameter.transform_param, layer.fork
    crop: tuple[int, int] | None = None
    resize: str | None = None
    if parameter.crop_size:
        crop = parameter.crop_size, parameter.crop_size
    if fork.declares(SIZE_FIELDS[0]):
        height, width = (_crop_side(layer, side) for side in ("height", "width"))
        crop = crop or ((height, width) if height and width else None)
        resize = fork.text("transform_param.resize_param")
    return operations.Transform(
        scale=parameter.scale,
        mean_values=tuple(parameter.mean_value),
        mean_file=parameter.mean_file if parameter.HasField("mean_file") else None,
        crop=crop,
        random_crop=crop is not None and layer.training,
        mirror=parameter.mirror,
        force_color=parameter.force_color,
        force_gray=parameter.force_gray,
        resize=resize,
    )


def _crop_side(layer: LayerContext, side: str) -> int:
    """Return the height or width of the part that a fork takes of an image, or 0.

    It is crop_h and crop_w (weiliu89/caffe, data_transformer.cpp) or crop_height and crop_width (hszhao/PSPNet).
    """
    short = layer.fork.integer(f"transform_param.crop_{side[0]}", 0)
    return short or layer.fork.integer(f"transform_param.crop_{side}", 0)


def image_size(layer: LayerContext) -> tuple[int | None, int | None]:
    """Return height and width of transformed images, as far as the transformation alone tells them.

    Without a crop it is that of SSD's resize_param unless it keeps the aspect.
    """
    crop_size, fork = layer.parameter.transform_param.crop_size, layer.fork
    if crop_size:
        return crop_size, crop_size
    resized: list[int | None] = [None, None]
    for block in fork.blocks("transform_param.resize_param"):
        if block.word("resize_mode", "WARP") not in ("FIT_SMALL_SIZE", "2"):
            resized = [block.integer(side, 0) or None for side in ("height", "width")]
    height, width = (_crop_side(layer, side) or size for side, size in zip(("height", "width"), resized, strict=True))
    return height, width


def channels(layer: LayerContext) -> int | None:
    """Return the channels that the means allow: more than one mean_value must be one for each channel."""
    means = len(layer.parameter.transform_param.mean_value)
    return means if means > 1 else None
