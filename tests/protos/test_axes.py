"""The meaning of axes: numbers, layouts in words, and what is refused."""

import pickle
from typing import Any

import numpy as np
import pytest

from caffe_filler.axes import FanAxes
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2

SHAPE = (3, 5, 7, 11)


@pytest.mark.parametrize(
    ("layout", "axes", "weight", "stacks"),
    [
        ("out,in,kernel,kernel", FanAxes(1, 0), (3, 5, 7, 11), 1),
        ("out,in,...", FanAxes(1, 0), (3, 5, 7, 11), 1),
        ("OIHW", FanAxes(1, 0), (3, 5, 7, 11), 1),
        ("...,in,out", FanAxes(2, 3), (11, 7, 3, 5), 1),
        ("HWIO", FanAxes(2, 3), (11, 7, 3, 5), 1),
        ("H,W,in,out", FanAxes(2, 3), (11, 7, 3, 5), 1),
        (" H , w , IN, Out ".replace("w", "W"), FanAxes(2, 3), (11, 7, 3, 5), 1),
        ("stack,in,out,out", FanAxes(1, (2, 3), 0), (77, 5), 3),
        ("stack,...,in,out", FanAxes(2, 3, 0), (11, 7, 5), 3),
        ("in,stack,out,stack", FanAxes(0, 2, (1, 3)), (7, 3), 55),
        ("...", FanAxes(), (1, 1, 3, 5, 7, 11), 1),
        ("in,out,stack,stack,...", FanAxes(0, 1, (2, 3)), (5, 3), 77),
        ("SSIO", FanAxes(2, 3, (0, 1)), (11, 7), 15),
    ],
)
def test_layouts(layout: str, axes: FanAxes, weight: tuple[int, ...], stacks: int) -> None:
    assert FanAxes.from_layout(layout, SHAPE) == axes
    assert axes.weight_shape(SHAPE) == weight
    assert axes.stack_count(SHAPE) == stacks
    assert pickle.loads(pickle.dumps(axes)) == axes
    assert hash(axes) == hash(FanAxes(axes.inputs[::-1], axes.outputs[::-1], axes.stacks[::-1]))


def test_a_blob_without_axes() -> None:
    for layout in ("", " ", "..."):
        assert FanAxes.from_layout(layout, ()) == FanAxes()
    assert FanAxes().weight_shape(()) == (1, 1)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("in,out", "a word for each axis of the shape [3, 5, 7, 11]. Received: layout='in,out'"),
        ("in,out,kernel,kernel,kernel", "a word for each axis"),
        ("", "a word for each axis"),
        ("in,out,stack,stack,stack,...", "a word for each axis"),
        ("...,in,out,...", "'...' once at most"),
        ("in,oot,...", "(did you mean 'out'?). Received: 'oot' in layout='in,oot,...'"),
        ("in,,...", "Received: '' in"),
        ("HWIX", "Received: 'HWIX' in"),
        ("hwio", "Received: 'hwio' in"),
        ("入,out,...", "Received: '入' in"),
        (("in", "out"), "a layout is text, as in 'in,out'. Received: layout=('in', 'out')"),
    ],
)
def test_what_is_not_a_layout(layout: Any, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FanAxes.from_layout(layout, SHAPE)
    assert words in str(caught.value)
    assert caught.value.field == "axes"


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"inputs": -1}, "axes.inputs", "counted from 0. Received: inputs=[-1]"),
        ({"outputs": [0, -2]}, "axes.outputs", "Received: outputs=[0, -2]"),
        ({"inputs": [0, 0]}, "axes.inputs", "Received: axis 0 twice in inputs"),
        ({"inputs": 1, "stacks": (0, 1)}, "axes.stacks", "Received: axis 1 in inputs and in stacks"),
        ({"inputs": 1.0}, "axes.inputs", "Received: inputs=[1.0]"),
        ({"inputs": True}, "axes.inputs", "Received: inputs=[True]"),
        ({"stacks": "01"}, "axes.stacks", "Received: stacks=['0', '1']"),
        ({"stacks": None}, "axes.stacks", "Received: stacks=[None]"),
    ],
)
def test_numbers_that_are_no_axes(given: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FanAxes(**given)
    assert words in str(caught.value)
    assert caught.value.field == field


def test_numbers_of_numpy_are_numbers() -> None:
    assert FanAxes(np.int64(1), np.array([0])) == FanAxes(1, 0)


@pytest.mark.parametrize("axes", [FanAxes(4), FanAxes(0, 1, 2**40)])
def test_axes_that_a_blob_does_not_have(axes: FanAxes) -> None:
    for ask in (axes.check, axes.weight_shape, axes.stack_count):
        with pytest.raises(
            InvalidArgument, match=r"a blob of shape \[3, 5, 7, 11\] has 4 axes, counted from 0\. Received"
        ):
            ask(SHAPE)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (filler_pb2.FanAxes(inputs=[1, 2, 3], outputs=[4, 0]), "axes"),
        (filler_pb2.FanAxes(stacks=[0] * 10**6), "axes"),
        (filler_pb2.FanAxes(inputs=[4]), "axes.inputs"),
        (filler_pb2.FanAxes(outputs=[-1]), "axes.outputs"),
        (filler_pb2.FanAxes(outputs=[2**31 - 1]), "axes.outputs"),
        (filler_pb2.FanAxes(outputs=[-(2**31)]), "axes.outputs"),
        (filler_pb2.FanAxes(inputs=[0], stacks=[0]), "axes.stacks"),
    ],
)
def test_messages_that_are_no_axes_of_a_blob(message: filler_pb2.FanAxes, field: str) -> None:
    with pytest.raises(InvalidArgument, match="Received: ") as caught:
        FanAxes.from_wire(message, SHAPE)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_a_message() -> None:
    message = filler_pb2.FanAxes(inputs=[3, 1], outputs=[0])
    assert FanAxes.from_wire(message, SHAPE) == FanAxes((1, 3), 0)
