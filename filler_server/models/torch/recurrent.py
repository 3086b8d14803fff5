"""Recurrent operations."""

from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import Written, emits
from filler_server.net.operations import recurrent as of


@emits(of.LSTM)
def lstm(layer: Layer, operation: of.LSTM) -> Written:
    """Write LSTM as a module with the parameters of PyTorch's, whose sequences begin anew where Caffe's do."""
    return _recurrent(layer, operation, "LSTM")


@emits(of.RNN)
def rnn(layer: Layer, operation: of.RNN) -> Written:
    """Write RNN as a module with the parameters of PyTorch's and those of Caffe's output layer."""
    return _recurrent(layer, operation, "RNN")


@emits(of.LSTMUnit)
def lstm_unit(layer: Layer, operation: of.LSTMUnit) -> str:
    """Write one step of an LSTM."""
    return f"lstm_unit({', '.join(layer.bottoms)})"


def _recurrent(layer: Layer, operation: of.LSTM | of.RNN, kind: str) -> Written:
    weight = layer.state["weight_ih_l0"]
    static = layer.state["weight_static_l0"][1] if operation.static_input else None
    states = None if operation.expose_hidden else layer.extents(1)[0]
    # Caffe has one bias where PyTorch adds two.
    layer.set("bias_hh_l0.requires_grad_(False)")
    module = layer.module(kind, weight[1], operation.num_output, static=static, streams=states)
    x, cont, *others = layer.bottoms
    arguments = [x, cont]
    if operation.static_input:
        arguments.append(f"static={others.pop(0)}")
    if operation.expose_hidden:
        arguments.append(f"state=({', '.join(others)},)" if len(others) == 1 else f"state=({', '.join(others)})")
        return f"{module}({', '.join(arguments)})"
    return f"{module}({', '.join(arguments)})[0]"
