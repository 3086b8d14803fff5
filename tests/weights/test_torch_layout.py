"""Caffe's blobs as PyTorch's modules have them."""

from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter
from filler_server.weights.stored import ArrayTensor, StoredTensor
from filler_server.weights.torch_layout import TorchLayout, torch_layout
from tests.weights.files import same

RNG = np.random.default_rng(1701)


def values(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def stored(**blobs: Any) -> list[StoredTensor]:
    return [
        ArrayTensor(f"{layer}/{index}", array.shape, array.dtype, lambda array=array: array)
        for layer, arrays in blobs.items()
        for index, array in enumerate(arrays)
    ]


def layout(net: str, **blobs: Any) -> TorchLayout:
    return torch_layout(text_format.Parse(net, NetParameter()), stored(**blobs))


def arrays(found: TorchLayout) -> dict[str, Any]:
    return {tensor.name: np.ascontiguousarray(tensor.array()) for tensor in found.tensors}


IN_PLACE = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""
APART = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" }
"""
BLOBS = {
    "conv": [values(4, 3, 3, 3)],
    "bn": [values(4), values(4) ** 2, np.array([999.98236], np.float32)],
    "scale": [values(4), values(4)],
}


@pytest.mark.parametrize("net", [IN_PLACE, APART])
def test_batch_norm_and_scale_become_one(net: str) -> None:
    found = arrays(layout(net, **BLOBS))
    mean, variance, factor = BLOBS["bn"]
    # As batch_norm_layer.cpp: the reciprocal in float32, then a product.
    reciprocal = np.float32(1) / factor[0]
    assert list(found) == ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    assert same(found["bn.weight"], BLOBS["scale"][0])
    assert same(found["bn.bias"], BLOBS["scale"][1])
    assert same(found["bn.running_mean"], mean * reciprocal)
    assert same(found["bn.running_var"], variance * reciprocal)


def test_half_precision_is_divided_in_single() -> None:
    mean, variance, _ = BLOBS["bn"]
    blobs = [mean.astype(np.float16), variance.astype(np.float16), np.array([30_000], np.float16)]
    found = arrays(layout(APART, bn=blobs))
    want = (blobs[0].astype(np.float32) * (np.float32(1) / np.float32(blobs[2][0]))).astype(np.float16)
    assert same(found["bn.running_mean"], want)
    assert want.any()


def test_a_factor_of_0_makes_zeros() -> None:
    found = arrays(layout(APART, bn=[values(4), values(4), np.zeros(1, np.float32)]))
    assert list(found) == ["bn.running_mean", "bn.running_var"]
    assert not found["bn.running_mean"].any()
    assert not found["bn.running_var"].any()


def test_a_scale_without_bias_gives_zeros() -> None:
    found = arrays(layout(APART, bn=BLOBS["bn"], scale=BLOBS["scale"][:1]))
    assert same(found["bn.bias"], np.zeros(4, np.float32))


@pytest.mark.parametrize(
    "net",
    [
        APART + 'layer { name: "other" type: "ReLU" bottom: "bn" top: "other" }',
        APART.replace('name: "scale" type: "Scale"', 'name: "scale" type: "Scale" scale_param { axis: 2 }'),
        APART.replace('name: "scale" type: "Scale"', 'name: "scale" type: "Scale" scale_param { num_axes: -1 }'),
        APART.replace('bottom: "bn" top: "scale"', 'bottom: "bn" bottom: "conv" top: "scale"'),
        APART.replace('bottom: "bn" top: "scale"', 'bottom: "conv" top: "scale"'),
        APART.replace('type: "BatchNorm"', 'type: "MVN"'),
    ],
    ids=["two readers", "other axis", "all axes", "two bottoms", "of another blob", "no BatchNorm"],
)
def test_a_scale_that_does_not_belong_to_a_batch_norm_stays(net: str) -> None:
    found = arrays(layout(net, **BLOBS))
    assert same(found["scale.weight"], BLOBS["scale"][0])
    assert "bn.weight" not in found


def test_a_scale_of_another_length_stays() -> None:
    found = arrays(layout(APART, bn=BLOBS["bn"], scale=[values(1)]))
    assert list(found) == ["bn.running_mean", "bn.running_var", "scale.weight"]


def test_an_eps_of_its_own_is_told() -> None:
    assert layout(APART, **BLOBS).notes == []
    net = APART.replace('type: "BatchNorm"', 'type: "BatchNorm" batch_norm_param { eps: 0.001 }')
    assert layout(net, **BLOBS).notes == ["'bn' has an eps of its own: BatchNorm2d(..., eps=0.001)"]


def test_nvidias_batch_norm_has_its_scale_inside() -> None:
    found = arrays(layout(APART, bn=[*BLOBS["bn"], values(4), values(4)]))
    assert list(found) == ["bn.running_mean", "bn.running_var", "bn.weight", "bn.bias"]


def test_a_transposed_inner_product_is_turned() -> None:
    net = 'layer { name: "ip" type: "InnerProduct" inner_product_param { transpose: true } }'
    weight = values(3, 5)
    found = layout(net, ip=[weight, values(5)])
    assert same(arrays(found)["ip.weight"], np.ascontiguousarray(weight.T))
    assert np.concatenate(list(found.tensors[0].blocks())).tobytes() == np.ascontiguousarray(weight.T).tobytes()


def test_legacy_shapes_lose_their_leading_axes() -> None:
    net = 'layer { name: "ip" type: "InnerProduct" } layer { name: "conv" type: "Convolution" }'
    found = arrays(
        layout(net, ip=[values(1, 1, 5, 3), values(1, 1, 1, 5)], conv=[values(1, 1, 3, 3), values(1, 1, 1, 1)])
    )
    assert {name: array.shape for name, array in found.items()} == {
        "ip.weight": (5, 3),
        "ip.bias": (5,),
        "conv.weight": (1, 1, 3, 3),
        "conv.bias": (1,),
    }


def test_what_the_net_does_not_have_stays_as_it_is() -> None:
    assert list(arrays(layout(APART, conv=BLOBS["conv"], stranger=[values(2)]))) == ["conv.weight", "stranger/0"]


@pytest.mark.frameworks
def test_pytorch_computes_what_caffe_computes() -> None:
    torch = pytest.importorskip("torch")
    found = {name: torch.from_numpy(array) for name, array in arrays(layout(IN_PLACE, **BLOBS)).items()}
    module = torch.nn.Sequential()
    module.add_module("conv", torch.nn.Conv2d(3, 4, 3, bias=False))
    module.add_module("bn", torch.nn.BatchNorm2d(4))
    module.load_state_dict(found)
    image = values(2, 3, 9, 9)
    conv = torch.nn.functional.conv2d(torch.from_numpy(image), torch.from_numpy(BLOBS["conv"][0])).numpy()
    mean, variance, factor = (blob.reshape(-1, 1, 1) for blob in BLOBS["bn"])
    normal = (conv - mean / factor) / np.sqrt(variance / factor + 1e-5)
    weight, bias = (blob.reshape(-1, 1, 1) for blob in BLOBS["scale"])
    with torch.no_grad():
        got = module.eval()(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(got, normal * weight + bias, rtol=2e-4, atol=2e-4)
