"""C3D's layers over [N, C, length, height, width], with one kernel size for space and one for time."""

from collections.abc import Sequence
from dataclasses import dataclass

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Dims, Unknown, quotient
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.registry import exactly, register_fork, up_to

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
    kernel, stride, pad = block.windows(time_pad=True)
    num, channels, *extents = _five_axes(layer)
    outputs = [
        quotient(extent + 2 * p - k, s) + 1 for extent, k, s, p in zip(extents, kernel, stride, pad, strict=True)
    ]
    _check_positive(layer, outputs)
    blobs = _blobs(layer, block, (num_output, channels, *kernel), num_output)
    return SetUp([(num, num_output, *outputs)], blobs)


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
    kernel, stride, pad = block.windows(time_pad=True)
    num, channels, *extents = _five_axes(layer)
    outputs = [(extent - 1) * s - 2 * p + k for extent, k, s, p in zip(extents, kernel, stride, pad, strict=True)]
    _check_positive(layer, outputs)
    blobs = _blobs(layer, block, (channels, num_output, *kernel), num_output)
    return SetUp([(num, num_output, *outputs)], blobs)


@register_fork("Pooling3D", bottoms=exactly(1), tops=exactly(1), fork_fields=_POOLING_FIELDS)
def pooling_3d(layer: LayerContext) -> SetUp:
    """A last window that does not fit counts; `pad` is for space alone (facebookarchive/C3D, pool3d_layer.cpp)."""
    block = _Block(layer, "pooling3d_param", "pooling_param")
    kernel, stride, pad = block.windows(time_pad=False)
    num, channels, *extents = _five_axes(layer)
    outputs = [
        extent if isinstance(extent, Unknown) else -(-(extent + 2 * p - k) // s) + 1
        for extent, k, s, p in zip(extents, kernel, stride, pad, strict=True)
    ]
    _check_positive(layer, outputs)
    return SetUp([(num, channels, *outputs)])


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

    def windows(self, *, time_pad: bool) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return kernel, stride and pad, each for time, height and width."""
        space, time = self.integer("kernel_size", 0), self.integer("kernel_depth", 0)
        self.layer.require(
            space > 0 and time > 0, "kernel_size and kernel_depth must be positive", kernel=(time, space)
        )
        stride = self.integer("temporal_stride", 1), self.integer("stride", 1)
        self.layer.require(0 not in stride, "strides must be positive", stride=stride)
        pad = self.integer("temporal_pad", 0) if time_pad else 0, self.integer("pad", 0)
        return (time, space, space), (*stride, stride[1]), (*pad, pad[1])


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
    if block.flag("bias_term", True):
        blobs.append(LearnedBlob((1, 1, 1, 1, num_output), block.filler("bias_filler")))
    return layer.learned(*blobs)
