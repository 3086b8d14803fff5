"""Convolutions of forks over two spatial axes."""

from filler_server.net.dimensions import Dim, Dims, Unknown, known, product, quotient
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.layers.convolution import BLOB_AXES, convolution
from filler_server.net.operations import convolution as operations
from filler_server.net.registry import at_least, exactly, register_fork, up_to
from filler_server.net.windows import FORK_FIELDS, Windows, read_windows


@register_fork(
    "DepthwiseConvolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=FORK_FIELDS,
    roles=up_to("weight", "bias"),
    blob_axes=BLOB_AXES,
)
def depthwise_convolution(layer: LayerContext) -> SetUp:
    """A Convolution whose `group` is the number of channels (eric612/MobileNet-YOLO, depthwise_conv_layer.cpp).

    Where `group` is not given it is taken for a ConvolutionDepthwise.
    """
    grouped = layer.parameter.convolution_param.HasField("group")
    return convolution(layer) if grouped else convolution_depthwise(layer)


@register_fork(
    "HoleConvolution",
    bottoms=at_least(1),
    tops=at_least(1),
    one_top_per_bottom=True,
    fork_fields=FORK_FIELDS,
    roles=up_to("weight", "bias"),
    blob_axes=BLOB_AXES,
)
def hole_convolution(layer: LayerContext) -> SetUp:
    """A Convolution, `hole` its dilation (hszhao/PSPNet, evaluation/prototxt)."""
    return convolution(layer)


@register_fork(
    "ConvolutionDepthwise",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=FORK_FIELDS,
    roles=up_to("weight", "bias"),
    blob_axes=BLOB_AXES,
)
def convolution_depthwise(layer: LayerContext) -> SetUp:
    """One kernel for each channel: weight [C, 1, kernel...], bias [C] (luoyetx/mini-caffe, conv_dw_layer.cpp).

    num_output and group are not read.
    """
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
    operation = operations.Convolution(
        num_output=known(channels), group=known(channels), bias=parameter.bias_term, **windows.attributes()
    )
    return SetUp([(num, channels, *extents)] * layer.num_tops, layer.learned(*blobs), operation)


@register_fork(
    "Local",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=["local_param", *FORK_FIELDS],
    roles=up_to("weight", "bias"),
)
def local(layer: LayerContext) -> SetUp:
    """Another kernel at each place: weight [num_output, 1, C * kernel, places], bias [1, 1, num_output, places].

    The parameters are those of local_param (happynear/caffe-windows, local_layer.cpp), or of convolution_param (the
    same file in pull requests to BVLC/caffe).
    """
    num, channels, *spatial = layer.four_axes(0)
    parameter = layer.parameter.convolution_param
    if layer.parameter.HasField("convolution_param"):
        windows = read_windows(layer, 2)
        num_output, bias_term = parameter.num_output, parameter.bias_term
        fillers = parameter.weight_filler, parameter.bias_filler
    else:
        fork = layer.fork
        num_output, bias_term = fork.integer("local_param.num_output", 0), fork.flag("local_param.bias_term", True)
        size, stride = fork.integer("local_param.kernel_size", 0), fork.integer("local_param.stride", 1)
        layer.require(
            size > 0 and stride > 0, "kernel_size and stride must be positive", kernel_size=size, stride=stride
        )
        pad = fork.integer("local_param.pad", 0)
        windows = Windows((size, size), (stride, stride), (pad, pad), (1, 1))
        fillers = fork.filler("local_param.weight_filler"), fork.filler("local_param.bias_filler")
    extents = windows.over(spatial)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    for extent in extents:
        if isinstance(extent, int):
            layer.require(extent > 0, "the kernel does not fit into the padded input", shape=layer.bottoms[0])
    places: Dim = product(extents)
    blobs = [LearnedBlob((num_output, 1, channels * product(windows.kernel), places), fillers[0])]
    if bias_term:
        blobs.append(LearnedBlob((1, 1, num_output, places), fillers[1]))
    operation = operations.Local(num_output=num_output, bias=bias_term, **windows.attributes())
    return SetUp([(num, num_output, *extents)], layer.learned(*blobs), operation)


@register_fork("CCCP", bottoms=exactly(1), tops=exactly(1), fork_fields=["cccp_param"], roles=up_to("weight", "bias"))
def cascaded_pooling(layer: LayerContext) -> SetUp:
    """Weight [1, 1, group * num_output, C / group], bias [1, 1, 1, group * num_output].

    At each place num_output mixtures of each group's channels (stephenyan1231/caffe-public, cccp_layer.cpp).
    """
    num, channels, height, width = layer.legacy(0)
    group = layer.fork.integer("cccp_param.group", 1)
    num_output = layer.fork.integer("cccp_param.num_output", 0)
    layer.require(
        num_output > 0 and group > 0, "num_output and group must be positive", num_output=num_output, group=group
    )
    if isinstance(channels, int):
        layer.require(
            channels % group == 0, "Number of channels should be multiples of group", channels=channels, group=group
        )
    outputs = group * num_output
    blobs = [LearnedBlob((1, 1, outputs, quotient(channels, group)), layer.fork.filler("cccp_param.weight_filler"))]
    bias_term = layer.fork.flag("cccp_param.bias_term", True)
    if bias_term:
        blobs.append(LearnedBlob((1, 1, 1, outputs), layer.fork.filler("cccp_param.bias_filler")))
    operation = operations.CCCP(num_output=num_output, group=group, bias=bias_term)
    return SetUp([(num, outputs, height, width)], layer.learned(*blobs), operation)
