"""Convolution and pooling over any number of spatial axes, their sizes given as shapes, by cuDNN.

Axes of which one window is left vanish from the top: `compute_output_shape` keeps extents above 1 alone
(cudnn_ndconv_layer.cpp and cudnn_ndpooling_layer.cpp of forks for video).
"""

from typing import TypeAlias

from filler_server.net.dimensions import Dim, Unknown, quotient
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.layers.pooling import draws, method
from filler_server.net.operations.convolution import Convolution
from filler_server.net.operations.pooling import Pooling
from filler_server.net.registry import at_least, between, exactly, register_fork, up_to

_Windows: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_SHAPES = ("kernel_shape", "stride_shape", "pad_shape")


@register_fork(
    "NdConvolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=[f"convolution_param.{name}" for name in _SHAPES],
    roles=up_to("weight", "bias"),
)
@register_fork(
    "CudnnNdConvolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=[f"convolution_param.{name}" for name in _SHAPES],
    roles=up_to("weight", "bias"),
)
def nd_convolution(layer: LayerContext) -> SetUp:
    """Weight [num_output, C / group, kernel...], bias [num_output] (cudnn_ndconv_layer.cpp)."""
    parameter = layer.parameter.convolution_param
    windows = _windows(layer, "convolution_param")
    num_output, group = parameter.num_output, parameter.group
    layer.require(
        num_output > 0 and group > 0 and num_output % group == 0,
        "num_output must be a positive multiple of group",
        num_output=num_output,
        group=group,
    )
    bottom = layer.bottoms[0]
    channels: Dim = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, 1)]
    if isinstance(channels, int):
        layer.require(channels % group == 0, "channels must be a multiple of group", channels=channels, group=group)
    blobs = [LearnedBlob((num_output, quotient(channels, group), *windows[0]), parameter.weight_filler)]
    if parameter.bias_term:
        blobs.append(LearnedBlob((num_output,), parameter.bias_filler))
    top = _top(layer, num_output, windows, clip=False)
    kernel, stride, pad = windows
    operation = Convolution(
        num_output=num_output,
        group=group,
        bias=parameter.bias_term,
        kernel=kernel,
        stride=stride,
        pad=pad,
        dilation=(1,) * len(kernel),
        squeeze=True,
    )
    return SetUp([top] * layer.num_tops, layer.learned(*blobs), operation)


@register_fork(
    "NdPooling",
    bottoms=exactly(1),
    tops=between(1, 2),
    fork_fields=[f"pooling_param.{name}" for name in _SHAPES],
)
@register_fork(
    "CudnnNdPooling",
    bottoms=exactly(1),
    tops=between(1, 2),
    fork_fields=[f"pooling_param.{name}" for name in _SHAPES],
)
def nd_pooling(layer: LayerContext) -> SetUp:
    """Windows that do not fit are left out; with padding, none begins beyond the image and its near pad.

    Source: cudnn_ndpooling_layer.cpp beside the convolution's.
    """
    windows = _windows(layer, "pooling_param")
    bottom = layer.bottoms[0]
    channels: Dim = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, 1)]
    is_global = layer.parameter.pooling_param.global_pooling
    operation = Pooling(
        method=method(layer),
        kernel=None if is_global else windows[0],
        stride=None if is_global else windows[1],
        pad=None if is_global else windows[2],
        ceil=False,
        global_pooling=is_global,
        squeeze=True,
        random=draws(layer),
    )
    if is_global and isinstance(bottom, tuple):
        return SetUp([bottom[:2]] * layer.num_tops, operation=operation)
    return SetUp([_top(layer, channels, windows, clip=True)] * layer.num_tops, operation=operation)


def _windows(layer: LayerContext, block: str) -> _Windows:
    """Return kernel, stride and pad."""
    kernel = layer.fork.integers(f"{block}.kernel_shape.dim")
    layer.require(len(kernel) > 0 and 0 not in kernel, "kernel_shape is required, its dimensions not zero")
    stride = layer.fork.integers(f"{block}.stride_shape.dim") or (1,) * len(kernel)
    pad = layer.fork.integers(f"{block}.pad_shape.dim") or (0,) * len(kernel)
    layer.require(
        len(stride) == len(pad) == len(kernel) and 0 not in stride,
        "kernel_shape, stride_shape and pad_shape must have as many dimensions",
        kernel=kernel,
        stride=stride,
        pad=pad,
    )
    return kernel, stride, pad


def _top(layer: LayerContext, channels: Dim, windows: _Windows, *, clip: bool) -> OpenDims:
    kernel, stride, pad = windows
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return bottom
    num, _, *extents = bottom
    layer.require(len(extents) == len(kernel), "kernel_shape needs one dimension per spatial axis", shape=bottom)
    outputs: list[Dim] = []
    for extent, size, step, border in zip(extents, kernel, stride, pad, strict=True):
        if isinstance(extent, Unknown):
            # Whether the axis stays depends on its extent.
            return extent
        room = extent + 2 * border - size
        layer.require(room >= 0, "the kernel does not fit into the padded input", shape=bottom, kernel=kernel)
        output = room // step + 1
        if clip and border and (output - 1) * step >= extent + border:
            output -= 1
        if output > 1:
            outputs.append(output)
    return (num, channels, *outputs)
