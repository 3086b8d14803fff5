"""LSTM and RNN, which Caffe unrolls into a net of their own, and LSTMUnit, a layer of that net.

Inline blobs do not count here: Caffe throws them away and takes those of the unrolled net. At each further timestep
the unrolled net fills the hidden weight again; in an RNN those of its output layer, too.
"""

from collections.abc import Callable, Sequence

from caffe_filler.caffe import caffe_pb2
from filler_server.net.blobs import shape_fault
from filler_server.net.dimensions import Dim, Unknown, count, differ, product, shapes_differ, text
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import recurrent as operations
from filler_server.net.registry import BlobCount, CountRule, between, exactly, register


def _bottoms(hidden: int) -> CountRule:
    def rule(layer: LayerContext) -> BlobCount:
        least = 2 + hidden * layer.parameter.recurrent_param.expose_hidden
        return between(least, least + 1)

    return rule


def _tops(hidden: int) -> CountRule:
    def rule(layer: LayerContext) -> BlobCount:
        return exactly(1 + hidden * layer.parameter.recurrent_param.expose_hidden)

    return rule


@register(
    "LSTM",
    bottoms=_bottoms(2),
    tops=_tops(2),
    refilled=1,
    roles=[("W_xc", "b_c", "W_hc"), ("W_xc", "b_c", "W_xc_static", "W_hc")],
)
def lstm(layer: LayerContext) -> SetUp:
    """[4N, K], [4N], with static input [4N, Ks], [4N, N]; the state is h and c."""
    return _recurrent(
        layer,
        operations.LSTM,
        hidden=2,
        gates=4,
        rest=lambda n, weight, bias: [LearnedBlob((4 * n, n), weight)],
    )


@register(
    "RNN",
    bottoms=_bottoms(1),
    tops=_tops(1),
    refilled=3,
    roles=[("W_xh", "b_h", "W_hh", "W_ho", "b_o"), ("W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o")],
)
def rnn(layer: LayerContext) -> SetUp:
    """[N, K], [N], with static input [N, Ks], [N, N], [N, N], [N]; the state is h."""
    return _recurrent(
        layer,
        operations.RNN,
        hidden=1,
        gates=1,
        rest=lambda n, weight, bias: [
            LearnedBlob((n, n), weight),
            LearnedBlob((n, n), weight),
            LearnedBlob((n,), bias),
        ],
    )


@register("LSTMUnit", bottoms=exactly(3), tops=exactly(2))
def lstm_unit(layer: LayerContext) -> SetUp:
    """One step: c before, gate input, continuation to c and h after."""
    state, gates, _ = layer.bottoms
    for index, (dims, axes) in enumerate(zip(layer.bottoms, (3, 3, 2), strict=True)):
        if isinstance(dims, tuple):
            layer.require(len(dims) == axes, f"bottom[{index}] must have {axes} axes", shape=dims)
            layer.require(not differ(dims[0], 1), f"bottom[{index}] must be one timestep", shape=dims)
            if isinstance(state, tuple):
                layer.require(
                    not differ(dims[1], state[1]), f"bottom[{index}] has another number of streams", shape=dims
                )
    if isinstance(state, tuple) and isinstance(gates, tuple):
        layer.require(not differ(4 * state[2], gates[2]), "the gate input must be 4 times as wide", shape=gates)
    return SetUp([state, state], operation=operations.LSTMUnit())


def _recurrent(
    layer: LayerContext,
    kind: type[operations.LSTM | operations.RNN],
    *,
    hidden: int,
    gates: int,
    rest: Callable[[int, caffe_pb2.FillerParameter, caffe_pb2.FillerParameter], Sequence[LearnedBlob]],
) -> SetUp:
    parameter = layer.parameter.recurrent_param
    num_output = parameter.num_output
    weight_filler, bias_filler = parameter.weight_filler, parameter.bias_filler
    exposed = hidden if parameter.expose_hidden else 0
    steps, streams, inputs = _input(layer)
    static = layer.bottoms[2] if len(layer.bottoms) > 2 + exposed else None
    if isinstance(static, tuple):
        layer.require(len(static) >= 1, "bottom[2] must have at least 1 axis", shape=static)
        if differ(static[0], streams):
            layer.refuse("bottom[2] has another number of streams", shape=static, streams=streams)
        layer.axis(static, 1)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    layer.require_values(product((steps, streams)), "the input")
    unrolled = (steps, streams, gates * num_output)
    if (fault := shape_fault(unrolled)) is not None:
        layer.refuse(f"{fault} in the unrolled net", shape=unrolled)
    state = (1, streams, num_output)
    first_state = 2 + (static is not None)
    for index, dims in enumerate(layer.bottoms[first_state:]):
        if exposed and shapes_differ(state, dims):
            layer.refuse(
                f"shape mismatch - recur_input_blobs_[{index}]: {text(state)} vs. bottom[{first_state + index}]",
                shape=dims,
            )
    width = gates * num_output
    blobs = [LearnedBlob((width, inputs), weight_filler), LearnedBlob((width,), bias_filler)]
    if static is not None:
        blobs.append(LearnedBlob((width, count(static, 1)), weight_filler))
    blobs += rest(num_output, weight_filler, bias_filler)
    operation = kind(num_output=num_output, static_input=static is not None, expose_hidden=bool(exposed))
    return SetUp([(steps, streams, num_output), *[state] * exposed], blobs, operation)


def _input(layer: LayerContext) -> tuple[Dim, Dim, Dim]:
    """Return timesteps, streams, and the number of values that one stream has at one step."""
    bottom, continuation = layer.bottoms[:2]
    steps: Dim
    streams: Dim
    if isinstance(bottom, Unknown):
        steps = streams = bottom
    else:
        layer.require(
            len(bottom) >= 2, "bottom[0] must have at least 2 axes -- (#timesteps, #streams, ...)", shape=bottom
        )
        steps, streams = bottom[:2]
    if isinstance(continuation, tuple):
        layer.require(
            len(continuation) == 2, "bottom[1] must have exactly 2 axes -- (#timesteps, #streams)", shape=continuation
        )
        if differ(steps, continuation[0]) or differ(streams, continuation[1]):
            layer.refuse("bottom[0] and bottom[1] differ in timesteps or streams", shape=bottom, bottom_1=continuation)
        steps = steps if isinstance(steps, int) else continuation[0]
        streams = streams if isinstance(streams, int) else continuation[1]
    if isinstance(bottom, tuple):
        layer.axis(bottom, 2)
    return steps, streams, count(bottom, 2)
