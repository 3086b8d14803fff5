"""Recurrent operations over bottoms [timesteps, streams, ...], from a state of 0 on."""

import numpy as np

from filler_server.models.reference.activations import logistic
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.net.operations import recurrent as operations


@computes(operations.LSTM)
def lstm(operation: operations.LSTM, layer: Layer) -> tuple[Array, ...]:
    """Return the outputs of all timesteps, and the last state."""
    inputs, state = _inputs(operation, layer, 2)
    hidden, cell = state
    (weight,) = layer.blobs[-1:]
    outputs = []
    for gates, going_on in zip(inputs, layer.bottoms[1][..., None], strict=True):
        hidden, cell = _lstm_step(gates + (going_on * hidden) @ weight.T, cell, going_on)
        outputs.append(hidden)
    return np.stack(outputs), hidden[None], cell[None]


@computes(operations.LSTMUnit)
def lstm_unit(operation: operations.LSTMUnit, layer: Layer) -> tuple[Array, ...]:
    """Return the cell and the output after one step."""
    cell, gates, going_on = layer.bottoms
    hidden, cell = _lstm_step(gates, cell, going_on[..., None])
    return cell, hidden


@computes(operations.RNN)
def rnn(operation: operations.RNN, layer: Layer) -> tuple[Array, ...]:
    """Return the outputs of all timesteps, and the last state."""
    inputs, (hidden,) = _inputs(operation, layer, 1)
    weight, output_weight, output_bias = layer.blobs[-3:]
    outputs = []
    for values, going_on in zip(inputs, layer.bottoms[1][..., None], strict=True):
        hidden = np.tanh(values + (going_on * hidden) @ weight.T)
        outputs.append(np.tanh(hidden @ output_weight.T + output_bias))
    return np.stack(outputs), hidden[None]


def _inputs(operation: operations.LSTM | operations.RNN, layer: Layer, states: int) -> tuple[Array, list[Array]]:
    """Return what the inputs give to each timestep [timesteps, streams, width], and the first state."""
    x = layer.bottom
    steps, streams = x.shape[:2]
    inputs = x.reshape(steps, streams, -1) @ layer.blobs[0].T + layer.blobs[1]
    if operation.static_input:
        inputs = inputs + layer.bottoms[2].reshape(streams, -1) @ layer.blobs[2].T
    if operation.expose_hidden:
        return inputs, [state[0] for state in layer.bottoms[-states:]]
    return inputs, [np.zeros((streams, operation.num_output), x.dtype)] * states


def _lstm_step(gates: Array, cell: Array, going_on: Array) -> tuple[Array, Array]:
    """Return output and cell after one step; gates are input, forget, output and candidate."""
    enter, forget, leave, candidate = np.split(gates, 4, -1)
    cell = going_on * logistic(forget) * cell + logistic(enter) * np.tanh(candidate)
    return logistic(leave) * np.tanh(cell), cell
