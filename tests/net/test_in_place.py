"""Tops of one name, and tops in place of a bottom, that Caffe refuses."""

from collections.abc import Callable

import pytest

from caffe_filler.errors import NetError
from filler_server.net.plan import NetPlan

Plan = Callable[..., NetPlan]

INPUT = """
layer {
  name: "d" type: "Input" top: "x" top: "labels" top: "one"
  input_param { shape { dim: [2, 4, 6, 6] } shape { dim: [2, 6, 6] } shape { dim: [2, 1, 1, 1] } }
}
"""


@pytest.mark.parametrize("loss_weight", ["", "loss_weight: 1", "loss_weight: [1, 1]", "loss_weight: [0, 2]"])
@pytest.mark.parametrize(
    "tops", ['bottom: "x" top: "b" top: "b"', 'bottom: "x" top: "x" top: "x"', 'bottom: "x" top: "b" top: "x"']
)
def test_one_name_for_two_tops(plan: Plan, tops: str, loss_weight: str) -> None:
    with pytest.raises(NetError, match=r"layer 's': Top blob '[bx]' produced by multiple sources"):
        plan(INPUT + f'layer {{ name: "s" type: "Split" {tops} {loss_weight} }}')


def test_two_tops_of_a_layer_in_place_of_one_bottom(plan: Plan) -> None:
    with pytest.raises(NetError, match="Top blob 'x' produced by multiple sources"):
        plan(INPUT + 'layer { name: "s" type: "Eltwise" bottom: "x" bottom: "x" top: "x" top: "x" loss_weight: 1 }')


def test_absolute_values_are_not_computed_in_place(plan: Plan) -> None:
    with pytest.raises(NetError, match="AbsVal Layer does not allow in-place computation"):
        plan(INPUT + 'layer { name: "a" type: "AbsVal" bottom: "x" top: "x" }')


OTHER_SHAPE = {
    "Slice": 'bottom: "x" top: "x" top: "y"',
    "SPP": 'bottom: "x" top: "x" spp_param { pyramid_height: 2 }',
    "Accuracy": 'bottom: "x" bottom: "labels" top: "x"',
    "SoftmaxWithLoss": 'bottom: "x" bottom: "labels" top: "x"',
    "EuclideanLoss": 'bottom: "x" bottom: "x2" top: "x"',
    "HingeLoss": 'bottom: "x" bottom: "one" top: "x"',
    "SigmoidCrossEntropyLoss": 'bottom: "x" bottom: "x2" top: "x"',
    "MultinomialLogisticLoss": 'bottom: "x" bottom: "one" top: "x"',
}


@pytest.mark.parametrize("kind", OTHER_SHAPE)
def test_a_top_in_place_of_a_bottom_of_another_shape(plan: Plan, kind: str) -> None:
    copied = INPUT + 'layer { name: "p" type: "Power" bottom: "x" top: "x2" }'
    copied = copied if "x2" in OTHER_SHAPE[kind] else INPUT
    text = OTHER_SHAPE[kind]
    if "x2" in text:
        # Of two readers of x none may work in place.
        text = text.replace('bottom: "x" bottom: "x2" top: "x"', 'bottom: "x2" bottom: "x" top: "x2"')
    with pytest.raises(NetError, match=r"layer 'l': top '\w+' is a bottom, which has another shape"):
        plan(copied + f'layer {{ name: "l" type: "{kind}" {text} }}')


def test_in_place_of_the_same_shape(plan: Plan) -> None:
    layers = plan(
        INPUT
        + 'layer { name: "s" type: "Slice" bottom: "x" top: "x" }'
        + 'layer { name: "p" type: "SPP" bottom: "one" top: "one" spp_param { pyramid_height: 1 } }'
        + 'layer { name: "i" type: "InnerProduct" bottom: "x" top: "x" inner_product_param { num_output: 3 } }'
    ).layers
    assert [layer.tops[0].shape for layer in layers[1:]] == [(2, 4, 6, 6), (2, 1, 1, 1), (2, 3)]


def test_an_unknown_shape_is_given_the_benefit_of_doubt(plan: Plan) -> None:
    text = 'layer { name: "d" type: "Data" top: "x" top: "y" data_param { batch_size: 2 } }'
    assert plan(text + 'layer { name: "s" type: "Slice" bottom: "x" top: "x" top: "z" slice_param { axis: 2 } }').layers


@pytest.mark.parametrize("kind", ["nope", "Gaussian", "xavierr", ""])
def test_a_filler_of_dummy_data_that_does_not_exist(plan: Plan, kind: str) -> None:
    text = f'dummy_data_param {{ shape {{ dim: [2, 3] }} data_filler {{ type: "{kind}" }} }}'
    with pytest.raises(NetError, match=f"Unknown filler name: {kind}.*; there are constant, gaussian, .*bilinear"):
        plan(f'layer {{ name: "d" type: "DummyData" top: "x" {text} }}')
