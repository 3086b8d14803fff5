"""Layers of forks that arrange values anew."""

from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ, known, shapes_differ
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import arrangement as operations
from filler_server.net.registry import at_least, between, exactly, register_fork


@register_fork("Permute", bottoms=exactly(1), tops=exactly(1), fork_fields=["permute_param"])
def permute(layer: LayerContext) -> SetUp:
    """The axes in the order given, those not named after them (weiliu89/caffe, permute_layer.cpp)."""
    order = layer.fork.integers("permute_param.order")
    layer.require(len(set(order)) == len(order), "there are duplicate orders", order=list(order))
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operations.Permute(order=order))
    layer.require(
        max(order, default=-1) < len(bottom),
        "order should be less than the input dimension",
        order=list(order),
        shape=bottom,
    )
    order += tuple(axis for axis in range(len(bottom)) if axis not in order)
    return SetUp([tuple(bottom[axis] for axis in order)], operation=operations.Permute(order=order))


@register_fork("Transpose", bottoms=exactly(1), tops=exactly(1), fork_fields=["transpose_param"])
def transpose(layer: LayerContext) -> SetUp:
    """The axes in the order given, each of them named (tianzhi0549/CTPN, transpose_layer.cpp)."""
    order = layer.fork.integers("transpose_param.dim")
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operations.Permute(order=order))
    layer.require(
        sorted(order) == list(range(len(bottom))),
        "dim must name every axis of the bottom once",
        dim=list(order),
        shape=bottom,
    )
    return SetUp([tuple(bottom[axis] for axis in order)], operation=operations.Permute(order=order))


@register_fork("ShuffleChannel", bottoms=exactly(1), tops=exactly(1), fork_fields=["shuffle_channel_param"])
def shuffle_channel(layer: LayerContext) -> SetUp:
    """The shape of the bottom, whose channels are reordered (farmingyard/ShuffleNet, shuffle_channel_layer.cpp)."""
    group = layer.fork.integer("shuffle_channel_param.group", 1)
    layer.require(group > 0, "group must be greater than 0", group=group)
    channels = layer.legacy(0)[1]
    if isinstance(channels, int):
        layer.require(
            channels % group == 0, "Number of channels should be multiples of group", channels=channels, group=group
        )
    return SetUp([layer.bottoms[0]], operation=operations.ShuffleChannel(group=group))


@register_fork("Reverse", bottoms=exactly(1), tops=exactly(1), fork_fields=["reverse_param"])
def reverse(layer: LayerContext) -> SetUp:
    """The shape of the bottom (tianzhi0549/CTPN, reverse_layer.cpp)."""
    bottom = layer.bottoms[0]

    def operation() -> operations.Reverse:
        axis = layer.fork.integer("reverse_param.axis", 0, least=-(1 << 31), most=(1 << 31) - 1)
        return operations.Reverse(axis=layer.axis(bottom, axis) if isinstance(bottom, tuple) else axis)

    return SetUp([bottom], operation=layer.operation(operation))


@register_fork("Flip", bottoms=exactly(1), tops=exactly(1), fork_fields=["flip_param"])
def flip(layer: LayerContext) -> SetUp:
    """The shape of the bottom (happynear/caffe-windows, flip_layer.cpp)."""
    operation = layer.operation(
        lambda: operations.Flip(
            width=layer.fork.flag("flip_param.flip_width", True),
            height=layer.fork.flag("flip_param.flip_height", False),
        )
    )
    return SetUp([layer.bottoms[0]], operation=operation)


@register_fork("RBMReturn", bottoms=exactly(2), tops=exactly(0))
def rbm_return(layer: LayerContext) -> SetUp:
    """No top: it writes the first bottom over the second (szymonzareba/perturb_and_map_caffe, rbm_return_layer.cpp)."""
    return SetUp([], operation=layer.custom())


@register_fork("Gather", bottoms=at_least(1), tops=at_least(1), one_top_per_bottom=True)
@register_fork("Scatter", bottoms=at_least(1), tops=at_least(1), one_top_per_bottom=True)
def gather(layer: LayerContext) -> SetUp:
    """The bottoms: one process has nothing to gather (yjxiong/caffe, gather_layer.cpp, scatter_layer.cpp)."""
    return SetUp(list(layer.bottoms), operation=operations.Identity())


@register_fork("Axpy", bottoms=exactly(3), tops=exactly(1))
def axpy(layer: LayerContext) -> SetUp:
    """bottom[0] * bottom[1] + bottom[2], one factor for each channel (hujie-frank/SENet, axpy_layer.cpp)."""
    factors, data, summand = layer.bottoms
    if isinstance(factors, tuple) and isinstance(data, tuple):
        for axis in (0, 1):
            if differ(factors[layer.axis(factors, axis)], data[layer.axis(data, axis)]):
                layer.refuse("bottom[0] and bottom[1] must agree in axes 0 and 1", bottom_0=factors, bottom_1=data)
        if len(factors) == 4 and differ(count(factors, 2), 1):
            layer.refuse("bottom[0] must have one value for each channel", bottom_0=factors)
    if shapes_differ(data, summand):
        layer.refuse("bottom[1] and bottom[2] must have the same shape", bottom_1=data, bottom_2=summand)
    return SetUp([data if isinstance(data, tuple) else summand], operation=operations.Axpy())


@register_fork("BroadcastMul", bottoms=exactly(2), tops=exactly(1))
def broadcast_mul(layer: LayerContext) -> SetUp:
    """The shape of the bottom with more values; the other has one factor for each item and channel of it.

    Source: broadcast_mul_layer.cpp of the EfficientNets in Caffe.
    """
    first, second = layer.bottoms
    data = _of_more_values(first, second)
    if data is None:
        top = first + second if isinstance(first, Unknown) and isinstance(second, Unknown) else None
        return SetUp([top], operation=operations.BroadcastMul())
    factors = second if data is first else first
    if differ(count(data, 0, 2), count(factors)):
        layer.refuse(
            "one bottom must have one value for each item and channel of the other", bottom_0=first, bottom_1=second
        )
    return SetUp([data], operation=operations.BroadcastMul())


def _of_more_values(first: Dims | Unknown, second: Dims | Unknown) -> Dims | None:
    """Return the one of two shapes that has more values, None where that is not known.

    Of two with as many values it is the one that is not [N, C] or [N, C, 1, 1], and then the one of more axes.
    """
    counts = count(first), count(second)
    if not isinstance(first, tuple) or not isinstance(second, tuple):
        return None
    if isinstance(counts[0], int) and isinstance(counts[1], int) and counts[0] != counts[1]:
        return first if counts[0] > counts[1] else second
    tails = [shape[2:] for shape in (first, second)]
    vectors = [all(dim == 1 for dim in tail) for tail in tails]
    maps = [any(isinstance(dim, int) and dim != 1 for dim in tail) for tail in tails]
    if vectors[1] and (maps[0] or len(first) > len(second)):
        return first
    if vectors[0] and (maps[1] or len(second) > len(first)):
        return second
    return second if counts[0] == counts[1] and isinstance(counts[0], int) else None


@register_fork("SpatialTransformer", bottoms=exactly(2), tops=exactly(1), fork_fields=["st_param"])
def spatial_transformer(layer: LayerContext) -> SetUp:
    """The first bottom over another grid, output_H x output_W if given (cvjena/caffe_pp2, st_layer.cpp)."""
    num, channels, height, width = layer.four_axes(0)
    sizes: list[Dim] = [
        layer.fork.integer(f"st_param.output_{side}", 0) if f"st_param.output_{side}" in layer.fork else dim
        for side, dim in (("H", height), ("W", width))
    ]
    fork = layer.fork

    def operation() -> operations.SpatialTransformer:
        fork.disregard("st_param.to_compute_dU")
        entries = [f"st_param.theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3)]
        return operations.SpatialTransformer(
            size=tuple(map(known, sizes)),
            transform_type=fork.word("st_param.transform_type", "affine"),
            sampler_type=fork.word("st_param.sampler_type", "bilinear"),
            theta=tuple(fork.number(entry, 0) if entry in fork else None for entry in entries),
        )

    return SetUp([(num, channels, *sizes)], operation=layer.operation(operation))


@register_fork("LabelSpecificAdd", bottoms=exactly(2), tops=between(1, 2))
def label_specific_add(layer: LayerContext) -> SetUp:
    """The shape of the first bottom, and one number (happynear/caffe-windows, label_specific_add.cpp)."""
    one: Dims = (1,)
    return SetUp([layer.bottoms[0], one][: layer.num_tops], operation=layer.custom())
