from collections.abc import Callable

import pytest

from caffe_filler.errors import NetError
from filler_server.net.plan import NetPlan

INPUT = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 dim: 4 dim: 4 } } }\n'

Plan = Callable[..., NetPlan]


def test_an_unknown_bottom_names_the_nearest(plan: Plan) -> None:
    with pytest.raises(NetError) as caught:
        plan(INPUT + 'layer { name: "relu" type: "ReLU" bottom: "dota" top: "relu" }')
    assert str(caught.value) == (
        "line 2, layer 'relu': Unknown bottom blob 'dota' (layer 'relu', bottom index 0) (did you mean 'data'?): "
        "inputs={'dota': (D, D, ..)} makes it an input of the net. Received: bottom='dota'"
    )


def test_a_bottom_must_be_produced_before(plan: Plan) -> None:
    with pytest.raises(NetError, match="Unknown bottom blob 'late'"):
        plan(
            'layer { name: "relu" type: "ReLU" bottom: "late" top: "relu" }'
            'layer { name: "in" type: "Input" top: "late" }'
        )


def test_in_place_layers_chain(plan: Plan) -> None:
    net = plan(
        INPUT
        + """
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
        layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
        layer { name: "drop" type: "Dropout" bottom: "ip" top: "ip" }
        layer { name: "a" type: "ReLU" bottom: "ip" top: "a" }
        layer { name: "b" type: "ReLU" bottom: "ip" top: "b" }
        """
    )
    assert [layer.tops[0].shape for layer in net.layers[1:]] == [(2, 3)] * 5


def test_in_place_layers_that_reshape_change_the_blob(plan: Plan) -> None:
    net = plan(
        INPUT
        + """
        layer { name: "p" type: "Pooling" bottom: "data" top: "data" pooling_param { kernel_size: 2 stride: 2 } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
        """
    )
    assert net.layers[2].blobs[0].shape == (3, 24)


@pytest.mark.parametrize(
    "rest",
    [
        # another layer reads what would be changed in place
        'layer { name: "p" type: "MVN" bottom: "data" top: "p" } '
        'layer { name: "it" type: "ReLU" bottom: "data" top: "data" }',
        # the top stands at another place than the bottom
        'layer { name: "x" type: "Input" top: "x" } '
        'layer { name: "it" type: "Eltwise" bottom: "x" bottom: "data" top: "data" }',
        'layer { name: "it" type: "Input" top: "data" }',
        'layer { name: "it" type: "Input" top: "x" top: "x" }',
        # what is a loss is read, too
        'layer { name: "l" type: "ReLU" bottom: "data" top: "l" loss_weight: 1 } '
        'layer { name: "it" type: "ReLU" bottom: "l" top: "l" }',
    ],
)
def test_a_top_has_one_producer(plan: Plan, rest: str) -> None:
    with pytest.raises(NetError, match=r"layer 'it': Top blob '.*' produced by multiple sources"):
        plan(INPUT + rest)


@pytest.mark.parametrize("layer_type", ["Flatten", "Split"])
def test_types_that_refuse_to_work_in_place(plan: Plan, layer_type: str) -> None:
    with pytest.raises(NetError, match=f"layer 'it': {layer_type} Layer does not allow in-place computation"):
        plan(INPUT + f'layer {{ name: "it" type: "{layer_type}" bottom: "data" top: "data" }}')


def test_losses_make_up_for_tops_not_named(plan: Plan) -> None:
    net = plan(
        INPUT
        + """
        layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 dim: 96 } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "data" bottom: "label" }
        """
    )
    assert [(top.name, top.shape) for top in net.layers[2].tops] == [("(automatic)", ())]


def test_a_loss_that_is_read_leaves_its_weights_to_the_split(plan: Plan) -> None:
    """So a wrong number of weights goes unnoticed in Caffe, and a loss layer with two tops comes to have one weight."""
    assert plan(
        INPUT
        + 'layer { name: "it" type: "ReLU" bottom: "data" top: "it" loss_weight: 1 loss_weight: 1 }'
        + 'layer { name: "reader" type: "ReLU" bottom: "it" top: "reader" }'
    )
    with pytest.raises(NetError, match="layer 'it': loss_weight must be unspecified or specified once per top blob"):
        plan(
            """
            layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 dim: 6 } } }
            layer { name: "label" type: "Input" top: "y" input_param { shape { dim: 2 } } }
            layer { name: "h" type: "Input" top: "h" input_param { shape { dim: 6 dim: 6 } } }
            layer { name: "it" type: "InfogainLoss" bottom: "a" bottom: "y" bottom: "h" top: "l" top: "p"
                    loss_weight: 1 loss_weight: 0 }
            layer { name: "reader" type: "Silence" bottom: "l" }
            """
        )
