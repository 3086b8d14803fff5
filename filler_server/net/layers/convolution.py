"""Convolution, Deconvolution, Im2col."""

from caffe_filler.shapes import CAFFE_MAX_COUNT
from filler_server.net.blobs import four_axes, is_legacy
from filler_server.net.dimensions import Dim, Dims, Unknown, product, quotient, shapes_differ, text
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import convolution as operations
from filler_server.net.registry import at_least, exactly, register, up_to
from filler_server.net.windows import (
    FORK_FIELDS,
    NO_WINDOWS,
    WindowAttributes,
    Windows,
    implied_spatial_axes,
    read_windows,
)

BLOB_AXES = (4, 1)
"""Axes of weight and bias over two spatial axes, the only number that there was in old files."""


@register(
    "Convolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=FORK_FIELDS,
    roles=up_to("weight", "bias"),
    blob_axes=BLOB_AXES,
)
def convolution(layer: LayerContext) -> SetUp:
    """Weight [num_output, C / group, kernel...], bias [num_output]."""
    return _convolve(layer, transposed=False)


@register(
    "Deconvolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=FORK_FIELDS,
    roles=up_to("weight", "bias"),
    blob_axes=BLOB_AXES,
)
def deconvolution(layer: LayerContext) -> SetUp:
    """Weight [C, num_output / group, kernel...], bias [num_output]."""
    return _convolve(layer, transposed=True)


@register("Im2col", bottoms=exactly(1), tops=exactly(1), fork_fields=FORK_FIELDS)
def im2col(layer: LayerContext) -> SetUp:
    """Every window laid out along the channel axis."""
    bottom = layer.bottoms[0]
    axis = layer.parameter.convolution_param.axis
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operations.Im2col(axis=axis, **_open_windows(layer)))
    axis = layer.axis(bottom, axis)
    spatial = bottom[axis + 1 :]
    layer.require(len(spatial) >= 1, "Im2col needs a spatial axis after the channels", shape=bottom, axis=axis)
    windows = read_windows(layer, len(spatial))
    top = (*bottom[:axis], bottom[axis] * product(windows.kernel), *_output(layer, windows, spatial))
    return SetUp([top], operation=operations.Im2col(axis=axis, **windows.attributes()))


def _convolve(layer: LayerContext, *, transposed: bool) -> SetUp:
    parameter = layer.parameter.convolution_param
    num_output, group = parameter.num_output, parameter.group
    bottom: Dims = layer.bottoms[0]
    channels: Dim
    axis = parameter.axis
    windows: Windows | None
    if isinstance(bottom, Unknown):
        channels = bottom
        num_spatial_axes = implied_spatial_axes(layer)
        windows = None if num_spatial_axes is None else read_windows(layer, num_spatial_axes)
    else:
        axis = layer.axis(bottom, axis)
        channels = bottom[axis]
        windows = read_windows(layer, len(bottom) - axis - 1)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    layer.require(group > 0, "group must be positive", group=group)
    if isinstance(channels, int):
        layer.require(
            channels % group == 0, "Number of channels should be multiples of group", channels=channels, group=group
        )
    layer.require(
        num_output % group == 0, "Number of output should be multiples of group", num_output=num_output, group=group
    )
    outer, inner = (channels, num_output) if transposed else (num_output, channels)
    blobs = _blobs(layer, bottom if windows is None else (outer, quotient(inner, group), *windows.kernel))
    for index, other in enumerate(layer.bottoms[1:], start=1):
        if shapes_differ(bottom, other):
            layer.refuse(
                f"shape mismatch - bottom[0]: {text(bottom)} vs. bottom[{index}]: {text(other)}",
                bottoms=list(layer.parameter.bottom),
            )
    kind = operations.Deconvolution if transposed else operations.Convolution
    operation = kind(
        num_output=num_output,
        group=group,
        axis=axis,
        bias=parameter.bias_term,
        **(NO_WINDOWS if windows is None else windows.attributes()),
    )
    if isinstance(bottom, Unknown) or windows is None:
        return SetUp([bottom] * layer.num_tops, blobs, operation)
    spatial = bottom[axis + 1 :]
    extents = windows.spread(spatial) if transposed else _output(layer, windows, spatial)
    column = product((num_output if transposed else channels, *windows.kernel, *(spatial if transposed else extents)))
    if isinstance(column, int) and column > CAFFE_MAX_COUNT:
        layer.refuse("blob size of the column buffer exceeds INT_MAX", count=column, shape=bottom)
    if parameter.bias_term:
        layer.require_values(product(extents), "the output")
    return SetUp([(*bottom[:axis], num_output, *extents)] * layer.num_tops, blobs, operation)


def _open_windows(layer: LayerContext) -> WindowAttributes:
    """Return what is known of windows over a bottom of which nothing is."""
    num_spatial_axes = implied_spatial_axes(layer)
    return NO_WINDOWS if num_spatial_axes is None else read_windows(layer, num_spatial_axes).attributes()


def _output(layer: LayerContext, windows: Windows, spatial: tuple[Dim, ...]) -> tuple[Dim, ...]:
    extents = windows.over(spatial)
    if any(isinstance(extent, int) and extent < 0 for extent in extents):
        layer.refuse(
            f"the kernel does not fit into the padded input: the output would be {text(extents)}",
            shape=layer.bottoms[0],
            kernel_size=list(windows.kernel),
            pad=list(windows.pad),
            dilation=list(windows.dilation),
        )
    return extents


def _blobs(layer: LayerContext, weight: Dims) -> tuple[LearnedBlob, ...]:
    parameter = layer.parameter.convolution_param
    expected = [LearnedBlob(weight, parameter.weight_filler)]
    if parameter.bias_term:
        expected.append(LearnedBlob((parameter.num_output,), parameter.bias_filler))
    if layer.given and len(layer.given) != len(expected):
        layer.refuse("Incorrect number of weight blobs", blobs=len(layer.given), expected=len(expected))
    learned = layer.given_or(*expected)
    for index, (name, blob) in enumerate(zip(("weight", "bias"), expected, strict=False)):
        given = learned[index]
        if not shapes_differ(blob.shape, given.shape):
            continue
        if given.given is None or not is_legacy(given.given) or shapes_differ(four_axes(blob.shape), given.shape):
            layer.refuse(f"Incorrect {name} shape: expected shape {text(blob.shape)}", shape=given.shape)
        layer.report(
            f"blobs[{index}] has the four axes of old files, {text(given.shape)}: taken for {text(blob.shape)}"
        )
        learned = (*learned[:index], LearnedBlob(blob.shape, given.filler, given.given), *learned[index + 1 :])
    return learned
