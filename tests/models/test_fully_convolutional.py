"""Inner products as convolutions."""

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, NetError
from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc1" type: "InnerProduct" bottom: "pool" top: "fc1" inner_product_param { num_output: 6 } }
layer { name: "relu" type: "ReLU" bottom: "fc1" top: "fc1" }
layer { name: "drop" type: "Dropout" bottom: "fc1" top: "fc1" }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
  inner_product_param { num_output: 5 bias_term: false } }
layer { name: "both" type: "Concat" bottom: "fc1" bottom: "fc2" top: "both" }
layer { name: "fc3" type: "InnerProduct" bottom: "both" top: "fc3" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc3" top: "prob" }
"""
RNG = np.random.default_rng(5)
SHAPES = {
    "conv/0": (4, 3, 3, 3),
    "conv/1": (4,),
    "fc1/0": (6, 36),
    "fc1/1": (6,),
    "fc2/0": (5, 6),
    "fc3/0": (5, 11),
    "fc3/1": (5,),
}
WEIGHTS = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


def test_the_same_image() -> None:
    image = RNG.standard_normal((2, 3, 8, 8))
    with open_model(NET, WEIGHTS) as model, open_model(NET, WEIGHTS, fully_convolutional=True) as changed:
        want, got = (evaluate(one.graph, {"data": image})["prob"] for one in (model, changed))
        types = [node.type for node in changed.graph.nodes]
    assert types == [
        "Convolution",
        "Pooling",
        "Convolution",
        "ReLU",
        "Dropout",
        "Convolution",
        "Concat",
        "Convolution",
        "Softmax",
    ]
    assert got.shape == (2, 5, 1, 1)
    np.testing.assert_allclose(got[:, :, 0, 0], want)


def test_a_larger_image_is_seen_part_by_part() -> None:
    image = RNG.standard_normal((1, 3, 12, 14))
    with (
        open_model(NET, WEIGHTS, inputs={"data": (1, 3, 8, 8)}) as model,
        open_model(NET, WEIGHTS, inputs={"data": (1, 3, 12, 14)}, fully_convolutional=True) as changed,
    ):
        got = evaluate(changed.graph, {"data": image})["prob"]
        assert got.shape == (1, 5, 3, 4)
        for row in range(3):
            for column in range(4):
                part = image[:, :, 2 * row : 2 * row + 8, 2 * column : 2 * column + 8]
                np.testing.assert_allclose(got[:, :, row, column], evaluate(model.graph, {"data": part})["prob"])


def test_a_net_without_inner_products_over_maps() -> None:
    net = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }\n'
    net += 'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }'
    with pytest.raises(InvalidArgument, match="no inner product over maps"), open_model(net, fully_convolutional=True):
        pass


def test_maps_of_which_nobody_can_tell_how_large_they_were() -> None:
    weights = {**WEIGHTS, "fc1/0": np.zeros((6, 4 * 6), np.float32)}
    with (
        pytest.raises(
            NetError, match=r"how large its maps were in training: they are 2x4x3x3 now.*144 values for 6 outputs"
        ),
        open_model(NET, weights, fully_convolutional=True),
    ):
        pass


HEAD = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
"""
HEAD_WEIGHTS = {
    name: RNG.standard_normal(shape).astype(np.float32)
    for name, shape in {"conv/0": (3, 2, 3, 3), "conv/1": (3,), "fc/0": (5, 12), "fc/1": (5,)}.items()
}
SCALES = {"last/0": np.arange(1, 6, dtype=np.float32)}
ALONG_CHANNELS = {
    'type: "Softmax" softmax_param { axis: -1 }': {},
    'type: "Softmax"': {},
    'type: "Concat" bottom: "fc" concat_param { axis: -1 }': {},
    'type: "Scale" scale_param { axis: -1 }': SCALES,
    'type: "Scale" scale_param { num_axes: -1 }': SCALES,
    'type: "Bias" bias_param { axis: -1 }': SCALES,
    'type: "Tile" tile_param { axis: -1 tiles: 2 }': {},
    'type: "ArgMax" argmax_param { axis: -1 }': {},
    'type: "Eltwise" bottom: "fc" eltwise_param { operation: PROD }': {},
}


@pytest.mark.parametrize("last", ALONG_CHANNELS)
def test_what_follows_works_at_each_place_as_on_one_image(last: str) -> None:
    net = f'{HEAD}layer {{ name: "last" bottom: "fc" top: "last" {last} }}'
    weights = {**HEAD_WEIGHTS, **ALONG_CHANNELS[last]}
    image = RNG.standard_normal((1, 2, 6, 7))
    with (
        open_model(net, weights) as model,
        open_model(net, weights, inputs={"data": image.shape}, fully_convolutional=True) as changed,
    ):
        got = evaluate(changed.graph, {"data": image})["last"]
        for row, column in ((0, 0), (2, 3), (1, 2)):
            part = image[:, :, row : row + 4, column : column + 4]
            want = evaluate(model.graph, {"data": part})["last"]
            np.testing.assert_allclose(got[:, :, row, column], want, rtol=1e-6)


def test_the_largest_of_all_is_the_largest_at_each_place() -> None:
    net = f'{HEAD}layer {{ name: "last" type: "ArgMax" bottom: "fc" top: "last" }}'
    image = RNG.standard_normal((1, 2, 6, 7))
    options = {"inputs": {"data": image.shape}, "tops": ["fc", "last"], "fully_convolutional": True}
    with open_model(net, HEAD_WEIGHTS, **options) as changed:
        found = evaluate(changed.graph, {"data": image})
    np.testing.assert_array_equal(found["last"][:, 0], found["fc"].argmax(1))


@pytest.mark.parametrize(
    "last",
    [
        'type: "Reduction" reduction_param { axis: 1 }',
        'type: "Flatten"',
        'type: "Reshape" reshape_param { shape { dim: 0 dim: -1 } }',
        'type: "MVN"',
        'type: "ArgMax" argmax_param { out_max_val: true }',
        'type: "Scale" scale_param { axis: 0 num_axes: 0 }',
    ],
)
def test_what_computes_something_else_of_maps_is_refused(last: str) -> None:
    net = f'{HEAD}layer {{ name: "last" bottom: "fc" top: "last" {last} }}'
    weights = {**HEAD_WEIGHTS, "last/0": np.ones((), np.float32)}
    with (
        pytest.raises(NetError, match=r"'last': .* computes something else of maps"),
        open_model(net, weights, inputs={"data": (1, 2, 6, 6)}, fully_convolutional=True),
    ):
        pass


def test_a_net_stays_in_its_own_state_with_its_own_values_and_its_forks_fields() -> None:
    values = "blobs { shape { dim: 1 dim: 4 } data: [1, 2, 3, 4] } blobs { shape { dim: 1 } data: 5 }"
    net = f"""
    state {{ stage: "deploy" }}
    layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: 1 dim: 6 dim: 6 }} }} }}
    layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
      pooling_param {{ kernel_size: 3 stride: 2 ceil_mode: false }} }}
    layer {{ name: "relu" type: "ReLU" bottom: "pool" top: "pool" include {{ stage: "deploy" }} }}
    layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {{ num_output: 1 }}
      {values} }}
    """
    image = RNG.standard_normal((1, 1, 6, 6)) - 2
    with open_model(net) as model, open_model(net, fully_convolutional=True) as changed:
        want, got = (evaluate(one.graph, {"data": image})["fc"] for one in (model, changed))
    assert got.shape == (1, 1, 1, 1)
    np.testing.assert_allclose(got[:, :, 0, 0], want)
