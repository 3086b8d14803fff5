"""Recurrent operations, unrolled: ONNX's own know nothing of sequences that begin in the middle.

As in Caffe, the input of all steps is multiplied at once. A model keeps no state from one run to the next: where the
net does not expose it, each run begins with zeros.
"""

from collections.abc import Sequence

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import recurrent


@emits(recurrent.LSTM)
def lstm(layer: LayerNodes, operation: recurrent.LSTM, x: str, cont: str, *further: str) -> list[str]:
    """Say LSTM."""
    static, states = _further(operation.static_input, further)
    steps, width = _steps(layer, x), operation.num_output
    inputs = _inputs(layer, x, static)
    hidden_weight = layer.add("Transpose", layer.weight(len(layer.node.blobs) - 1), perm=[1, 0])
    h, c = states if operation.expose_hidden else (None, None)
    continues = _each(layer, layer.add("Unsqueeze", cont, layer.integers([2], "axes")), steps)
    outputs = []
    for gates, going in zip(_each(layer, inputs, steps), continues, strict=True):
        if h is not None:
            gates = layer.add("Add", layer.add("MatMul", layer.add("Mul", h, going), hidden_weight), gates)
        c, h = _lstm_unit(layer, c, gates, going, width)
        outputs.append(h)
    return [_sequence(layer, outputs), *(([h or "", c or ""]) if operation.expose_hidden else [])]


@emits(recurrent.RNN)
def rnn(layer: LayerNodes, operation: recurrent.RNN, x: str, cont: str, *further: str) -> list[str]:
    """Say RNN."""
    static, states = _further(operation.static_input, further)
    steps = _steps(layer, x)
    inputs = _inputs(layer, x, static)
    first = 3 if operation.static_input else 2
    hidden_weight = layer.add("Transpose", layer.weight(first), perm=[1, 0])
    h = states[0] if operation.expose_hidden else None
    continues = _each(layer, layer.add("Unsqueeze", cont, layer.integers([2], "axes")), steps)
    hidden = []
    for value, going in zip(_each(layer, inputs, steps), continues, strict=True):
        if h is not None:
            value = layer.add("Add", layer.add("MatMul", layer.add("Mul", h, going), hidden_weight), value)
        h = layer.add("Tanh", value)
        hidden.append(h)
    outputs = layer.add(
        "MatMul", _sequence(layer, hidden), layer.add("Transpose", layer.weight(first + 1), perm=[1, 0])
    )
    y = layer.add("Tanh", layer.add("Add", outputs, layer.weight(first + 2)))
    return [y, *([h or ""] if operation.expose_hidden else [])]


@emits(recurrent.LSTMUnit)
def lstm_unit(layer: LayerNodes, operation: recurrent.LSTMUnit, c: str, gates: str, cont: str) -> Sequence[str]:
    """Say LSTMUnit."""
    (width,) = layer.known(layer.shape(c)[2:3], c)
    going = layer.add("Unsqueeze", cont, layer.integers([2], "axes"))
    return _lstm_unit(layer, c, gates, going, width)


def _further(static: bool, further: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the input to all steps, if there is one, and the first state."""
    return (further[0], list(further[1:])) if static else (None, list(further))


def _steps(layer: LayerNodes, x: str) -> int:
    return layer.known(layer.shape(x)[:1], x)[0]


def _inputs(layer: LayerNodes, x: str, static: str | None) -> str:
    """Return what the input of each step gives to its gates: [timesteps, streams, gates]."""
    flat = x if len(layer.shape(x)) == 3 else layer.reshaped(x, [0, 0, layer.blob_shape(0)[1]])
    weight = layer.add("Transpose", layer.weight(0), perm=[1, 0])
    inputs = layer.add("Add", layer.add("MatMul", flat, weight), layer.weight(1))
    if static is None:
        return inputs
    constant = layer.add("Gemm", layer.add("Flatten", static, axis=1), layer.weight(2), transB=1)
    return layer.add("Add", inputs, constant)


def _each(layer: LayerNodes, sequence: str, steps: int) -> list[str]:
    """Return the parts of each step, [1, streams, ...]."""
    if steps == 1:
        return [sequence]
    return layer.add_all("Split", steps, sequence, layer.integers([1] * steps, "split"), axis=0)


def _sequence(layer: LayerNodes, parts: list[str]) -> str:
    return layer.add("Concat", *parts, axis=0)


def _lstm_unit(layer: LayerNodes, c: str | None, gates: str, going: str, width: int) -> tuple[str, str]:
    """Return c and h after one step; the gates are input, forget, output, candidate."""
    parts = layer.add_all("Split", 4, gates, layer.integers([width] * 4, "gates"), axis=2)
    let_in, forget, let_out = (layer.add("Sigmoid", part) for part in parts[:3])
    after = layer.add("Mul", let_in, layer.add("Tanh", parts[3]))
    if c is not None:
        kept = layer.add("Mul", layer.add("Mul", forget, going), c)
        after = layer.add("Add", kept, after)
    return after, layer.add("Mul", let_out, layer.add("Tanh", after))
