"""Layer types of well-known forks whose shapes follow from BVLC's own fields."""

from filler_server.net.dimensions import Dims, Unknown, count, differ, shapes_differ
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.layers.convolution import convolution
from filler_server.net.layers.losses import check_batch
from filler_server.net.registry import at_least, between, exactly, register
from filler_server.net.windows import read_windows


@register("SmoothL1Loss", bottoms=between(2, 4), tops=exactly(1), loss=True)
def smooth_l1_loss(layer: LayerContext) -> SetUp:
    """A scalar; bottoms beyond the second weigh the values (Fast R-CNN, SSD)."""
    check_batch(layer)
    predictions = layer.legacy(0)[1:]
    for bottom in range(1, len(layer.bottoms)):
        if shapes_differ(predictions, layer.legacy(bottom)[1:]):
            layer.refuse(
                f"bottom[{bottom}] must have the channels, height and width of bottom[0]",
                bottom_0=layer.bottoms[0],
                other=layer.bottoms[bottom],
            )
    return SetUp([()])


@register("Axpy", bottoms=exactly(3), tops=exactly(1))
def axpy(layer: LayerContext) -> SetUp:
    """bottom[0] * bottom[1] + bottom[2], one factor for each channel (SENet)."""
    factors, data, summand = layer.bottoms
    if isinstance(factors, tuple) and isinstance(data, tuple):
        for axis in (0, 1):
            if differ(factors[layer.axis(factors, axis)], data[layer.axis(data, axis)]):
                layer.refuse("bottom[0] and bottom[1] must agree in axes 0 and 1", bottom_0=factors, bottom_1=data)
        if len(factors) == 4 and differ(count(factors, 2), 1):
            layer.refuse("bottom[0] must have one value for each channel", bottom_0=factors)
    if shapes_differ(data, summand):
        layer.refuse("bottom[1] and bottom[2] must have the same shape", bottom_1=data, bottom_2=summand)
    return SetUp([data if isinstance(data, tuple) else summand])


@register("DepthwiseConvolution", bottoms=at_least(1), tops=at_least(1), one_top_per_bottom=True)
def depthwise_convolution(layer: LayerContext) -> SetUp:
    """A Convolution whose `group` is the number of channels; where it is not given, as ConvolutionDepthwise."""
    grouped = layer.parameter.convolution_param.HasField("group")
    return convolution(layer) if grouped else convolution_depthwise(layer)


@register("ConvolutionDepthwise", bottoms=exactly(1), tops=exactly(1))
def convolution_depthwise(layer: LayerContext) -> SetUp:
    """One kernel for each channel: weight [C, 1, kernel...], bias [C]; num_output and group are not read."""
    parameter = layer.parameter.convolution_param
    windows = read_windows(layer, 2)
    num, channels, *spatial = layer.four_axes(0)
    extents = windows.over(spatial)
    weight: Dims = (channels, 1, *windows.kernel)
    blobs = [LearnedBlob(weight, parameter.weight_filler)]
    if parameter.bias_term:
        blobs.append(LearnedBlob((channels,), parameter.bias_filler))
    if any(not isinstance(extent, Unknown) and extent <= 0 for extent in extents):
        layer.refuse("the kernel does not fit into the padded input", shape=layer.bottoms[0], kernel=windows.kernel)
    return SetUp([(num, channels, *extents)] * layer.num_tops, layer.learned(*blobs))
