"""Recurrent layers step by step."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from tests.models.reference.small import normal, tops

Array = NDArray[Any]

X = normal(4, 2, 3)
CONT = np.array([[0, 0], [1, 1], [1, 0], [1, 1]])
STATIC = normal(2, 5)
FIRST = normal(1, 2, 2, seed=5), normal(1, 2, 2, seed=6)


def lstm(blobs: list[Array], static: Array | None, hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
    """Return the outputs, the last output and the last cell."""
    outputs = np.empty((4, 2, 2))
    hidden, cell = hidden.copy(), cell.copy()
    for step, stream in np.ndindex(4, 2):
        going_on = CONT[step, stream]
        gates = blobs[0] @ X[step, stream] + blobs[1] + blobs[-1] @ (going_on * hidden[stream])
        if static is not None:
            gates = gates + blobs[2] @ static[stream]
        enter, forget, leave = (expit(gates[2 * gate : 2 * gate + 2]) for gate in range(3))
        cell[stream] = going_on * forget * cell[stream] + enter * np.tanh(gates[6:])
        hidden[stream] = outputs[step, stream] = leave * np.tanh(cell[stream])
    return outputs, hidden, cell


def weights(*shapes: tuple[int, ...]) -> list[Array]:
    return [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]


def test_lstm() -> None:
    blobs = weights((8, 3), (8,), (8, 2))
    net = 'layer { name: "r" type: "LSTM" bottom: "x" bottom: "c" top: "y" recurrent_param { num_output: 2 } }'
    named = {f"r/{index}": blob for index, blob in enumerate(blobs)}
    want, _, _ = lstm(blobs, None, np.zeros((2, 2)), np.zeros((2, 2)))
    np.testing.assert_allclose(tops(net, named, x=X, c=CONT)["y"], want)


def test_lstm_with_static_input_and_its_state() -> None:
    blobs = weights((8, 3), (8,), (8, 5), (8, 2))
    net = """layer { name: "r" type: "LSTM" bottom: "x" bottom: "c" bottom: "s" bottom: "h0" bottom: "c0"
      top: "y" top: "h1" top: "c1" recurrent_param { num_output: 2 expose_hidden: true } }"""
    named = {f"r/{index}": blob for index, blob in enumerate(blobs)}
    found = tops(net, named, x=X, c=np.maximum(CONT, 0), s=STATIC, h0=FIRST[0], c0=FIRST[1])
    want, hidden, cell = lstm(blobs, STATIC, FIRST[0][0], FIRST[1][0])
    np.testing.assert_allclose(found["y"], want)
    np.testing.assert_allclose(found["h1"], hidden[None])
    np.testing.assert_allclose(found["c1"], cell[None])


def test_a_state_that_goes_on_from_before() -> None:
    blobs = weights((8, 3), (8,), (8, 2))
    net = """layer { name: "r" type: "LSTM" bottom: "x" bottom: "c" bottom: "h0" bottom: "c0"
      top: "y" top: "h1" top: "c1" recurrent_param { num_output: 2 expose_hidden: true } }"""
    named = {f"r/{index}": blob for index, blob in enumerate(blobs)}
    ones = np.ones((4, 2))
    whole = tops(net, named, x=X, c=ones, h0=FIRST[0], c0=FIRST[1])
    one = tops(net, named, x=X[:2], c=ones[:2], h0=FIRST[0], c0=FIRST[1])
    two = tops(net, named, x=X[2:], c=ones[2:], h0=one["h1"], c0=one["c1"])
    np.testing.assert_allclose(np.concatenate([one["y"], two["y"]]), whole["y"])


@pytest.mark.parametrize("static", [False, True])
def test_rnn(static: bool) -> None:
    extra = [(2, 5)] if static else []
    blobs = weights((2, 3), (2,), *extra, (2, 2), (2, 2), (2,))
    bottoms = 'bottom: "x" bottom: "c"' + ' bottom: "s"' * static + ' bottom: "h0"'
    net = f"""layer {{ name: "r" type: "RNN" {bottoms} top: "y" top: "h1"
      recurrent_param {{ num_output: 2 expose_hidden: true }} }}"""
    inputs = {"x": X, "c": CONT, "h0": FIRST[0], **({"s": STATIC} if static else {})}
    found = tops(net, {f"r/{index}": blob for index, blob in enumerate(blobs)}, **inputs)
    hidden = FIRST[0][0].copy()
    for step, stream in np.ndindex(4, 2):
        summed = blobs[0] @ X[step, stream] + blobs[1] + blobs[-3] @ (CONT[step, stream] * hidden[stream])
        if static:
            summed = summed + blobs[2] @ STATIC[stream]
        hidden[stream] = np.tanh(summed)
        np.testing.assert_allclose(found["y"][step, stream], np.tanh(blobs[-2] @ hidden[stream] + blobs[-1]))
    np.testing.assert_allclose(found["h1"], hidden[None])


def test_one_step() -> None:
    cell, gates, going_on = normal(1, 2, 3), normal(1, 2, 12), np.array([[0, 0.5]])
    net = 'layer { name: "u" type: "LSTMUnit" bottom: "c" bottom: "g" bottom: "k" top: "c1" top: "h1" }'
    found = tops(net, c=cell, g=gates, k=going_on)
    enter, forget, leave, candidate = np.split(gates, 4, 2)
    want = going_on[..., None] * expit(forget) * cell + expit(enter) * np.tanh(candidate)
    np.testing.assert_allclose(found["c1"], want)
    np.testing.assert_allclose(found["h1"], expit(leave) * np.tanh(want))
