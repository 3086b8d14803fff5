"""Nets that lack an input: those that a program feeds, and those that hold several nets in one file."""

from collections.abc import Callable
from typing import Any

import pytest

from caffe_filler.caffe.caffe_pb2 import TRAIN
from caffe_filler.errors import NetError
from caffe_filler.interface import interface
from filler_server.net.plan import NetPlan

Plan = Callable[..., NetPlan]

ALL_IN_ONE = """
layer { name: "train" type: "Data" top: "scaled" top: "label" data_param { batch_size: 64 } include { stage: "train" } }
layer { name: "val" type: "Data" top: "scaled" top: "label" data_param { batch_size: 32 }
        include { stage: "val" phase: TEST } }
layer { name: "scale" type: "Power" bottom: "data" top: "scaled" include { stage: "deploy" } }
layer { name: "conv1" type: "Convolution" bottom: "scaled" top: "conv1"
        convolution_param { num_output: 20 kernel_size: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "conv1" bottom: "label" top: "loss" exclude { stage: "deploy" } }
layer { name: "softmax" type: "Softmax" bottom: "conv1" top: "softmax" include { stage: "deploy" } }
"""


def names(net: NetPlan) -> list[str]:
    return [layer.name for layer in net.layers]


def test_a_declared_bottom_that_no_layer_makes_is_an_input(plan: Plan) -> None:
    net = plan(ALL_IN_ONE, stages=["deploy"], inputs={"data": (1, 1, 28, 28)})
    assert names(net) == ["input", "scale", "conv1", "softmax"]
    assert (net.layers[0].type, net.layers[0].line) == ("Input", None)
    assert {blob.name: blob.shape for blob in net.blobs} == {"conv1/0": (20, 1, 5, 5), "conv1/1": (20,)}
    assert [net.top(value).name for value in net.inputs] == ["data"]
    assert net.warnings == ()


def test_several_are_one_layer_in_the_order_in_which_they_are_read(plan: Plan) -> None:
    net = plan(ALL_IN_ONE, inputs={"label": (2, 5, 5), "scaled": (2, 3, 9, 9)})
    assert [(top.name, top.shape) for top in net.layers[0].tops] == [("scaled", (2, 3, 9, 9)), ("label", (2, 5, 5))]
    assert next(net.blobs).shape == (20, 3, 5, 5)


def test_no_layer_loses_its_name_to_it(plan: Plan) -> None:
    text = 'layer { name: "input" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }'
    net = plan(text, inputs={"x": (1, 3)})
    assert names(net) == ["input_", "input"]
    assert next(net.blobs).name == "input/0"


def test_what_another_layer_makes_stays_its_own(plan: Plan) -> None:
    text = ALL_IN_ONE + 'layer { name: "late" type: "Input" top: "data" }'
    with pytest.raises(NetError, match="layer 'scale': Unknown bottom blob 'data'"):
        plan(text, stages=["deploy"], inputs={"data": (1, 1, 28, 28)})


def test_caffe_refuses_it_and_so_does_strict(plan: Plan) -> None:
    with pytest.raises(NetError, match=r"Unknown bottom blob 'data' \(layer 'scale', bottom index 0\)\. Received"):
        plan(ALL_IN_ONE, stages=["deploy"], inputs={"data": (1, 1, 28, 28)}, strict=True)


@pytest.mark.parametrize(
    ("options", "python", "cli"),
    [
        (
            {},
            "line 6, layer 'conv1': Unknown bottom blob 'scaled' (layer 'conv1', bottom index 0): "
            "layer 'train' (line 2) makes it with stages=['train'], or "
            "layer 'val' (line 3) makes it with phase='TEST' stages=['val'], or "
            "layer 'scale' (line 5) makes it with stages=['deploy'], or "
            "inputs={'scaled': (D, D, ..)} makes it an input of the net. Received: bottom='scaled'",
            "layer 'train' (line 2) makes it with --stage train, or "
            "layer 'val' (line 3) makes it with --phase TEST --stage val, or "
            "layer 'scale' (line 5) makes it with --stage deploy, or "
            "--input scaled=D,D,.. makes it an input of the net. Received: bottom='scaled'",
        ),
        (
            {"stages": ["deploy"]},
            "line 5, layer 'scale': Unknown bottom blob 'data' (layer 'scale', bottom index 0): "
            "inputs={'data': (D, D, ..)} makes it an input of the net. Received: bottom='data'",
            "--input data=D,D,.. makes it an input of the net. Received: bottom='data'",
        ),
        (
            {"stages": ["val"], "strict": True},
            "line 6, layer 'conv1': Unknown bottom blob 'scaled' (layer 'conv1', bottom index 0): "
            "layer 'train' (line 2) makes it with stages=['train'], or "
            "layer 'val' (line 3) makes it with phase='TEST', or "
            "layer 'scale' (line 5) makes it with stages=['deploy']. Received: bottom='scaled'",
            "layer 'val' (line 3) makes it with --phase TEST, or "
            "layer 'scale' (line 5) makes it with --stage deploy. Received: bottom='scaled'",
        ),
    ],
)
def test_the_message_names_what_would_make_it(plan: Plan, options: dict[str, Any], python: str, cli: str) -> None:
    options = {"phase": TRAIN, **options}
    with pytest.raises(NetError) as caught:
        plan(ALL_IN_ONE, **options)
    assert str(caught.value) == python
    with interface("cli"), pytest.raises(NetError) as caught:
        plan(ALL_IN_ONE, **options)
    assert str(caught.value).endswith(cli)


def test_few_of_many_layers_are_named(plan: Plan) -> None:
    layer = 'layer {{ name: "d" type: "Input" top: "x" include {{ min_level: {} }} }}'
    many = "".join(layer.format(level) for level in range(1, 99))
    with pytest.raises(NetError) as caught:
        plan(many + 'layer { name: "r" type: "ReLU" bottom: "x" top: "r" }', phase=TRAIN)
    assert str(caught.value).count(" makes it with ") == 5
