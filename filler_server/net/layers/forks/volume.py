"""C3D's layers over [N, C, length, height, width], with one kernel size for space and one for time."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Dims, Unknown, known
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import convolution, pooling
from filler_server.net.operations.base import Operation
from filler_server.net.registry import exactly, register_fork, up_to
from filler_server.net.windows import Windows

_CONVOLUTION_FIELDS = (
    "convolution3d_param",
    *(f"convolution_param.{name}" for name in ("kernel_depth", "temporal_stride", "temporal_pad", "filter_group")),
)
_POOLING_FIELDS = ("pooling3d_param", "pooling_param.kernel_depth", "pooling_param.temporal_stride")
_Axes = tuple[Dim, Dim, Dim, Dim, Dim]


@register_fork(
    "Convolution3D",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=_CONVOLUTION_FIELDS,
    roles=up_to("weight", "bias"),
)
def convolution_3d(layer: LayerContext) -> SetUp:
    """Weight [num_output, C, kernel_depth, kernel_size, kernel_size], bias [1, 1, 1, 1, num_output].

    `group` is not read (facebookarchive/C3D, convolution3d_layer.cpp).
    """
    block = _Block(layer, "convolution3d_param", "convolution_param")
    num_output, filter_group = block.integer("num_output", 0), block.integer("filter_group", 1)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    layer.require(
        filter_group > 0 and num_output % filter_group == 0,
        "num_output must be a multiple of filter_group",
        num_output=num_output,
        filter_group=filter_group,
    )
    windows = block.windows(time_pad=True)
    num, channels, *extents = _five_axes(layer)
    outputs = windows.over(extents)
    _check_positive(layer, outputs)
    blobs = _blobs(layer, block, (num_output, channels, *windows.kernel), num_output)
    # The groups of filters are worked on apart from each other, but each sees all channels.
    operation = convolution.Convolution(num_output=num_output, bias=block.bias_term, **windows.attributes())
    return SetUp([(num, num_output, *outputs)], blobs, operation)


@register_fork(
    "Deconvolution3D",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=_CONVOLUTION_FIELDS,
    roles=up_to("weight", "bias"),
)
def deconvolution_3d(layer: LayerContext) -> SetUp:
    """Weight [C, num_output, kernel_depth, kernel_size, kernel_size], bias [1, 1, 1, 1, num_output].

    Source: facebookarchive/C3D, deconvolution3d_layer.cpp.
    """
    block = _Block(layer, "convolution3d_param", "convolution_param")
    num_output = block.integer("num_output", 0)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    windows = block.windows(time_pad=True)
    num, channels, *extents = _five_axes(layer)
    outputs = windows.spread(extents)
    _check_positive(layer, outputs)
    blobs = _blobs(layer, block, (channels, num_output, *windows.kernel), num_output)
    operation = convolution.Deconvolution(num_output=num_output, bias=block.bias_term, **windows.attributes())
    return SetUp([(num, num_output, *outputs)], blobs, operation)


@register_fork("Pooling3D", bottoms=exactly(1), tops=exactly(1), fork_fields=_POOLING_FIELDS)
def pooling_3d(layer: LayerContext) -> SetUp:
    """One of three forms, told by the fields of its block.

    * kernel_depth, temporal_stride: `pad` is for space alone, and a last window that does not fit counts
      (facebookarchive/C3D, pool3d_layer.cpp).
    * kernel_l, stride_l, pad_l: sizes in time beside kernel_size, stride and pad in space, rounded up as in Pooling
      (the nets of ZhaofanQiu/pseudo-3d-residual-networks).
    * ceil_mode, global_pooling or kernel_d, kernel_h, kernel_w: a size for each axis and a pad for each side
      (pooling3d_layer.cpp of accelerators' forks). Where rounding decides and ceil_mode is left out, it is open.
    """
    fields = {name: f"pooling3d_param.{name}" in layer.fork for name in (*_LENGTH, *_SIDES)}
    if any(fields[name] for name in _LENGTH):
        return _pool_length(layer)
    if any(fields[name] for name in _SIDES):
        return _pool_sides(layer)
    block = _Block(layer, "pooling3d_param", "pooling_param")
    windows = block.windows(time_pad=False)
    num, channels, *extents = _five_axes(layer)
    outputs = [
        extent if isinstance(extent, Unknown) else -(-(extent + 2 * p - k) // s) + 1
        for extent, k, s, p in zip(extents, windows.kernel, windows.stride, windows.pad, strict=True)
    ]
    _check_positive(layer, outputs)

    def operation() -> Operation:
        method = block.word("pool", caffe_pb2.PoolingParameter.PoolMethod).lower()
        return pooling.Pooling(
            method=method,
            kernel=windows.kernel,
            stride=windows.stride,
            pad=windows.pad,
            clip=False,
            random=method == "stochastic" and layer.training,
        )

    return SetUp([(num, channels, *outputs)], operation=layer.operation(operation))


_LENGTH = ("kernel_l", "stride_l", "pad_l")
_SIDES = (
    *(f"{name}_{side}" for name in ("kernel", "stride") for side in "dhw"),
    *(f"pad_{side}{end}" for side in "dhw" for end in "01"),
    "ceil_mode",
    "global_pooling",
)


def _pool_length(layer: LayerContext) -> SetUp:
    """Pool with sizes in time of their own."""

    def sizes(name: str, length: str, default: int) -> tuple[int, int, int]:
        space = layer.fork.integer(f"pooling3d_param.{name}", default)
        return layer.fork.integer(f"pooling3d_param.{length}", default), space, space

    kernel, stride = sizes("kernel_size", "kernel_l", 0), sizes("stride", "stride_l", 1)
    pad = [(size, size) for size in sizes("pad", "pad_l", 0)]
    return _pooled(layer, kernel, stride, pad, ceil=True)


def _pool_sides(layer: LayerContext) -> SetUp:
    """Pool with a size for each axis, or one for all, and a pad for each side, or one for all."""
    fork = layer.fork

    def sizes(name: str, one: str, default: int) -> tuple[int, ...]:
        if f"pooling3d_param.{one}" in fork:
            return (fork.integer(f"pooling3d_param.{one}", default),) * 3
        return tuple(fork.integer(f"pooling3d_param.{name}_{side}", default) for side in "dhw")

    kernel: tuple[Dim, ...] = sizes("kernel", "kernel_size", 0)
    if fork.flag("pooling3d_param.global_pooling", False):
        kernel = _five_axes(layer)[2:]
    before = sizes("pad", "pad", 0)
    pad = [
        tuple(fork.integer(f"pooling3d_param.pad_{side}{end}", one) for end in "01")
        for side, one in zip("dhw", before, strict=True)
    ]
    ceil = fork.flag("pooling3d_param.ceil_mode", False) if "pooling3d_param.ceil_mode" in fork else None
    return _pooled(layer, kernel, sizes("stride", "stride", 1), pad, ceil=ceil)


def _pooled(
    layer: LayerContext,
    kernel: Sequence[Dim],
    stride: Sequence[int],
    pad: Sequence[Sequence[int]],
    *,
    ceil: bool | None,
) -> SetUp:
    """Return how many windows fit on each axis; with padding, none begins beyond the image and its near pad."""
    layer.require(0 not in kernel and 0 not in stride, "kernel and stride must be positive", kernel=tuple(kernel))
    num, channels, *extents = _five_axes(layer)
    padded = any(map(any, pad))
    outputs: list[Dim | None] = []
    for extent, size, step, (near, far) in zip(extents, kernel, stride, pad, strict=True):
        room = extent + (near + far) - size
        if not isinstance(room, int) or not isinstance(extent, int):
            outputs.append(room)
            continue
        layer.require(room >= 0, "the kernel does not fit into the padded input", shape=layer.bottoms[0])
        counts = {(-(-room // step) if up else room // step) + 1 for up in ((True, False) if ceil is None else (ceil,))}
        if padded:
            counts = {count - ((count - 1) * step >= extent + near) for count in counts}
        outputs.append(counts.pop() if len(counts) == 1 else None)
    if ceil is None or any(near != far for near, far in pad):
        return SetUp([(num, channels, *outputs)], operation=layer.custom())
    operation = layer.operation(
        lambda: pooling.Pooling(
            method=(method := layer.fork.choice("pooling3d_param.pool", ("MAX", "AVE", "STOCHASTIC"))),
            kernel=tuple(map(known, kernel)),
            stride=tuple(stride),
            pad=tuple(near for near, _ in pad),
            ceil=ceil,
            global_pooling=layer.fork.flag("pooling3d_param.global_pooling", False),
            random=method == "stochastic" and layer.training,
        )
    )
    return SetUp([(num, channels, *outputs)], operation=operation)


@dataclass(frozen=True, slots=True)
class _Block:
    """The parameters of a layer, from a block of their own (C3D 1.1) or from BVLC's block (C3D 1.0)."""

    layer: LayerContext
    own: str
    shared: str

    def integer(self, name: str, default: int) -> int:
        if self.own in self.layer.fork:
            return self.layer.fork.integer(f"{self.own}.{name}", default)
        message = getattr(self.layer.parameter, self.shared)
        if name not in message.DESCRIPTOR.fields_by_name:
            return self.layer.fork.integer(f"{self.shared}.{name}", default)
        value = getattr(message, name)
        if isinstance(value, int):
            return value if message.HasField(name) else default
        self.layer.require(len(value) <= 1, f"{name} must be specified once", **{name: list(value)})
        return int(value[0]) if value else default

    def flag(self, name: str, default: bool) -> bool:
        if self.own in self.layer.fork:
            return self.layer.fork.flag(f"{self.own}.{name}", default)
        return bool(getattr(getattr(self.layer.parameter, self.shared), name))

    def filler(self, name: str) -> caffe_pb2.FillerParameter:
        if self.own in self.layer.fork:
            return self.layer.fork.filler(f"{self.own}.{name}")
        filler = getattr(getattr(self.layer.parameter, self.shared), name)
        assert isinstance(filler, caffe_pb2.FillerParameter)  # noqa: S101 - the schema says so
        return filler

    @property
    def bias_term(self) -> bool:
        return self.flag("bias_term", True)

    def word(self, name: str, enum: EnumTypeWrapper) -> str:
        """Return the name of an enum's value, the first one by default."""
        if self.own in self.layer.fork:
            word = self.layer.fork.word(f"{self.own}.{name}", enum.Name(0))
            return enum.Name(int(word)) if word.isdecimal() and int(word) in enum.values() else word
        return enum.Name(getattr(getattr(self.layer.parameter, self.shared), name))

    def windows(self, *, time_pad: bool) -> Windows:
        """Return the windows over time, height and width."""
        space, time = self.integer("kernel_size", 0), self.integer("kernel_depth", 0)
        self.layer.require(
            space > 0 and time > 0, "kernel_size and kernel_depth must be positive", kernel=(time, space)
        )
        stride = self.integer("temporal_stride", 1), self.integer("stride", 1)
        self.layer.require(0 not in stride, "strides must be positive", stride=stride)
        pad = self.integer("temporal_pad", 0) if time_pad else 0, self.integer("pad", 0)
        return Windows((time, space, space), (*stride, stride[1]), (*pad, pad[1]), (1, 1, 1))


def _five_axes(layer: LayerContext) -> _Axes:
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return bottom, bottom, bottom, bottom, bottom
    layer.require(len(bottom) == 5, "Input must have 5 axes: (num, channels, length, height, width)", shape=bottom)
    num, channels, length, height, width = bottom
    return num, channels, length, height, width


def _check_positive(layer: LayerContext, outputs: Sequence[Dim]) -> None:
    for extent in outputs:
        if isinstance(extent, int):
            layer.require(extent > 0, "the kernel does not fit into the padded input", shape=layer.bottoms[0])


def _blobs(layer: LayerContext, block: _Block, weight: Dims, num_output: int) -> tuple[LearnedBlob, ...]:
    blobs = [LearnedBlob(weight, block.filler("weight_filler"))]
    if block.bias_term:
        blobs.append(LearnedBlob((1, 1, 1, 1, num_output), block.filler("bias_filler")))
    return layer.learned(*blobs)
