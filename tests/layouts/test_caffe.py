"""Caffe's layout: names, legacy shapes, and what a net asks of the tensors of a file."""

from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.layouts.caffe import equals_legacy, in_net, in_order, modernized, split_name
from filler_server.tensors import ArrayTensor, Tensor, View, renamed
from tests.layouts.nets import arrays, planned, tensors

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def legacy(name: str, array: Any) -> Tensor:
    return View(ArrayTensor(name, array), name, (1,) * (4 - array.ndim) + array.shape, legacy=True)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("conv1/0", ("conv1", 0)),
        ("a/b/12", ("a/b", 12)),
        ("conv1#2/1", ("conv1#2", 1)),
        ("conv1/01", None),
        ("conv1/-1", None),
        ("conv1", None),
        ("conv1/0.weight", None),
        ("conv1/²", None),
        ("a/1234567890", None),
    ],
)
def test_names(name: str, parts: tuple[str, int] | None) -> None:
    assert split_name(name) == parts


def test_unknown_dimensions_take_any_legacy_one() -> None:
    assert equals_legacy((None, 3), (1, 1, 2, 3))
    assert not equals_legacy((None, 4), (1, 1, 2, 3))
    assert not equals_legacy((1, 1, 1, 2, 3), (1, 1, 2, 3))


MANY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 2 } }
"""


def test_legacy_shapes_become_those_of_today() -> None:
    plan = planned(MANY)
    given = [
        legacy("conv/0", np.zeros((4, 3, 3, 3), np.float32)),
        legacy("conv/1", np.zeros(4, np.float32)),
        legacy("ip/0", np.zeros((2, 196), np.float32)),
        legacy("ip/1", np.zeros(2, np.float32)),
    ]
    changed, notes = modernized(plan.layers, given)
    assert [tensor.shape for tensor in changed] == [(4, 3, 3, 3), (4,), (2, 196), (2,)]
    assert not any(tensor.legacy for tensor in changed)
    assert notes == []


def test_a_legacy_shape_that_no_type_tells_is_told() -> None:
    plan = planned('layer { name: "x" type: "SomebodysOwn" bottom: "data" top: "x" }')
    changed, notes = modernized(plan.layers, [legacy("x/0", SIX)])
    assert changed[0].shape == (1, 1, 2, 3)
    assert notes == ["'x/0' keeps the four axes of old files, [1, 1, 2, 3]: its layer's type does not tell"]


def test_the_order_of_the_net() -> None:
    plan = planned(MANY)
    given = tensors(other=[SIX], ip=[SIX, SIX], conv=[SIX, SIX])
    names = [tensor.name for tensor in in_order(plan.layers, given)]
    assert names == ["conv/0", "conv/1", "ip/0", "ip/1", "other/0"]


SHARED = """
layer {
  name: "a" type: "InnerProduct" bottom: "data" top: "a" param { name: "w" } inner_product_param { num_output: 2 }
}
layer {
  name: "b" type: "InnerProduct" bottom: "data" top: "b" param { name: "w" } inner_product_param { num_output: 2 }
}
"""
ALONE = 'layer { name: "a" type: "InnerProduct" bottom: "data" top: "a" inner_product_param { num_output: 2 } }'


def test_what_a_net_asks_for() -> None:
    plan = planned(SHARED, "dim: [1, 3]")
    given = tensors(b=[SIX, [7, 8]], a=[SIX, [9, 9]], stranger=[SIX])
    assert [tensor.name for tensor in in_net(plan.layers, given)] == ["a/0", "a/1", "b/0", "b/1", "stranger/0"]
    legacy_one = [legacy(tensor.name, tensor.array()) for tensor in given]
    assert [tensor.shape for tensor in in_net(plan.layers, legacy_one)][:4] == [(2, 3), (2,), (2, 3), (2,)]


def test_a_shared_blob_that_the_file_lacks_is_its_owners() -> None:
    plan = planned(SHARED, "dim: [1, 3]")
    given = [tensor for tensor in tensors(a=[SIX, [9, 9]], b=[SIX, [7, 8]]) if tensor.name != "b/0"]
    found = arrays(in_net(plan.layers, given))
    assert list(found) == ["a/0", "a/1", "b/0", "b/1"]
    assert found["b/0"].tolist() == SIX.tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"layer 'a' has 2 blobs in the net and 0 in the file. Received: \[\], in the net \['\[2, 3\]', '\[2\]'\]"),
        ({"a": [SIX]}, "layer 'a' has 2 blobs in the net and 1 in the file"),
        ({"a": [SIX, [1, 2], [3]]}, "layer 'a' has 2 blobs in the net and 3 in the file"),
        ({"a": [SIX, [1, 2, 3]]}, r"blob 'a/1' has the shape \[2\] in the net and \[3\] in the file"),
        (
            {"a": [SIX.ravel(), [1, 2]]},
            r"blob 'a/0' has the shape \[2, 3\] .* \[6\] in the file; reshape=True takes it",
        ),
        ({"a": [SIX.T, [1, 2]]}, r"\[3, 2\] in the file; its axes stand in another order there"),
        ({"a": [SIX.T, [1]]}, r"\(and 1 more\)"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    plan = planned(ALONE, "dim: [1, 3]")
    with pytest.raises(InvalidArgument, match=message) as caught:
        in_net(plan.layers, tensors(**given))
    assert caught.value.field == "net"


def test_blobs_are_told_by_their_indices() -> None:
    plan = planned(ALONE, "dim: [1, 3]")
    given = [renamed(tensor, name) for tensor, name in zip(tensors(a=[SIX, [1, 2]]), ["a/0", "a/2"], strict=True)]
    with pytest.raises(InvalidArgument, match="2 blobs in the net and 2 in the file, which has 'a/2' and lacks 'a/1'"):
        in_net(plan.layers, given)


def test_axes_in_another_order_are_no_reshaping() -> None:
    plan = planned(ALONE, "dim: [1, 3]")
    with pytest.raises(InvalidArgument, match="its axes stand in another order"):
        in_net(plan.layers, tensors(a=[SIX.T, [1, 2]]), reshape=True)


def test_an_inner_product_as_a_convolution() -> None:
    convolution = "convolution_param { num_output: 2 kernel_size: 3 }"
    plan = planned(f'layer {{ name: "fc" type: "Convolution" bottom: "data" top: "fc" {convolution} }}')
    given = tensors(fc=[np.zeros((2, 27)), np.zeros(2)])
    with pytest.raises(InvalidArgument, match=r"\[2, 3, 3, 3\] in the net and \[2, 27\] in the file; reshape=True"):
        in_net(plan.layers, given)
    assert [tensor.shape for tensor in in_net(plan.layers, given, reshape=True)] == [(2, 3, 3, 3), (2,)]


BN = 'layer { name: "bn" type: "BN" bottom: "data" top: "bn" bn_param { slope_filler { value: 1 } momentum: 0.9 } }'


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 3, 1, 1)])
def test_axes_of_1_do_not_count_for_vectors_of_forks(shape: tuple[int, ...]) -> None:
    plan = planned(BN)
    found = in_net(plan.layers, tensors(bn=[np.zeros(shape)] * 4))
    assert {tensor.shape for tensor in found} == {shape}
    with pytest.raises(InvalidArgument, match="in the file"):
        in_net(plan.layers, tensors(bn=[np.zeros((1, 4))] * 4))


def test_the_five_blobs_of_older_files_are_put_in_order() -> None:
    from caffe_filler.caffe.caffe_pb2 import NetParameter
    from filler_server.layouts.caffe import arranged
    from filler_server.layouts.layers import stored_layers

    three = np.arange(3, dtype=np.float32)
    net = NetParameter()
    net.layer.add(name="bn", type="BatchNorm")
    newer = tensors(bn=[three, three, [1.0], three, three])
    (layer,) = stored_layers(net, newer)
    older = tensors(bn=[three + 1, three + 2, three + 3, three + 4, np.zeros(1, np.float32)])
    found = [tensor.array().tolist() for tensor in arranged(layer, older)]
    assert found == [(three + 3).tolist(), (three + 4).tolist(), [1.0], (three + 1).tolist(), (three + 2).tolist()]
    assert arranged(layer, newer) == newer
