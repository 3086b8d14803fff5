"""Caffe's blobs as PyTorch's modules have them, and back."""

from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.layouts.torch import FromTorch, from_torch, has_torch_names, to_torch
from filler_server.net.plan import NetPlan
from filler_server.tensors import ArrayTensor
from tests.layouts.nets import arrays, blobs, planned, tensors
from tests.weights.files import same

RNG = np.random.default_rng(1701)


def values(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def state(net: NetPlan, **layers: Any) -> dict[str, Any]:
    return arrays(to_torch(net.layers, tensors(**layers)).tensors)


def back(net: NetPlan, found: dict[str, Any]) -> FromTorch:
    return from_torch(net.layers, [ArrayTensor(name, np.asarray(array)) for name, array in found.items()])


def blobs_of(found: FromTorch) -> dict[str, Any]:
    return arrays(tensor for layer in found.layers.values() for tensor in layer)


CONV = """
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 bias_term: false }
}
"""
IN_PLACE = (
    CONV
    + """
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""
)
APART = (
    CONV
    + """
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true } }
"""
)
BLOBS = {
    "conv": [values(4, 3, 3, 3)],
    "bn": [values(4), values(4) ** 2, np.array([999.98236], np.float32)],
    "scale": [values(4), values(4)],
}
FOLDED = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]


@pytest.mark.parametrize("net", [IN_PLACE, APART])
def test_batch_norm_and_scale_become_one(net: str) -> None:
    found = state(planned(net), **BLOBS)
    mean, variance, factor = BLOBS["bn"]
    # As batch_norm_layer.cpp: the reciprocal in float32, then a product.
    reciprocal = np.float32(1) / factor[0]
    assert list(found) == ["conv.weight", *FOLDED]
    assert same(found["bn.weight"], BLOBS["scale"][0])
    assert same(found["bn.bias"], BLOBS["scale"][1])
    assert same(found["bn.running_mean"], mean * reciprocal)
    assert same(found["bn.running_var"], variance * reciprocal)


def test_half_precision_is_divided_in_single() -> None:
    mean, variance, _ = BLOBS["bn"]
    given = [mean.astype(np.float16), variance.astype(np.float16), np.array([30_000], np.float16)]
    found = state(planned(APART), bn=given)
    want = (given[0].astype(np.float32) * (np.float32(1) / np.float32(given[2][0]))).astype(np.float16)
    assert same(found["bn.running_mean"], want)
    assert want.any()


def test_a_factor_of_0_makes_zeros() -> None:
    layout = to_torch(planned(APART).layers, tensors(bn=[values(4), values(4), np.zeros(1, np.float32)]))
    found = arrays(layout.tensors)
    assert list(found) == ["bn.running_mean", "bn.running_var"]
    assert not found["bn.running_mean"].any()
    assert not found["bn.running_var"].any()
    assert layout.notes == ("'bn' has a factor of 0, with which Caffe takes mean and variance as 0",)


def test_a_layer_without_statistics_is_as_a_new_module() -> None:
    zeros = np.zeros(4, np.float32)
    net = APART + 'layer { name: "bn_b" type: "BatchNorm" bottom: "scale" top: "bn_b" }'
    given = tensors(bn=[zeros, zeros, zeros[:1]], bn_b=[zeros, zeros, zeros[:1]])
    layout = to_torch(planned(net).layers, given)
    found = arrays(layout.tensors)
    assert not found["bn.running_mean"].any()
    assert found["bn.running_var"].tolist() == [1] * 4
    assert layout.notes == ("'bn' and 1 more: each has gathered no statistics: running_var is 1, as in a new module",)
    # What has been gathered may well be 0.
    trained = state(planned(APART), bn=[zeros, zeros, zeros[:1] + 1])
    assert not trained["bn.running_var"].any()


def test_a_scale_may_count_its_axis_from_the_end() -> None:
    net = APART.replace("{ bias_term: true }", "{ bias_term: true axis: -3 }")
    assert state(planned(net), **BLOBS).keys() == state(planned(APART), **BLOBS).keys()
    assert blobs_of(back(planned(net), state(planned(APART), **BLOBS))).keys() >= {"scale/0", "scale/1"}


def test_a_scale_without_bias_gives_zeros() -> None:
    net = planned(APART.replace(" scale_param { bias_term: true }", ""))
    found = state(net, bn=BLOBS["bn"], scale=BLOBS["scale"][:1])
    assert same(found["bn.bias"], np.zeros(4, np.float32))


SCALE = 'name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true }'


@pytest.mark.parametrize(
    ("net", "layer"),
    [
        (APART + 'layer { name: "other" type: "ReLU" bottom: "bn" top: "other" }', [values(4), values(4)]),
        (APART.replace("{ bias_term: true }", "{ bias_term: true axis: 2 }"), [values(7), values(7)]),
        (APART.replace("{ bias_term: true }", "{ bias_term: true axis: 1 num_axes: -1 }"), [values(4, 7, 7)] * 2),
        (APART.replace(SCALE, SCALE.replace('bottom: "bn"', 'bottom: "conv"')), [values(4), values(4)]),
        (APART.replace('type: "BatchNorm"', 'type: "MVN"'), [values(4), values(4)]),
    ],
    ids=["two readers", "other axis", "all axes", "of another blob", "no BatchNorm"],
)
def test_a_scale_that_does_not_belong_to_a_batch_norm_stays(net: str, layer: list[Any]) -> None:
    plan = planned(net)
    norm = {} if "MVN" in net else {"bn": BLOBS["bn"]}
    found = state(plan, conv=BLOBS["conv"], **norm, scale=layer)
    assert same(found["scale.weight"], layer[0])
    assert "bn.weight" not in found


def test_a_scale_by_a_bottom_has_a_bias_only() -> None:
    scale = "scale_param { axis: 0 bias_term: true }"
    net = f'layer {{ name: "s" type: "Scale" bottom: "data" bottom: "data" top: "s" {scale} }}'
    assert list(state(planned(net, "dim: [2, 3]"), s=[values(2, 3)])) == ["s.bias"]


def test_an_eps_of_its_own_is_told() -> None:
    assert to_torch(planned(APART).layers, tensors(**BLOBS)).notes == ()
    net = APART.replace('type: "BatchNorm"', 'type: "BatchNorm" batch_norm_param { eps: 0.001 }')
    notes = to_torch(planned(net).layers, tensors(**BLOBS)).notes
    assert notes == ("'bn' has an eps of its own: BatchNorm2d(..., eps=0.001)",)


FIVE = 'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" batch_norm_param { scale_bias: true } }'
MEAN, VARIANCE, WEIGHT, BIAS = (
    np.array(pair, np.float32) for pair in ([10, 20, 30], [4, 9, 16], [2, 3, 4], [0.5, -0.5, 0])
)


@pytest.mark.parametrize(
    ("given", "mean"),
    [
        ([MEAN, VARIANCE, [1.0], WEIGHT, BIAS], MEAN),
        ([MEAN, VARIANCE, [0.0], WEIGHT, BIAS], MEAN),
        ([MEAN * 2, VARIANCE * 2, [2.0], WEIGHT, BIAS], MEAN),
        ([WEIGHT, BIAS, MEAN, VARIANCE, [0.0]], MEAN),
        ([WEIGHT, BIAS, MEAN, VARIANCE, [1.0]], MEAN),
        ([WEIGHT, BIAS, MEAN * 2, VARIANCE * 2, [2.0]], MEAN),
        ([blob.reshape(1, 3, 1, 1) for blob in (WEIGHT, BIAS, MEAN, VARIANCE)] + [np.zeros((1, 1, 1, 1))], MEAN),
    ],
    ids=["NVIDIA", "NVIDIA, factor 0", "Intel", "0.15", "0.15, factor 1", "sums", "0.15, cuDNN"],
)
def test_batch_norm_with_five_blobs(given: list[Any], mean: Any) -> None:
    found = state(planned(FIVE), bn=[np.asarray(blob, np.float32) for blob in given])
    assert list(found) == FOLDED
    assert {name: array.tolist() for name, array in found.items()} == {
        "bn.weight": WEIGHT.tolist(),
        "bn.bias": BIAS.tolist(),
        "bn.running_mean": mean.tolist(),
        "bn.running_var": VARIANCE.tolist(),
    }


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_five_blobs_without_statistics(factor: float) -> None:
    zeros = np.zeros(3, np.float32)
    found = state(planned(FIVE), bn=[zeros, zeros, [factor], WEIGHT, BIAS])
    assert found["bn.running_var"].tolist() == [1, 1, 1]


BN = 'layer { name: "bn" type: "BN" bottom: "data" top: "bn" bn_param { slope_filler { value: 1 } momentum: 0.9 } }'
BN_OF_TWO = BN.replace("slope_filler { value: 1 } momentum: 0.9", "scale_filler { value: 1 }")


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 3, 1, 1)])
def test_bn_of_forks(shape: tuple[int, ...]) -> None:
    given = [blob.reshape(shape) for blob in (WEIGHT, BIAS, MEAN, VARIANCE)]
    found = state(planned(BN), bn=given)
    assert [(name, array.tolist()) for name, array in found.items()] == [
        ("bn.weight", WEIGHT.tolist()),
        ("bn.bias", BIAS.tolist()),
        ("bn.running_mean", MEAN.tolist()),
        ("bn.running_var", VARIANCE.tolist()),
    ]
    two = state(planned(BN_OF_TWO), bn=given[:2])
    assert {name: array.shape for name, array in two.items()} == {"bn.weight": (3,), "bn.bias": (3,)}
    again = blobs_of(back(planned(BN), found))
    assert {name: array.shape for name, array in again.items()} == {f"bn/{index}": (1, 3, 1, 1) for index in range(4)}


SIMPLE = {
    "depthwise": (
        'layer { name: "x" type: "DepthwiseConvolution" bottom: "data" top: "x" '
        "convolution_param { num_output: 3 group: 3 kernel_size: 3 } }",
        [values(3, 1, 3, 3), values(3)],
        {"x.weight": (3, 1, 3, 3), "x.bias": (3,)},
    ),
    "other depthwise": (
        'layer { name: "x" type: "ConvolutionDepthwise" bottom: "data" top: "x" '
        "convolution_param { num_output: 3 kernel_size: 3 } }",
        [values(3, 1, 3, 3), values(3)],
        {"x.weight": (3, 1, 3, 3), "x.bias": (3,)},
    ),
    "grouped deconvolution": (
        'layer { name: "x" type: "Deconvolution" bottom: "data" top: "x" '
        "convolution_param { num_output: 6 group: 3 kernel_size: 4 stride: 2 } }",
        [values(3, 2, 4, 4), values(6)],
        {"x.weight": (3, 2, 4, 4), "x.bias": (6,)},
    ),
    "normalize": (
        'layer { name: "x" type: "Normalize" bottom: "data" top: "x" norm_param { channel_shared: false } }',
        [values(3)],
        {"x.weight": (3,)},
    ),
    "prelu": ('layer { name: "x" type: "PReLU" bottom: "data" top: "x" }', [values(3)], {"x.weight": (3,)}),
    "shared prelu": (
        'layer { name: "x" type: "PReLU" bottom: "data" top: "x" prelu_param { channel_shared: true } }',
        [np.array(0.25, np.float32)],
        {"x.weight": (1,)},
    ),
    "bias": ('layer { name: "x" type: "Bias" bottom: "data" top: "x" }', [values(3)], {"x.bias": (3,)}),
    "inner product": (
        'layer { name: "x" type: "InnerProduct" bottom: "data" top: "x" inner_product_param { num_output: 2 } }',
        [values(2, 243), values(2)],
        {"x.weight": (2, 243), "x.bias": (2,)},
    ),
    "transposed inner product": (
        'layer { name: "x" type: "InnerProduct" bottom: "data" top: "x" '
        "inner_product_param { num_output: 2 transpose: true } }",
        [values(243, 2), values(2)],
        {"x.weight": (2, 243), "x.bias": (2,)},
    ),
    "volume": (
        'layer { name: "x" type: "Convolution3D" bottom: "data" top: "x" '
        "convolution3d_param { num_output: 2 kernel_size: 3 kernel_depth: 2 } }",
        [values(2, 3, 2, 3, 3), values(1, 1, 1, 1, 2)],
        {"x.weight": (2, 3, 2, 3, 3), "x.bias": (2,)},
    ),
    "unknown": (
        'layer { name: "x" type: "SomebodysOwn" bottom: "data" top: "x" }',
        [values(2, 3), values(2)],
        {"x/0": (2, 3), "x/1": (2,)},
    ),
}


@pytest.mark.parametrize("case", SIMPLE)
def test_parameters_of_modules(case: str) -> None:
    net, given, want = SIMPLE[case]
    plan = planned(net, "dim: [1, 3, 4, 9, 9]" if case == "volume" else "dim: [1, 3, 9, 9]")
    found = state(plan, x=given)
    assert {name: array.shape for name, array in found.items()} == want
    if case == "transposed inner product":
        assert same(found["x.weight"], np.ascontiguousarray(given[0].T))
    if case != "unknown":
        assert all(same(array, given[index]) for index, array in enumerate(blobs_of(back(plan, found)).values()))


@pytest.mark.parametrize("case", ["inner product", "transposed inner product"])
def test_a_matrix_of_four_axes_becomes_one_of_two(case: str) -> None:
    net, (weight, bias), want = SIMPLE[case]
    found = state(planned(net, "dim: [1, 3, 9, 9]"), x=[weight[None, None], bias[None, None, None]])
    assert {name: array.shape for name, array in found.items()} == want
    assert same(found["x.weight"], np.ascontiguousarray(weight.T if case.startswith("transposed") else weight))


def test_an_embed_with_a_bias_is_told() -> None:
    net = 'layer { name: "x" type: "Embed" bottom: "data" top: "x" embed_param { input_dim: 5 num_output: 2 } }'
    layout = to_torch(planned(net, "dim: [4]").layers, tensors(x=[values(5, 2), values(2)]))
    assert [tensor.name for tensor in layout.tensors] == ["x.weight", "x.bias"]
    assert layout.notes == ("'x' is an Embed with a bias, for which torch.nn.Embedding has no place",)


RECURRENT = """
layer {{ name: "cont" type: "Input" top: "cont" input_param {{ shape {{ dim: [5, 2] }} }} }}
layer {{ name: "x" type: "{kind}" bottom: "data" bottom: "cont" {static} top: "x" recurrent_param {{ num_output: 3 }} }}
"""


def recurrent(kind: str, static: bool = False) -> NetPlan:
    further = 'layer { name: "s" type: "Input" top: "s" input_param { shape { dim: [2, 4] } } }'
    text = RECURRENT.format(kind=kind, static='bottom: "s"' if static else "")
    return planned(further + text, "dim: [5, 2, 6]")


def test_lstm_has_pytorchs_order_of_gates() -> None:
    plan = recurrent("LSTM")
    given = [values(12, 6), values(12), values(12, 3)]
    found = state(plan, x=given)
    assert list(found) == ["x.weight_ih_l0", "x.weight_hh_l0", "x.bias_ih_l0", "x.bias_hh_l0"]
    # i, f, o, g to i, f, g, o.
    rows = np.r_[0:6, 9:12, 6:9]
    assert same(found["x.weight_ih_l0"], given[0][rows])
    assert same(found["x.weight_hh_l0"], given[2][rows])
    assert same(found["x.bias_ih_l0"], given[1][rows])
    assert same(found["x.bias_hh_l0"], np.zeros(12, np.float32))
    assert all(same(array, given[index]) for index, array in enumerate(blobs_of(back(plan, found)).values()))
    found["x.bias_hh_l0"] = values(12)
    want = (found["x.bias_ih_l0"] + found["x.bias_hh_l0"])[rows]
    assert same(blobs_of(back(plan, found))["x/1"], want)


def test_rnn_keeps_its_output_layer() -> None:
    plan = recurrent("RNN")
    given = [values(3, 6), values(3), values(3, 3), values(3, 3), values(3)]
    layout = to_torch(plan.layers, tensors(x=given))
    found = arrays(layout.tensors)
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ho_l0", "bias_ho_l0"]
    assert list(found) == [f"x.{name}" for name in names]
    assert same(found["x.weight_ho_l0"], given[3])
    assert layout.notes == ("'x' is an RNN whose output layer torch.nn.RNN lacks: tanh(weight_ho_l0 h + bias_ho_l0)",)
    assert all(same(array, given[index]) for index, array in enumerate(blobs_of(back(plan, found)).values()))


@pytest.mark.parametrize(
    ("kind", "blobs_of_layer", "order"), [("LSTM", 4, "in the order i, f, o, g"), ("RNN", 6, "W_xh")]
)
def test_a_static_input_is_refused(kind: str, blobs_of_layer: int, order: str) -> None:
    plan = recurrent(kind, static=True)
    given = blobs(plan, RNG)
    assert len(given) == blobs_of_layer
    with pytest.raises(InvalidArgument, match=f"layer 'x' has a static input.*{order}.*Received: names=torch"):
        to_torch(plan.layers, given)


def test_the_lstm_of_forks() -> None:
    net = 'layer { name: "x" type: "Lstm" bottom: "data" top: "x" lstm_param { num_output: 3 } }'
    plan = planned(net, "dim: [5, 2, 6]")
    given = [values(12, 6), values(12, 3), values(12)]
    found = state(plan, x=given)
    assert same(found["x.weight_hh_l0"], given[1][np.r_[0:6, 9:12, 6:9]])
    assert all(same(array, given[index]) for index, array in enumerate(blobs_of(back(plan, found)).values()))


def test_what_the_net_does_not_have_stays_as_it_is() -> None:
    assert list(state(planned(APART), conv=BLOBS["conv"], stranger=[values(2)])) == ["conv.weight", "stranger/0"]


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module."])
@pytest.mark.parametrize("net", [IN_PLACE, APART])
def test_a_state_dict_becomes_blobs(net: str, prefix: str) -> None:
    plan = planned(net)
    named = {f"{prefix}{name}": array for name, array in state(plan, **BLOBS).items()}
    named[f"{prefix}bn.num_batches_tracked"] = np.array(7)
    result = back(plan, named)
    assert (result.conflicts, result.unused) == ({}, ())
    found = blobs_of(result)
    assert list(found) == ["conv/0", "bn/0", "bn/1", "bn/2", "scale/0", "scale/1"]
    assert found["bn/2"].tolist() == [1]
    assert same(found["bn/0"], named[f"{prefix}bn.running_mean"])
    assert same(found["scale/1"], BLOBS["scale"][1])
    assert result.origins["conv/0"] == f"{prefix}conv.weight"


def test_a_scale_under_its_own_name() -> None:
    plan = planned(APART)
    named = state(plan, **BLOBS)
    named["scale.weight"], named["scale.bias"] = named.pop("bn.weight"), named.pop("bn.bias")
    assert same(blobs_of(back(plan, named))["scale/0"], BLOBS["scale"][0])


def test_weight_and_bias_that_change_nothing_need_no_place() -> None:
    plan = planned(CONV + 'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }')
    named = {"bn.running_mean": values(4), "bn.running_var": values(4), "bn.weight": np.ones(4), "bn.bias": np.zeros(4)}
    assert list(blobs_of(back(plan, named))) == ["bn/0", "bn/1", "bn/2"]
    result = back(plan, {**named, "bn.bias": values(4)})
    assert result.conflicts == {"bn": "'bn.bias' has no place in layer 'bn', which would need a Scale after it"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bn.running_var": None}, "the file has 'bn.running_mean', but not 'bn.running_var'"),
        ({"bn.running_mean": None, "bn.running_var": None}, "the file lacks 'bn.running_mean', 'bn.running_var'"),
        ({"bn.weight": None}, "'bn.bias', but not 'bn.weight'"),
        ({"bn.momentum": np.zeros(1)}, "'bn.momentum' has no place in layer 'bn'"),
    ],
)
def test_a_part_of_a_module_is_a_conflict(changes: dict[str, Any], message: str) -> None:
    plan = planned(APART)
    named = {name: array for name, array in {**state(plan, **BLOBS), **changes}.items() if array is not None}
    result = back(plan, named)
    assert list(result.layers) == ["conv"]
    assert set(result.conflicts) == {"bn", "scale"}
    assert message in result.conflicts["bn"]


def test_what_belongs_to_no_layer_is_told() -> None:
    plan = planned(APART)
    result = back(plan, {**state(plan, **BLOBS), "head.weight": values(2), "head.num_batches_tracked": np.array(1)})
    assert result.unused == ("head.weight",)
    nothing = back(plan, {"fc.weight": values(2)})
    assert (nothing.layers, nothing.unused) == ({}, ("fc.weight",))


def test_names_tell_the_layout() -> None:
    plan = planned(APART)
    assert not has_torch_names(plan.layers, tensors(conv=[values(1)]))
    assert has_torch_names(plan.layers, tensors(other=[values(1)]))
    assert has_torch_names(plan.layers, to_torch(plan.layers, tensors(**BLOBS)).tensors)


def load(module: Any, found: dict[str, Any], torch: Any) -> Any:
    module.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()}, strict=True)
    return module.eval()


def test_pytorch_computes_what_caffe_computes() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential()
    module.add_module("conv", torch.nn.Conv2d(3, 4, 3, bias=False))
    module.add_module("bn", torch.nn.BatchNorm2d(4))
    load(module, state(planned(IN_PLACE), **BLOBS), torch)
    image = values(2, 3, 9, 9)
    conv = torch.nn.functional.conv2d(torch.from_numpy(image), torch.from_numpy(BLOBS["conv"][0])).numpy()
    mean, variance, factor = (blob.reshape(-1, 1, 1) for blob in BLOBS["bn"])
    normal = (conv - mean / factor) / np.sqrt(variance / factor + 1e-5)
    weight, bias = (blob.reshape(-1, 1, 1) for blob in BLOBS["scale"])
    with torch.no_grad():
        got = module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(got, normal * weight + bias, rtol=2e-4, atol=2e-4)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_an_lstm_of_pytorch_computes_what_caffe_computes() -> None:
    torch = pytest.importorskip("torch")
    weight, bias, hidden = values(12, 6), values(12), values(12, 3)
    module = torch.nn.Sequential()
    module.add_module("x", torch.nn.LSTM(6, 3))
    load(module, state(recurrent("LSTM"), x=[weight, bias, hidden]), torch)
    x = values(5, 2, 6)
    h = c = np.zeros((2, 3), np.float32)
    want = []
    for step in x:
        # lstm_unit_layer.cpp: i, f, o, g.
        i, f, o, g = np.split(step @ weight.T + bias + h @ hidden.T, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        want.append(h)
    with torch.no_grad():
        got = module.x(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(got, np.array(want), rtol=1e-5, atol=1e-6)


def test_an_rnn_of_pytorch_computes_what_caffe_computes() -> None:
    torch = pytest.importorskip("torch")
    given = [values(3, 6), values(3), values(3, 3), values(3, 3), values(3)]
    found = state(recurrent("RNN"), x=given)
    output, output_bias = found.pop("x.weight_ho_l0"), found.pop("x.bias_ho_l0")
    module = torch.nn.Sequential()
    module.add_module("x", torch.nn.RNN(6, 3))
    load(module, found, torch)
    x = values(5, 2, 6)
    h = np.zeros((2, 3), np.float32)
    want = []
    for step in x:
        h = np.tanh(step @ given[0].T + given[1] + h @ given[2].T)
        want.append(np.tanh(h @ given[3].T + given[4]))
    with torch.no_grad():
        hidden = module.x(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(np.tanh(hidden @ output.T + output_bias), np.array(want), rtol=1e-5, atol=1e-6)


def test_caffes_own_lstm(shared: Any) -> None:
    torch = pytest.importorskip("torch")
    from filler_server.net.planner import plan_net
    from filler_server.prototxt import read_net

    folder = shared / "golden" / "forward" / "layers"
    plan = plan_net(read_net((folder / "lstm_cont_all1.prototxt").read_bytes()))
    data = np.load(folder / "lstm_cont_all1.npz")
    (layer,) = [layer for layer in plan.layers if layer.type == "LSTM"]
    given = [ArrayTensor(blob.name, data[f"param:{blob.name}"]) for blob in layer.blobs]
    found = {name.rpartition(".")[2]: array for name, array in arrays(to_torch(plan.layers, given).tensors).items()}
    x = data[layer.bottoms[0]]
    steps, streams = x.shape[:2]
    module = torch.nn.LSTM(int(np.prod(x.shape[2:])), found["weight_hh_l0"].shape[1])
    load(module, found, torch)
    with torch.no_grad():
        got = module(torch.from_numpy(x.reshape(steps, streams, -1)))[0].numpy()
    np.testing.assert_allclose(got, data[f"top:{layer.tops[0].name}"], rtol=1e-4, atol=1e-5)
