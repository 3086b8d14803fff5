"""Layers of FlowNet and its successors."""

from filler_server.net.dimensions import Dim, shapes_differ
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import flow as operations
from filler_server.net.registry import exactly, register_fork


@register_fork("Correlation", bottoms=exactly(2), tops=exactly(1), fork_fields=["correlation_param"])
def correlation(layer: LayerContext) -> SetUp:
    """One channel for each displacement (lmb-freiburg/flownet2, correlation_layer.cpp)."""
    fork = layer.fork
    kernel_size = fork.integer("correlation_param.kernel_size", 0)
    layer.require(kernel_size % 2 == 1, "Odd kernel size required", kernel_size=kernel_size)
    layer.require("correlation_param.max_displacement" in fork, "Max displacement is required", max_displacement=None)
    displacement, pad = fork.integer("correlation_param.max_displacement", 0), fork.integer("correlation_param.pad", 0)
    strides = fork.integer("correlation_param.stride_1", 1), fork.integer("correlation_param.stride_2", 1)
    layer.require(min(strides) > 0, "strides must be positive", strides=strides)
    first, second = layer.legacy(0), layer.legacy(1)
    if shapes_differ(first[1:], second[1:]):
        layer.refuse("Both bottom blobs must have the same size", bottom_0=first, bottom_1=second)
    border = displacement + (kernel_size - 1) // 2
    sizes: list[Dim] = []
    for extent in first[2:]:
        room = extent + 2 * pad - 2 * border
        if isinstance(room, int):
            layer.require(room > 0, "Neighborhood and kernel don't fit in blob", shape=layer.bottoms[0])
            room = -(-room // strides[0])
        sizes.append(room)

    def operation() -> operations.Correlation:
        return operations.Correlation(
            kernel_size=kernel_size,
            max_displacement=displacement,
            pad=pad,
            stride_1=strides[0],
            stride_2=strides[1],
            single_direction=fork.integer("correlation_param.single_direction", 0, least=-1, most=1),
            do_abs=fork.flag("correlation_param.do_abs", False),
            correlation_type=fork.choice("correlation_param.correlation_type", ("MULTIPLY", "SUBTRACT")),
        )

    top = (first[0], (2 * (displacement // strides[1]) + 1) ** 2, *sizes)
    return SetUp([top], operation=layer.operation(operation))


@register_fork("FlowWarp", bottoms=exactly(2), tops=exactly(1), fork_fields=["flow_warp_param"])
def flow_warp(layer: LayerContext) -> SetUp:
    """The image moved along the flow (lmb-freiburg/flownet2, flow_warp_layer.cpp)."""
    num, _, height, width = image = layer.legacy(0)
    if shapes_differ((num, 2, height, width), layer.legacy(1)):
        layer.refuse("Flow must have 2 channels and the size of the image", image=image, flow=layer.bottoms[1])
    operation = layer.operation(
        lambda: operations.FlowWarp(
            fill_value=layer.fork.choice("flow_warp_param.fill_value", ("ZERO", "NOT_A_NUMBER"), first=1)
        )
    )
    return SetUp([image], operation=operation)


@register_fork("ChannelNorm", bottoms=exactly(1), tops=exactly(1))
def channel_norm(layer: LayerContext) -> SetUp:
    """[N, 1, H, W] (lmb-freiburg/flownet2, channel_norm_layer.cpp)."""
    num, _, height, width = layer.legacy(0)
    return SetUp([(num, 1, height, width)], operation=operations.ChannelNorm())
