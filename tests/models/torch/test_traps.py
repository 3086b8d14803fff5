"""Layers in which PyTorch's defaults are not Caffe's, against the reference evaluator."""

from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import NetError
from tests.models.torch.running import compare, graph_of, load_net, torch

pytestmark = pytest.mark.frameworks

from filler_server.models.torch import torch_module  # noqa: E402
from filler_server.models.torch.parts import losses  # noqa: E402


def layer(kind: str, parameters: str = "", bottoms: str = "x", tops: str = "y", name: str = "l") -> str:
    read = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    made = " ".join(f'top: "{top}"' for top in tops.split())
    return f'layer {{ name: "{name}" type: "{kind}" {read} {made} {parameters} }}\n'


def given(name: str, *dims: int) -> str:
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return f'layer {{ name: "in_{name}" type: "Input" top: "{name}" input_param {{ shape {{ {shape} }} }} }}\n'


def image(kind: str, parameters: str = "", dims: tuple[int, ...] = (2, 6, 9, 7), **names: str) -> str:
    return given("x", *dims) + layer(kind, parameters, **names)


def pooling(text: str, dims: tuple[int, ...] = (2, 3, 9, 7), tops: str = "y") -> str:
    return image("Pooling", f"pooling_param {{ {text} }}", dims, tops=tops)


NETS = {
    "pooling rounds up": pooling("pool: MAX kernel_size: 2 stride: 2"),
    "pooling clips": pooling("pool: MAX kernel_size: 2 stride: 2 pad: 1"),
    "pooling clips one axis": pooling("pool: AVE kernel_size: 3 stride: 3 pad_h: 1 pad_w: 0"),
    "the divisor counts padding": pooling("pool: AVE kernel_size: 3 stride: 2 pad: 1"),
    "the divisor does not count beyond it": pooling("pool: AVE kernel_size: 4 stride: 3 pad: 2"),
    "much padding, maximum": pooling("pool: MAX kernel_size: 3 stride: 2 pad: 2"),
    "much padding, average": pooling("pool: AVE kernel_size: 3 stride: 2 pad: 2"),
    "much padding, mask": pooling("pool: MAX kernel_size: 3 stride: 1 pad: 2", tops="y mask"),
    "much padding, one axis": pooling("pool: AVE kernel_h: 2 kernel_w: 3 stride: 2 pad_h: 1 pad_w: 2"),
    "pooling rounds down": pooling("pool: AVE kernel_size: 2 stride: 2 pad: 1 round_mode: FLOOR"),
    "mask of a pooling": pooling("pool: MAX kernel_size: 3 stride: 2 pad: 1", tops="y mask"),
    "global pooling": pooling("pool: AVE global_pooling: true"),
    "mask of a global pooling": pooling("pool: MAX global_pooling: true", tops="y mask"),
    "stochastic pooling in TEST": pooling("pool: STOCHASTIC kernel_size: 3 stride: 2"),
    "a window larger than the input": pooling("pool: AVE kernel_size: 8 pad: 3 stride: 2", dims=(1, 2, 5, 4)),
    "pooling over three axes": pooling("pool: MAX kernel_size: 2 stride: 2", dims=(1, 2, 5, 4, 3)),
    "pyramid": image("SPP", "spp_param { pyramid_height: 3 }"),
    "pyramid of averages": image("SPP", "spp_param { pyramid_height: 2 pool: AVE }"),
    "pyramid of one": image("SPP", "spp_param { pyramid_height: 1 }"),
    "LRN across channels": image("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.7 k: 2 }"),
    "LRN of few channels": image("LRN", "lrn_param { local_size: 7 alpha: 0.5 }", (2, 2, 3, 3)),
    "LRN within a channel": image("LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 2 k: 5 }"),
    "BatchNorm of two axes": image("BatchNorm", dims=(4, 3)),
    "BatchNorm of three axes": image("BatchNorm", dims=(4, 3, 5)),
    "BatchNorm of five axes": image("BatchNorm", dims=(2, 3, 2, 2, 4)),
    "BatchNorm of six axes": image("BatchNorm", dims=(2, 3, 2, 2, 2, 2)),
    "BatchNorm with another eps": image("BatchNorm", "batch_norm_param { eps: 0.1 }"),
    "BatchNorm of the batch": image("BatchNorm", "batch_norm_param { use_global_stats: false }"),
    "BatchNorm of a batch of one value": image("BatchNorm", "batch_norm_param { use_global_stats: false }", (1, 3)),
    "BatchNorm and Scale of a batch of one value": image(
        "BatchNorm", "batch_norm_param { use_global_stats: false }", (1, 3, 1, 1), tops="b"
    )
    + layer("Scale", "scale_param { bias_term: true }", "b", name="s"),
    "BatchNorm and Scale": image("BatchNorm", tops="b")
    + layer("Scale", "scale_param { bias_term: true }", "b", name="s"),
    "BatchNorm and Scale in place": image("BatchNorm") + layer("Scale", "", "y", "y", name="s"),
    "BatchNorm and Scale apart": image("BatchNorm", tops="b")
    + layer("Scale", "scale_param { bias_term: true }", "b", name="s")
    + layer("ReLU", "", "b", "r", name="r"),
    "BatchNorm and Scale along another axis": image("BatchNorm", tops="b")
    + layer("Scale", "scale_param { axis: 2 }", "b", name="s"),
    "Eltwise coefficients": given("x", 2, 3)
    + given("z", 2, 3)
    + layer("Eltwise", "eltwise_param { coeff: 2 coeff: -0.5 }", "x z"),
    "Eltwise maximum of three": given("x", 2, 3)
    + given("z", 2, 3)
    + given("w", 2, 3)
    + layer("Eltwise", "eltwise_param { operation: MAX }", "x z w"),
    "Eltwise product": given("x", 2, 3)
    + given("z", 2, 3)
    + layer("Eltwise", "eltwise_param { operation: PROD }", "x z x"),
    "grouped Deconvolution": image(
        "Deconvolution", "convolution_param { num_output: 4 kernel_size: 3 group: 2 stride: 2 pad: 1 }"
    ),
    "dilated Deconvolution": image(
        "Deconvolution", "convolution_param { num_output: 4 kernel_size: 3 dilation: 2 bias_term: false }"
    ),
    "grouped and dilated Deconvolution": image(
        "Deconvolution", "convolution_param { num_output: 6 kernel_size: 2 group: 3 dilation: 3 stride: 2 }"
    ),
    "Convolution, all of it": image(
        "Convolution",
        "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 group: 2 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2 "
        "dilation: 2 dilation: 1 }",
    ),
    "Convolution over one axis": image("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", (2, 3, 9)),
    "Convolution over three axes": image(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 2 }", (2, 3, 4, 3, 5)
    ),
    "Convolution with more axes of batch": image(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 2 axis: 2 }", (2, 2, 3, 4, 5)
    ),
    "Convolution without a batch": image(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 2 axis: 0 }", (3, 4, 5)
    ),
    "Convolution of two bottoms": given("x", 2, 3, 5, 5)
    + given("z", 2, 3, 5, 5)
    + layer("Convolution", "convolution_param { num_output: 2 kernel_size: 2 }", "x z", "y w"),
    "Convolution beyond its input": image(
        "Convolution", "convolution_param { num_output: 2 kernel_h: 3 kernel_w: 2 stride: 3 }", (2, 3, 1, 7)
    ),
    "Convolution beyond its input, one axis": image(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 3 stride: 2 }", (2, 3, 2)
    ),
    "Convolution beyond its input, more axes of batch": image(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 3 stride: 2 axis: 2 }", (2, 2, 3, 2, 5)
    ),
    "Im2col beyond its input": image("Im2col", "convolution_param { kernel_size: 3 stride: 2 }", (2, 3, 2, 5)),
    "Im2col": image("Im2col", "convolution_param { kernel_size: 3 stride: 2 pad: 1 dilation: 2 }"),
    "Crop with offsets": given("x", 2, 6, 9, 7)
    + given("z", 1, 3, 4, 5)
    + layer("Crop", "crop_param { axis: 1 offset: 2 offset: 0 offset: 1 }", "x z"),
    "Crop with one offset": given("x", 2, 6, 9, 7)
    + given("z", 1, 3, 4, 5)
    + layer("Crop", "crop_param { offset: 2 }", "x z"),
    "Crop at its defaults": given("x", 2, 6, 9, 7) + given("z", 1, 3, 4, 5) + layer("Crop", "", "x z"),
    "Reshape with 0 and -1": image("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 } }"),
    "Reshape of some axes": image("Reshape", "reshape_param { shape { dim: 7 dim: 9 } axis: 2 num_axes: 2 }"),
    "Reshape that inserts": image("Reshape", "reshape_param { shape { dim: 1 dim: 1 } axis: -1 num_axes: 0 }"),
    "Reshape with axis": image(
        "Reshape", "reshape_param { shape { dim: -1 dim: 0 } axis: 1 num_axes: 3 }", (2, 6, 6, 4)
    ),
    "Flatten a range": image("Flatten", "flatten_param { axis: 1 end_axis: 2 }"),
    "Flatten all": image("Flatten", "flatten_param { axis: 0 }"),
    "Flatten from the end": image("Flatten", "flatten_param { axis: -3 end_axis: -2 }"),
    "InnerProduct": image("InnerProduct", "inner_product_param { num_output: 3 }"),
    "InnerProduct with axis": image("InnerProduct", "inner_product_param { num_output: 3 axis: -2 }"),
    "InnerProduct of all": image("InnerProduct", "inner_product_param { num_output: 3 axis: 0 }", (2, 3)),
    "InnerProduct with transpose": image(
        "InnerProduct", "inner_product_param { num_output: 3 transpose: true bias_term: false }"
    ),
    "Softmax axis": image("Softmax", "softmax_param { axis: 2 }"),
    "PReLU": image("PReLU"),
    "PReLU channel_shared": image("PReLU", "prelu_param { channel_shared: true }"),
    "PReLU of two axes": image("PReLU", dims=(2, 3)),
    "Scale with two bottoms": given("x", 2, 3, 4, 5)
    + given("z", 3, 4)
    + layer("Scale", "scale_param { axis: 1 }", "x z"),
    "Scale with two bottoms and a bias": given("x", 2, 3, 4, 5)
    + given("z", 2, 3)
    + layer("Scale", "scale_param { axis: 0 bias_term: true }", "x z"),
    "Scale by a scalar": given("x", 2, 3, 4)
    + 'layer { name: "z" type: "Input" top: "z" input_param { shape { } } }\n'
    + layer("Scale", "scale_param { axis: 0 }", "x z"),
    "Scale of inner axes": image("Scale", "scale_param { axis: 1 num_axes: 2 bias_term: true }"),
    "Scale of the last axis": image("Scale", "scale_param { axis: -1 bias_term: true }"),
    "Scale of nothing": image("Scale", "scale_param { num_axes: 0 bias_term: true }"),
    "Bias with two bottoms": given("x", 2, 3, 4, 5) + given("z", 4) + layer("Bias", "bias_param { axis: 2 }", "x z"),
    "Bias": image("Bias", "bias_param { axis: 1 num_axes: -1 }"),
    "Power of negative bases": image("Power", "power_param { power: 3 scale: -2 shift: 0.5 }"),
    "Power with a fraction": image("Power", "power_param { power: 0.5 scale: 1 shift: 0.1 }"),
    "Power without scale": image("Power", "power_param { power: 2 scale: 0 shift: 3 }"),
    "Power that is infinite": image("Power", "power_param { power: 400 scale: 0 shift: 10 }"),
    "Power of 0": image("Power", "power_param { power: 0 }"),
    "Power of 1": image("Power", "power_param { scale: 3 shift: -1 }"),
    "MVN": image("MVN", "mvn_param { eps: 0.3 }"),
    "MVN across channels": image("MVN", "mvn_param { across_channels: true eps: 0.3 }"),
    "MVN of the mean": image("MVN", "mvn_param { normalize_variance: false }"),
    "MVN of three axes": image("MVN", dims=(2, 3, 4)),
    "ReLU with a slope": image("ReLU", "relu_param { negative_slope: -2 }"),
    "ELU": image("ELU", "elu_param { alpha: 0.3 }"),
    "BNLL": image("Power", "power_param { scale: 60 }", tops="z") + layer("BNLL", "", "z", name="b"),
    "Exp": image("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    "Exp that is infinite": image("Exp", "exp_param { base: 10 shift: 400 }"),
    "Log": image("AbsVal", tops="z") + layer("Log", "log_param { base: 10 scale: 2 shift: 0.1 }", "z", name="b"),
    "Clip": image("Clip", "clip_param { min: -0.5 max: 0.25 }"),
    "Swish": image("Swish", "swish_param { beta: 2 }"),
    "Threshold": image("Threshold", "threshold_param { threshold: 0.5 }"),
    "ArgMax": image("ArgMax"),
    "ArgMax of single values": image("ArgMax", "argmax_param { out_max_val: true }", (3,)),
    "ArgMax of many": image("ArgMax", "argmax_param { top_k: 3 out_max_val: true }"),
    "ArgMax along an axis": image("ArgMax", "argmax_param { top_k: 2 axis: 1 }"),
    "ArgMax along an axis, values": image("ArgMax", "argmax_param { top_k: 2 axis: -1 out_max_val: true }"),
    "Reduction": image("Reduction", "reduction_param { operation: SUMSQ axis: 2 coeff: 0.5 }"),
    "Reduction to a scalar": image("Reduction", "reduction_param { operation: MEAN }"),
    "Reduction of the last axis": image("Reduction", "reduction_param { operation: ASUM axis: -1 }"),
    "Slice": image("Slice", "slice_param { slice_point: 1 slice_point: 4 }", tops="a b c"),
    "Slice of the batch": image("Slice", "slice_param { axis: 0 }", tops="a b"),
    "Tile": image("Tile", "tile_param { axis: 2 tiles: 3 }"),
    "Concat": image("Concat", "concat_param { axis: -1 }", bottoms="x x"),
    "Split": image("Split", tops="a b") + layer("ReLU", "", "a", "a", name="r"),
    "Silence": image("Slice", tops="a b") + layer("Silence", "", "a x", "", name="s"),
    "Parameter": 'layer { name: "p" type: "Parameter" top: "z" parameter_param { shape { dim: 2 dim: 3 } } }\n'
    + given("x", 2, 3)
    + layer("Eltwise", "", "x z"),
    "in-place layers between which others read": given("x", 2, 3, 4, 4)
    + layer("Convolution", "convolution_param { num_output: 3 kernel_size: 1 }", name="c")
    + layer("ReLU", "", "y", "y", name="r")
    + layer("Power", "power_param { scale: 2 }", "y", "y", name="p")
    + layer("TanH", "", "y", "after", name="t")
    + layer("Eltwise", "", "y after", "sum", name="e"),
    "a top that nothing reads": image("Slice", tops="a b") + layer("ReLU", "", "b", name="r"),
    "five axes": image("ReLU", dims=(1, 2, 3, 2, 2)),
    "several inputs and outputs": given("x", 2, 3)
    + given("z", 2, 3)
    + layer("Eltwise", "", "x z", "sum")
    + layer("ReLU", "", "z", "r", name="r"),
}


@pytest.mark.parametrize("name", NETS)
def test_it_computes_the_same(name: str) -> None:
    compare(NETS[name])


def test_nan_in_a_largest_value_of_three() -> None:
    values = np.array(np.meshgrid([1.0, 2.0, np.nan], [1.0, 2.0, np.nan], [1.0, 2.0, np.nan])).reshape(3, 27)
    net = given("x", 27) + given("z", 27) + given("w", 27)
    x, z, w = values
    compare(net + layer("Eltwise", "eltwise_param { operation: MAX }", "x z w"), x=x, z=z, w=w)


@pytest.mark.parametrize("operation", ["SUM", "PROD", "MAX"])
def test_more_bottoms_than_python_can_nest(operation: str) -> None:
    net = image("Power", "power_param { scale: 0.001 }", (1, 2), tops="z")
    compare(net + layer("Eltwise", f"eltwise_param {{ operation: {operation} }}", "z " * 3000, name="e"))


LABELS = {"valid": [0, 1, 2], "ignored": [0, 255, 2]}
LOSSES = {
    "SoftmaxWithLoss": ("", (3, 4)),
    "SoftmaxWithLoss with a normalization": ("loss_param { normalization: FULL ignore_label: 255 }", (3, 4)),
    "SoftmaxWithLoss of a batch": ("loss_param { normalization: BATCH_SIZE }", (3, 4)),
    "HingeLoss": ("", (3, 4)),
    "HingeLoss of squares": ("hinge_loss_param { norm: L2 }", (3, 4, 1, 1)),
    "MultinomialLogisticLoss": ("", (3, 4)),
    "Accuracy": ("accuracy_param { top_k: 2 ignore_label: 255 }", (3, 4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    parameters, dims = LOSSES[name]
    net = given("x", *dims) + given("label", 3) + layer(name.split()[0], parameters, "x label")
    labels = LABELS["ignored" if "ignore_label" in parameters else "valid"]
    x = np.abs(np.random.default_rng(3).standard_normal(dims))
    compare(net, x=x, label=np.array(labels, np.float64))


@pytest.mark.parametrize("score", [1e3, 1e6, 1e9, 1e13])
def test_a_loss_of_a_large_score_is_cut_and_has_its_gradient(score: float) -> None:
    x = torch.tensor([[0.0, score, 0.0]], requires_grad=True)
    loss = losses.softmax_with_loss(x, torch.tensor([0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(87.33655, abs=1e-5)
    assert x.grad.tolist() == [[-1, 1, 0]]


def test_what_is_at_least_a_value_is_exact() -> None:
    values = [-np.inf, -1e13, -1e6, 1e-30, 2.5, np.inf]
    x = torch.tensor(values, requires_grad=True)
    y = losses.at_least(x, 1e-20)
    y.sum().backward()
    assert y.tolist() == np.maximum(np.float32(values), np.float32(1e-20)).tolist()
    assert x.grad[1:-1].tolist() == [1] * 4
    assert losses.at_least(torch.tensor(np.nan), 1e-20).isnan()


def test_losses_of_two_values() -> None:
    net = given("x", 3, 4) + given("z", 3, 4) + given("alike", 3)
    compare(net + layer("EuclideanLoss", "", "x z"))
    compare(net + layer("SigmoidCrossEntropyLoss", "loss_param { normalization: VALID }", "x z"))
    alike = np.array([1.0, 0.0, 0.0])
    for legacy in ("true", "false"):
        parameters = f"contrastive_loss_param {{ margin: 3 legacy_version: {legacy} }}"
        compare(net + layer("ContrastiveLoss", parameters, "x z alike"), alike=alike)


def test_bottoms_of_losses_may_differ_in_axes_of_1() -> None:
    net = given("x", 3, 4) + given("z", 3, 4, 1, 1) + given("alike", 3)
    compare(net + layer("EuclideanLoss", "", "x z"))
    compare(net + layer("SigmoidCrossEntropyLoss", "", "x z"))
    compare(net + layer("ContrastiveLoss", "contrastive_loss_param { margin: 3 }", "x z alike"), alike=np.ones(3))
    compare(net + layer("SmoothL1Loss", "smooth_l1_loss_param { sigma: 2 }", "x z"))
    compare(net + given("w", 3, 4, 1, 1) + layer("SmoothL1Loss", "smooth_l1_loss_param { sigma: 2 }", "x z w w"))


def test_infogain_loss() -> None:
    net = given("x", 3, 4) + given("label", 3) + given("h", 1, 1, 4, 4) + layer("InfogainLoss", "", "x label h")
    compare(net, label=np.array([0.0, 3.0, 1.0]))


def test_indices() -> None:
    net = given("x", 3, 4) + given("index", 5) + layer("BatchReindex", "", "x index")
    compare(net, index=np.array([2.0, 0.0, 0.0, 1.0, 2.0]))
    compare(
        given("x", 2, 3) + layer("Embed", "embed_param { input_dim: 5 num_output: 4 }"),
        x=np.array([[0.0, 4.0, 1.0], [2.0, 2.0, 3.0]]),
    )
    net = given("x", 3, 4) + given("selector", 3) + layer("Filter", "", "x selector")
    for selector in ([0.0, 1.0, 1.0], [0.0, 0.0, 0.0]):
        compare(net, selector=np.array(selector))


CONT = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("exposed", [False, True])
def test_recurrent_layers(kind: str, static: bool, exposed: bool) -> None:
    states = {"LSTM": "h c", "RNN": "h"}[kind] if exposed else ""
    net = given("x", 3, 2, 4) + given("cont", 3, 2)
    net += given("s", 2, 3) if static else ""
    net += "".join(given(state, 1, 2, 5) for state in states.split())
    tops = " ".join(["y", *(f"last_{state}" for state in states.split())])
    parameters = f"recurrent_param {{ num_output: 5 expose_hidden: {str(exposed).lower()} }}"
    compare(net + layer(kind, parameters, f"x cont {'s ' if static else ''}{states}", tops), cont=CONT)


def test_the_state_of_an_lstm_goes_on_where_cont_is_1() -> None:
    net = given("x", 3, 2, 4) + given("cont", 3, 2) + layer("LSTM", "recurrent_param { num_output: 5 }", "x cont")
    module = compare(net, cont=CONT)
    x, going_on = torch.ones(3, 2, 4).double(), torch.ones(3, 2).double()
    begun = module(x, torch.cat([torch.zeros(1, 2).double(), going_on[1:]]))["y"]
    further = module(x, going_on)["y"]
    assert not torch.allclose(begun, further)
    whole = load_net(
        net.replace("dim: 3", "dim: 6", 1).replace("dim: 3 dim: 2 }", "dim: 6 dim: 2 }"), weights_of(module)
    )
    cont = torch.ones(6, 2)
    cont[0] = 0
    both = whole.double()(torch.ones(6, 2, 4).double(), cont.double())["y"]
    torch.testing.assert_close(both, torch.cat([begun, further]))


def weights_of(module: Any) -> dict[str, Any]:
    """The blobs of the LSTM of a module, which has PyTorch's order of the gates."""
    state = {name: value.float().numpy() for name, value in module.state_dict().items()}
    blobs = {"l/0": "l.weight_ih_l0", "l/1": "l.bias_ih_l0", "l/2": "l.weight_hh_l0"}
    return {
        blob: np.concatenate([np.split(state[name], 4)[gate] for gate in (0, 1, 3, 2)]) for blob, name in blobs.items()
    }


def test_lstm_unit() -> None:
    net = given("c", 1, 2, 3) + given("gates", 1, 2, 12) + given("cont", 1, 2)
    compare(net + layer("LSTMUnit", "", "c gates cont", "c2 h"), cont=np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("factor", [0.0, 1.0, 999.98])
def test_a_batch_norm_without_statistics(factor: float) -> None:
    rng = np.random.default_rng(4)
    net = image("BatchNorm", dims=(2, 3, 4, 4))
    sums = {"l/0": rng.random(3), "l/1": rng.random(3)} if factor else {"l/0": np.zeros(3), "l/1": np.zeros(3)}
    weights = {name: value.astype(np.float32) for name, value in sums.items()}
    module = compare(net, weights={**weights, "l/2": np.array([factor], np.float32)})
    if factor == 0:
        assert module.state_dict()["l.running_var"].tolist() == [0, 0, 0]


OVERRUN = pooling("pool: MAX kernel_size: 2 stride: 3", dims=(1, 1, 9, 9))


def test_a_window_beyond_the_input_is_refused() -> None:
    with pytest.raises(NetError, match=r"layer 'l' \(Pooling, line 2\): its last window lies beyond the input"):
        torch_module(graph_of(OVERRUN))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (image("Im2col", "convolution_param { kernel_size: 3 }", (1, 2, 2, 5)), "it has no windows"),
        (pooling("kernel_size: 4 stride: 3 round_mode: FLOOR", (1, 1, 6, 3)), "it has no windows"),
        (image("Im2col", "convolution_param { kernel_size: 1 }", (1, 0, 2, 2)), "its bottom has no values"),
    ],
)
def test_windows_over_nothing_are_refused(net: str, reason: str) -> None:
    with pytest.raises(NetError, match=rf"layer 'l' \(\w+, line 2\): {reason}"):
        torch_module(graph_of(net))


def test_other_sizes_are_refused_where_they_would_not_be_the_same() -> None:
    module = load_net(pooling("pool: MAX kernel_size: 2 stride: 3", dims=(1, 1, 8, 8)))
    assert module(torch.zeros(5, 1, 8, 8))["y"].shape == (5, 1, 3, 3)
    with pytest.raises(ValueError, match=r"input 'x' has the shape \(1, 1, 8, 8\).*Received: \(1, 1, 9, 9\)"):
        module(torch.zeros(1, 1, 9, 9))
    free = load_net(pooling("pool: MAX kernel_size: 3 stride: 2"))
    assert free(torch.zeros(1, 3, 20, 11))["y"].shape == (1, 3, 10, 5)
