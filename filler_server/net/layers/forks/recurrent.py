"""Recurrent layers of forks and what goes with them."""

from filler_server.net.dimensions import Dim, Unknown, count, known, quotient
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import recurrent as operations
from filler_server.net.registry import between, exactly, register_fork


@register_fork(
    "Lstm",
    bottoms=between(1, 3),
    tops=exactly(1),
    fork_fields=["lstm_param"],
    roles=[("input_weight", "hidden_weight", "bias")],
)
def lstm(layer: LayerContext) -> SetUp:
    """Input weight [4H, I], hidden weight [4H, H], bias [4H]; one forget gate for all steps, no unrolled net.

    The input is [T * N, I...] and so is the output, [T * N, H] (junhyukoh/caffe-lstm, lstm_layer.cpp); with three axes
    it is [T, N, I], and the output [T, N, H] (tianzhi0549/CTPN, lstm_layer.cpp). In the V1 format num_output and the
    fillers are those of inner_product_param.
    """
    bottom, fork = layer.bottoms[0], layer.fork
    older = layer.parameter.inner_product_param
    size = fork.integer("lstm_param.num_output", older.num_output)
    layer.require(size > 0, "num_output must be positive", num_output=size)
    batch_size = fork.integer("lstm_param.batch_size", 1)
    items: tuple[Dim, ...] = ()
    inputs: Dim
    if isinstance(bottom, Unknown):
        inputs = bottom
    else:
        layer.axis(bottom, 0)
        leading = 2 if len(bottom) == 3 else 1
        items, inputs = bottom[:leading], count(bottom, leading)
        if leading == 1 and isinstance(bottom[0], int):
            layer.require(
                batch_size > 0 and bottom[0] % batch_size == 0,
                "Input size should be multiple of batch size",
                batch_size=batch_size,
                shape=bottom,
            )
    weight_filler = fork.filler("lstm_param.weight_filler", older.weight_filler)
    blobs = [
        LearnedBlob((4 * size, inputs), weight_filler),
        LearnedBlob((4 * size, size), weight_filler),
        LearnedBlob((4 * size,), fork.filler("lstm_param.bias_filler", older.bias_filler)),
    ]
    operation = layer.operation(
        lambda: operations.Lstm(
            num_output=size,
            batch_size=batch_size,
            clipping_threshold=fork.number("lstm_param.clipping_threshold", 0),
        )
    )
    return SetUp([bottom if isinstance(bottom, Unknown) else (*items, size)], layer.learned(*blobs), operation)


_SCANS = ("down_right", "down_left", "up_right", "up_left")
_GATES = ("i", "c", "o", "fx", "fy")


@register_fork(
    "LSTM_2D",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=["lstm_2d_param"],
    roles=[tuple(f"{kind}_{gate}_{scan}" for scan in _SCANS for kind in "Wb" for gate in _GATES)],
)
def lstm_2d(layer: LayerContext) -> SetUp:
    """For each of four scans five weights [N, C * patch + 2 * N], then five biases [N].

    The top is [items, 4 * N, rows, columns of patches] (stephenyan1231/caffe-public, lstm_2dlayer.cpp).
    """
    fork = layer.fork
    size = fork.integer("lstm_2d_param.num_output", 0)
    patch = [fork.integer(f"lstm_2d_param.patch_{side}", 1) for side in ("height", "width")]
    layer.require(
        size > 0 and min(patch) > 0, "num_output and the patch must be positive", num_output=size, patch=patch
    )
    num, channels, *extents = layer.four_axes(0)
    for extent, length in zip(extents, patch, strict=True):
        if isinstance(extent, int):
            layer.require(extent % length == 0, "height and width must be multiples of the patch", patch=patch)
    weight = channels * (patch[0] * patch[1]) + 2 * size
    general, bias, forget = (
        fork.filler(f"lstm_2d_param.{name}_filler") for name in ("general_weight", "general_bias", "forget_gate_bias")
    )
    blobs = [
        blob
        for _ in _SCANS
        for blob in (
            *[LearnedBlob((size, weight), general)] * 5,
            *[LearnedBlob((size,), bias)] * 3,
            *[LearnedBlob((size,), forget)] * 2,
        )
    ]
    rows = [quotient(extent, length) for extent, length in zip(extents, patch, strict=True)]
    return SetUp([(num, 4 * size, *rows)], layer.learned(*blobs), layer.custom())


@register_fork(
    "ContinuationIndicator", bottoms=between(0, 1), tops=exactly(1), fork_fields=["continuation_indicator_param"]
)
def continuation_indicator(layer: LayerContext) -> SetUp:
    """[time_step, batch]: the batch is `batch_size`, or an axis of the bottom.

    Source: intel/caffe and pull requests to BVLC/caffe, continuation_indicator_layer.cpp.
    """
    steps = layer.fork.integer("continuation_indicator_param.time_step", 0)
    layer.require(steps > 0, "The time step should be greater than 0", time_step=steps)
    batch: Dim = layer.fork.integer("continuation_indicator_param.batch_size", 0)
    if batch == 0:
        layer.require(len(layer.bottoms) == 1, "The batch size should be greater than 0", batch_size=batch)
        bottom = layer.bottoms[0]
        axis = layer.fork.integer("continuation_indicator_param.axis", 0, least=-32, most=31)
        batch = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, axis)]
    return SetUp([(steps, batch)], operation=operations.ContinuationIndicator(time_step=steps, batch=known(batch)))
