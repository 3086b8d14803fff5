from collections.abc import Callable

import pytest

from caffe_filler.errors import NetError
from filler_server.net.plan import Layer

TWO = "blobs { shape { dim: 2 } data: 1 data: 2 }"


def test_values_in_the_prototxt_stand_for_the_blob(set_up: Callable[..., Layer]) -> None:
    layer = set_up(
        'type: "InnerProduct" inner_product_param { num_output: 2 weight_filler { type: "xavier" } } '
        f"blobs {{ num: 1 channels: 1 height: 2 width: 3 data: [1, 2, 3, 4, 5, 6] }} {TWO}",
        (5, 3),
    )
    assert [blob.shape for blob in layer.blobs] == [(1, 1, 2, 3), (2,)]
    assert [list(blob.values.data) for blob in layer.blobs if blob.values is not None] == [[1, 2, 3, 4, 5, 6], [1, 2]]
    assert layer.blobs[0].filler.type == "xavier"


def test_any_old_field_makes_four_axes(set_up: Callable[..., Layer]) -> None:
    with pytest.raises(NetError, match=r"hold as many values as its shape says, 0. Received: shape=\[0, 0, 0, 3\]"):
        set_up('type: "ReLU" blobs { width: 3 shape { dim: 1 } data: 1 }', (2,))


def test_no_shape_is_a_scalar(set_up: Callable[..., Layer]) -> None:
    layer = set_up('type: "PReLU" prelu_param { channel_shared: true } blobs { double_data: 0.5 }', (2, 3))
    assert [blob.shape for blob in layer.blobs] == [()]


def test_a_layer_that_learns_nothing_keeps_what_it_is_given(set_up: Callable[..., Layer]) -> None:
    assert [blob.shape for blob in set_up(f'type: "ReLU" param {{ }} {TWO}', (3,)).blobs] == [(2,)]


def test_recurrent_layers_ignore_what_they_are_given(set_up: Callable[..., Layer]) -> None:
    layer = set_up(f'type: "LSTM" recurrent_param {{ num_output: 5 }} {TWO}', (4, 2, 3), (4, 2))
    assert [blob.shape for blob in layer.blobs] == [(20, 3), (20,), (20, 5)]
    assert all(not blob.given for blob in layer.blobs)


def test_the_bias_of_a_scale_takes_the_only_blob_given(set_up: Callable[..., Layer]) -> None:
    """The Bias layer inside a Scale is built from the same prototxt, so it finds the scale where its bias should be."""
    layer = set_up(f'type: "Scale" scale_param {{ bias_term: true }} {TWO}', (3, 2))
    assert [blob.values for blob in layer.blobs] == [layer.blobs[0].values] * 2
    layer = set_up(
        f'type: "Scale" scale_param {{ bias_term: true }} {TWO} blobs {{ shape {{ dim: 2 }} data: 3 data: 4 }}', (3, 2)
    )
    assert [list(blob.values.data) for blob in layer.blobs if blob.values is not None] == [[1, 2], [3, 4]]


def test_a_scale_given_must_fit(set_up: Callable[..., Layer]) -> None:
    with pytest.raises(NetError, match="dimension mismatch between bottom"):
        set_up(f'type: "Scale" {TWO}', (2, 3))


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (
            "shape { dim: 3 } data: 1",
            "blobs[0] must hold as many values as its shape says, 3. Received: shape=[3], data=1",
        ),
        ("shape { dim: 1 } data: 1 diff: 1 diff: 2", "data=1, diff=2"),
        ("shape { dim: 1 } data: 1 double_data: 1 double_data: 2", "data=2, diff=0"),
        ("shape { dim: -1 }", "blobs[0]: a dimension is negative"),
        ("shape { dim: 0 }", "a blob without values cannot be filled"),
        ("shape { dim: 65536 dim: 65536 }", "blobs[0]: blob size exceeds INT_MAX"),
    ],
)
def test_blobs_refused(set_up: Callable[..., Layer], blob: str, words: str) -> None:
    with pytest.raises(NetError) as caught:
        set_up(f'type: "ReLU" blobs {{ {blob} }}', (2,))
    assert words in caught.value.message
    assert caught.value.layer == "it"
