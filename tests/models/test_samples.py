import numpy as np
import pytest

from filler_client._models import open_model
from filler_server.models.samples import sample_inputs
from tests.models.nets import inputs


def drawn(net: str) -> dict[str, np.ndarray]:
    with open_model(net) as model:
        return sample_inputs(model.graph, np.random.default_rng(1))


def test_plain_values_are_standard_normal() -> None:
    values = drawn(inputs(x=(100, 100)) + 'layer { name: "y" type: "ReLU" bottom: "x" top: "y" }')["x"]
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05
    assert values.min() < -2


def test_the_same_seed_draws_the_same() -> None:
    net = inputs(x=(3,), y=(3,)) + 'layer { name: "z" type: "Eltwise" bottom: "x" bottom: "y" top: "z" }'
    one, two = drawn(net), drawn(net)
    assert all(np.array_equal(one[name], two[name]) for name in "xy")
    assert not np.array_equal(one["x"], one["y"])


@pytest.mark.parametrize(
    ("shapes", "layers", "most"),
    [
        ({"x": (500, 3), "n": (500,)}, 'type: "SoftmaxWithLoss" bottom: "x" bottom: "n"', 2),
        ({"x": (5, 3, 10, 10), "n": (5, 1, 10, 10)}, 'type: "Accuracy" bottom: "x" bottom: "n"', 2),
        ({"x": (500, 2, 3), "n": (500,)}, 'type: "HingeLoss" bottom: "x" bottom: "n"', 5),
        ({"a": (500, 2), "b": (500, 2), "n": (500,)}, 'type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "n"', 1),
        ({"x": (7, 3), "n": (500,)}, 'type: "BatchReindex" bottom: "x" bottom: "n"', 6),
        ({"x": (500, 3), "n": (500,)}, 'type: "Filter" bottom: "x" bottom: "n"', 1),
    ],
)
def test_labels_and_indices(shapes: dict[str, tuple[int, ...]], layers: str, most: int) -> None:
    values = drawn(inputs(**shapes) + f'layer {{ name: "y" top: "y" {layers} }}')["n"]
    assert sorted(set(values.reshape(-1).tolist())) == list(range(most + 1))


def test_an_index_that_is_arranged_first() -> None:
    net = (
        inputs(n=(50, 10))
        + """layer { name: "s" type: "Slice" bottom: "n" top: "a" top: "b" slice_param { axis: 0 } }
        layer { name: "f" type: "Flatten" bottom: "a" top: "f" flatten_param { axis: 0 } }
        layer { name: "e" type: "Embed" bottom: "f" top: "e"
          embed_param { input_dim: 4 num_output: 1 bias_term: false } blobs { shape { dim: 4 dim: 1 } data: 0 data: 0
          data: 0 data: 0 } }
        layer { name: "r" type: "ReLU" bottom: "b" top: "r" }"""
    )
    assert set(drawn(net)["n"].reshape(-1).tolist()) == {0, 1, 2, 3}


def test_targets_marks_and_regions() -> None:
    net = (
        inputs(x=(4, 3), t=(4, 3), m=(1, 6, 20, 30), rois=(200, 5), places=(1, 6, 20, 30))
        + """layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "l" }
        layer { name: "p" type: "ROIPooling" bottom: "m" bottom: "rois" top: "p"
          roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 } }
        layer { name: "u" type: "Upsample" bottom: "m" bottom: "places" top: "u" upsample_param { scale: 2 } }"""
    )
    values = drawn(net)
    assert 0 <= values["t"].min() < values["t"].max() < 1
    image, left, upper, right, lower = values["rois"].T
    assert set(image.tolist()) == {0}
    assert (left >= 0).all()
    assert (left <= right).all()
    assert (upper <= lower).all()
    assert 30 < right.max() < 60
    assert 20 < lower.max() < 40
    assert 2000 < values["places"].max() < 2400


def test_sequences_begin_with_the_first_step() -> None:
    net = inputs(x=(3, 2, 2), cont=(3, 2)) + (
        'layer { name: "r" type: "LSTM" bottom: "x" bottom: "cont" top: "r" recurrent_param { num_output: 1 } }'
    )
    weights = {"r/0": np.zeros((4, 2)), "r/1": np.zeros(4), "r/2": np.zeros((4, 1))}
    with open_model(net, weights) as model:
        values = sample_inputs(model.graph, np.random.default_rng(0))
    assert values["cont"].tolist() == [[0, 0], [1, 1], [1, 1]]
