"""Small nets, one or a few layers each, for every operation and its traps: what any form of a model must get right.

They need no data from elsewhere: weights and inputs are random, and the reference evaluator tells what comes out.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from filler_client import FillerClient

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A net.

    Attributes:
        name: of the case.
        layers: the others, each `Type:name bottom,.. -> top,.. { fields }`, of which only the type is needed.
        inputs: shapes of its inputs.
        whole: for inputs of whole numbers, the number that they are below.
        given: values of inputs that are not random.
        zero: blobs that are 0 rather than random.
    """

    name: str
    layers: str
    inputs: Mapping[str, tuple[int, ...]]
    whole: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, object] = field(default_factory=dict)
    zero: tuple[str, ...] = ()

    @property
    def net(self) -> str:
        """The net as prototxt."""
        inputs = [
            f'layer {{ name: "in_{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
            f"{' '.join(f'dim: {dim}' for dim in shape)} }} }} }}"
            for name, shape in self.inputs.items()
        ]
        return "\n".join([f'name: "{self.name}"', *inputs, *map(_layer, _split(self.layers))])

    def weights(self) -> dict[str, Array]:
        """Random values of its blobs, of variances positive ones."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        found: dict[str, Array] = {}
        for layer in FillerClient.embedded().plan_net(self.net, phase="TEST").layers:
            for index, blob in enumerate(layer.blobs):
                if blob.owner is None:
                    values = np.asarray(rng.standard_normal(blob.known_shape or ()), np.float32)
                    statistics = {"BatchNorm": (1, 2), "BN": (3,)}.get(layer.type, ())
                    values = np.abs(values) + np.float32(0.5) if index in statistics else values
                    found[blob.name] = np.asarray(values * np.float32(blob.name not in self.zero))
        return found

    def values(self) -> dict[str, Array]:
        """Random values of its inputs."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()) + 1)
        found = {}
        for name, shape in self.inputs.items():
            whole = self.whole.get(name)
            values = rng.standard_normal(shape) if whole is None else rng.integers(0, whole, shape)
            found[name] = np.asarray(self.given.get(name, values), np.float32).reshape(shape)
        return found


def _split(layers: str) -> list[str]:
    return [line.strip() for line in layers.strip().splitlines() if line.strip()]


def _layer(line: str) -> str:
    head, _, rest = line.partition("{")
    bottoms, _, tops = head.partition("->")
    kind, *named = bottoms.split()
    kind, _, name = kind.partition(":")
    found = [f'bottom: "{value}"' for value in ",".join(named).split(",") if value]
    made = [value for value in tops.strip().split(",") if value]
    found += [f'top: "{value}"' for value in made]
    fields = rest.rstrip().removesuffix("}")
    return f'layer {{ name: "{name or (made or ["end"])[0]}" type: "{kind}" {" ".join(found)} {fields} }}'


_X = {"x": (2, 3, 7, 6)}
_LABELS = {"x": (3, 5), "label": (3,)}
_AXES_OF_1 = {"x": (3, 4), "z": (3, 4, 1, 1), "v": (3, 4, 1, 1), "w": (3, 4, 1)}


def _neuron(name: str, fields: str = "", inputs: Mapping[str, tuple[int, ...]] = _X) -> Case:
    kind = name.partition("_")[0]
    return Case(name, f"{kind} x -> y {{ {fields} }}", inputs)


def _pooling(name: str, fields: str, tops: str = "y", extents: tuple[int, ...] = (7, 6)) -> Case:
    return Case(f"pooling_{name}", f"Pooling x -> {tops} {{ pooling_param {{ {fields} }} }}", {"x": (2, 3, *extents)})


def _convolution(name: str, fields: str, shape: tuple[int, ...] = (2, 4, 7, 6), kind: str = "Convolution") -> Case:
    return Case(f"{kind.lower()}_{name}", f"{kind} x -> y {{ convolution_param {{ {fields} }} }}", {"x": shape})


_NEURONS = [
    *map(_neuron, ("AbsVal", "BNLL", "Dropout", "ELU", "Exp", "PReLU", "Power", "ReLU", "Sigmoid", "Softmax", "TanH")),
    _neuron("Dropout_scaled_in_test", "dropout_param { dropout_ratio: 0.7 scale_train: false }"),
    _neuron("Clip", "clip_param { min: -0.5 max: 0.75 }"),
    _neuron("ELU_alpha", "elu_param { alpha: 0.3 }"),
    _neuron("Exp_base", "exp_param { base: 2 scale: 0.5 shift: -1 }"),
    _neuron("Exp_infinite", "exp_param { base: 10 shift: 400 }"),
    _neuron("Log_base", "log_param { base: 10 scale: 0.1 shift: 5 }"),
    _neuron("PReLU_shared", "prelu_param { channel_shared: true }"),
    _neuron("PReLU_matrix", inputs={"x": (3, 4)}),
    _neuron("Power_negative_base", "power_param { power: 3 scale: 2 shift: -1 }"),
    _neuron("Power_fraction_of_negative_base", "power_param { power: 0.5 }"),
    _neuron("Power_constant", "power_param { power: 2 scale: 0 shift: -3 }"),
    _neuron("Power_infinite", "power_param { power: 400 scale: 0 shift: 10 }"),
    _neuron("Power_infinite_of_zero", "power_param { power: -1 scale: 0 shift: 0 }"),
    _neuron("Power_of_no_number", "power_param { power: 0.5 scale: 0 shift: -1 }"),
    _neuron("Power_zero", "power_param { power: 0 scale: 2 }"),
    _neuron("ReLU_slope", "relu_param { negative_slope: 0.1 }"),
    _neuron("ReLU_steep", "relu_param { negative_slope: 1.5 }"),
    _neuron("ReLU6"),
    _neuron("ReLU6_slope", "relu6_param { negative_slope: 0.2 }"),
    _neuron("Softmax_axis", "softmax_param { axis: 2 }"),
    _neuron("Softmax_last", "softmax_param { axis: -1 }", {"x": (2, 3, 4, 5, 2)}),
    _neuron("Swish", "swish_param { beta: 0.7 }"),
    _neuron("Threshold", "threshold_param { threshold: 0.25 }"),
    _neuron("Noise", "noise_param { gaussian_std: 1 }"),
    _neuron("Insanity", "insanity_param { lb: 4 ub: 9 }"),
    _neuron("NegReLU", "relu_param { negative_slope: 0.3 }"),
    _neuron("SignedPower", "power_param { power: 0.5 scale: 2 shift: 0.5 }"),
    _neuron("SignedSqrt"),
]

_ARRANGEMENTS = [
    Case("axpy", "Axpy a,x,z -> y {}", {"a": (2, 3, 1, 1), "x": (2, 3, 4, 5), "z": (2, 3, 4, 5)}),
    Case("axpy_matrix", "Axpy a,x,z -> y {}", {"a": (2, 3), "x": (2, 3, 4, 5), "z": (2, 3, 4, 5)}),
    Case("concat", "Concat x,z -> y { concat_param { axis: -2 } }", {"x": (2, 3, 4), "z": (2, 5, 4)}),
    Case("concat_of_one", "Concat x -> y {}", _X),
    Case(
        "crop_offsets",
        "Crop x,z -> y { crop_param { axis: 1 offset: 0 offset: 1 offset: 2 } }",
        {**_X, "z": (2, 2, 4, 3)},
    ),
    Case("crop_one_offset", "Crop x,z -> y { crop_param { axis: 2 offset: 1 } }", {**_X, "z": (9, 9, 5, 5)}),
    Case("crop_nothing", "Crop x,z -> y {}", {**_X, "z": (2, 3, 7, 6)}),
    Case("flatten", "Flatten x -> y {}", _X),
    Case("flatten_range", "Flatten x -> y { flatten_param { axis: 1 end_axis: 2 } }", _X),
    Case("flatten_negative", "Flatten x -> y { flatten_param { axis: -3 end_axis: -2 } }", {"x": (2, 3, 4, 5, 6)}),
    Case("flatten_all", "Flatten x -> y { flatten_param { axis: 0 } }", _X),
    Case("permute", "Permute x -> y { permute_param { order: 0 order: 2 order: 3 order: 1 } }", _X),
    Case("permute_some", "Permute x -> y { permute_param { order: 2 } }", _X),
    Case("reshape", "Reshape x -> y { reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }", _X),
    Case("reshape_axis", "Reshape x -> y { reshape_param { shape { dim: 0 dim: 2 dim: -1 } axis: 1 } }", _X),
    Case("reshape_range", "Reshape x -> y { reshape_param { shape { dim: 3 dim: -1 } axis: 1 num_axes: 2 } }", _X),
    Case("reshape_insert", "Reshape x -> y { reshape_param { shape { dim: 1 } axis: 1 num_axes: 0 } }", _X),
    Case("reshape_merge", "Reshape x -> y { reshape_param { shape { dim: -1 } axis: 2 num_axes: 2 } }", _X),
    Case(
        "reshape_moves_a_zero",
        "Reshape x -> y { reshape_param { shape { dim: -1 dim: 0 } axis: 2 } }",
        {"x": (2, 3, 4, 5, 6)},
    ),
    Case("shuffle", "ShuffleChannel x -> y { shuffle_channel_param { group: 3 } }", {"x": (2, 6, 4, 5)}),
    Case("slice", "Slice x -> a,b,c { slice_param { axis: 2 slice_point: 1 slice_point: 5 } }", _X),
    Case("slice_items", "Slice x -> a,b { slice_param { axis: 0 } }", _X),
    Case("slice_of_one", "Slice x -> a {}", _X),
    Case("split", "Split x -> a,b {}\nReLU a -> c {}", _X),
    Case("tile", "Tile x -> y { tile_param { axis: -1 tiles: 3 } }", _X),
    Case("flip", "Flip x -> y { flip_param { flip_width: true flip_height: true } }", _X),
    Case("reverse", "Reverse x -> y { reverse_param { axis: 1 } }", _X),
    Case("gather", "Gather x,z -> a,b {}", {"x": (2, 3), "z": (3, 2)}),
    Case("broadcast_mul", "BroadcastMul x,z -> y {}", {**_X, "z": (2, 3, 1, 1)}),
]

_COMBINATIONS = [
    Case("argmax", "ArgMax x -> y {}", _X),
    Case("argmax_of_single_values", "ArgMax x -> y { argmax_param { out_max_val: true } }", {"x": (3,)}),
    Case("argmax_ties", "ArgMax x -> y { argmax_param { top_k: 3 axis: 1 } }", {"x": (3, 6)}, {"x": 3}),
    Case("argmax_values", "ArgMax x -> y { argmax_param { top_k: 2 out_max_val: true } }", _X),
    Case("argmax_values_of_axis", "ArgMax x -> y { argmax_param { out_max_val: true axis: 2 } }", _X),
    Case("batch_reindex", "BatchReindex x,i -> y {}", {**_X, "i": (4,)}, {"i": 2}),
    Case(
        "eltwise_coefficients",
        "Eltwise x,z,v -> y { eltwise_param { coeff: 1 coeff: -0.5 coeff: 2 } }",
        {"x": (2, 3), "z": (2, 3), "v": (2, 3)},
    ),
    Case("eltwise_difference", "Eltwise x,z -> y { eltwise_param { coeff: 1 coeff: -1 } }", {"x": (2, 3), "z": (2, 3)}),
    Case("eltwise_product", "Eltwise x,z,x -> y { eltwise_param { operation: PROD } }", {"x": (2, 3), "z": (2, 3)}),
    Case(
        "eltwise_largest",
        "Eltwise x,z,v -> y { eltwise_param { operation: MAX } }",
        {"x": (2, 3), "z": (2, 3), "v": (2, 3)},
    ),
    Case("filter", "Filter x,z,s -> a,b {}", {"x": (4, 3), "z": (4, 2, 2), "s": (4, 1)}, given={"s": [0, 1, 0, 2]}),
    Case(
        "filter_then_more",
        "Filter x,s -> a {}\nInnerProduct a -> b { inner_product_param { num_output: 2 } }\nSoftmax b -> c {}",
        {"x": (4, 3, 2), "s": (4,)},
        given={"s": [1, 1, 0, 1]},
    ),
    *(
        Case(
            f"reduction_{name.lower()}",
            f"Reduction x -> y {{ reduction_param {{ operation: {name} axis: {axis} coeff: 0.5 }} }}",
            _X,
        )
        for axis, name in enumerate(("SUM", "ASUM", "SUMSQ", "MEAN"))
    ),
    Case("silence", "ReLU x -> a {}\nSilence x {}", _X),
]

_CONVOLUTIONS = [
    _convolution("plain", "num_output: 3 kernel_size: 3"),
    _convolution("groups", "num_output: 6 kernel_size: 3 pad: 1 group: 2"),
    _convolution("rectangle", "num_output: 3 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2"),
    _convolution("dilated", "num_output: 3 kernel_size: 3 pad: 2 dilation: 2 bias_term: false"),
    _convolution("depthwise", "num_output: 8 kernel_size: 3 group: 4"),
    _convolution("padded_points", "num_output: 3 kernel_size: 1 pad: 1"),
    _convolution("matrix", "num_output: 3", (2, 4)),
    _convolution("line", "num_output: 3 kernel_size: 3 pad: 1", (2, 4, 7)),
    _convolution("volume", "num_output: 3 kernel_size: 3 kernel_size: 2 kernel_size: 1 stride: 2", (2, 4, 5, 6, 3)),
    _convolution("axis", "num_output: 3 kernel_size: 2 axis: 2", (2, 3, 4, 5, 5)),
    _convolution("first_axis", "num_output: 3 kernel_size: 2 axis: 0", (4, 5, 5)),
    Case(
        "convolution_of_two",
        "Convolution x,z -> a,b { convolution_param { num_output: 2 kernel_size: 3 } }",
        {"x": (2, 3, 5, 5), "z": (2, 3, 5, 5)},
    ),
    _convolution("beyond", "num_output: 3 kernel_size: 2 stride: 2", (2, 4, 3, 1)),
    _convolution("line_beyond", "num_output: 3 kernel_size: 3 stride: 4 dilation: 2 pad: 1", (2, 4, 1)),
    _convolution("axis_beyond", "num_output: 3 kernel_size: 3 stride: 2 axis: 2", (2, 3, 4, 5, 2)),
    _convolution("plain", "num_output: 3 kernel_size: 3", kind="Deconvolution"),
    _convolution("groups", "num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 2", kind="Deconvolution"),
    _convolution("dilated", "num_output: 3 kernel_size: 3 stride: 2 dilation: 2 pad: 1", kind="Deconvolution"),
    _convolution("volume", "num_output: 3 kernel_size: 2 stride: 2", (2, 4, 2, 3, 2), "Deconvolution"),
    _convolution("line", "num_output: 3 kernel_size: 3 stride: 2 bias_term: false", (2, 4, 5), "Deconvolution"),
    _convolution("plain", "kernel_size: 2 pad: 1", kind="Im2col"),
    _convolution("dilated", "kernel_size: 3 dilation: 2 stride: 2", (1, 2, 8, 9), "Im2col"),
    _convolution("beyond", "kernel_size: 3 stride: 2", (2, 2, 2, 5), "Im2col"),
    Case(
        "depthwise_of_a_fork",
        "DepthwiseConvolution x -> y { convolution_param { num_output: 4 kernel_size: 3 group: 4 } }",
        {"x": (2, 4, 7, 6)},
    ),
    Case("cccp", "CCCP x -> y { cccp_param { num_output: 2 group: 2 } }", {"x": (2, 4, 3, 3)}),
    Case(
        "local", "Local x -> y { local_param { num_output: 3 kernel_size: 3 stride: 2 pad: 1 } }", {"x": (2, 2, 5, 7)}
    ),
    Case(
        "local_beyond", "Local x -> y { local_param { num_output: 3 kernel_size: 3 stride: 2 } }", {"x": (2, 2, 2, 5)}
    ),
]

_POOLINGS = [
    _pooling("rounds_up", "kernel_size: 3 stride: 2"),
    _pooling("rounds_up_average", "pool: AVE kernel_size: 3 stride: 2"),
    _pooling("clips", "kernel_size: 2 stride: 2 pad: 1", extents=(6, 5)),
    _pooling("clips_average", "pool: AVE kernel_size: 2 stride: 2 pad: 1", extents=(6, 5)),
    _pooling("beyond_the_padding", "pool: AVE kernel_size: 3 stride: 2 pad: 1", extents=(8, 6)),
    _pooling("far_beyond_the_padding", "pool: AVE kernel_size: 4 stride: 3 pad: 1", extents=(8, 9)),
    _pooling("padding_of_one_axis", "pool: AVE kernel_h: 3 kernel_w: 3 stride: 2 pad_h: 1 pad_w: 0", extents=(8, 8)),
    _pooling("rounds_down", "kernel_size: 3 stride: 2 round_mode: FLOOR", extents=(8, 8)),
    _pooling("rounds_down_average", "pool: AVE kernel_size: 3 stride: 3 pad: 1 round_mode: FLOOR", extents=(9, 10)),
    _pooling("steps_over", "kernel_size: 1 stride: 3", extents=(7, 10)),
    _pooling("global", "global_pooling: true"),
    _pooling("global_average", "pool: AVE global_pooling: true"),
    _pooling("mask", "kernel_size: 3 stride: 2 pad: 1", "y,mask", (8, 9)),
    _pooling("mask_with_rest", "kernel_size: 2 stride: 4 round_mode: FLOOR", "y,mask", (9, 9)),
    _pooling("mask_global", "global_pooling: true", "y,mask"),
    _pooling("stochastic", "pool: STOCHASTIC kernel_size: 3 stride: 2"),
    Case("pooling_volume", "Pooling x -> y { pooling_param { kernel_size: 2 stride: 2 } }", {"x": (2, 3, 5, 4, 5)}),
    Case("spp", "SPP x -> y { spp_param { pyramid_height: 3 } }", {"x": (2, 3, 9, 7)}),
    Case("spp_average", "SPP x -> y { spp_param { pyramid_height: 2 pool: AVE } }", {"x": (2, 3, 5, 7)}),
    Case("spp_of_one_level", "SPP x -> y { spp_param { pyramid_height: 1 } }", {"x": (2, 3, 5, 7)}),
]

_NORMALIZATIONS = [
    Case("batch_norm", "BatchNorm x -> y {}", _X),
    Case("batch_norm_matrix", "BatchNorm x -> y { batch_norm_param { eps: 0.1 } }", {"x": (2, 3)}),
    Case("batch_norm_volume", "BatchNorm x -> y {}", {"x": (2, 3, 4, 2, 2)}),
    Case("batch_norm_factor_0", "BatchNorm x -> y {}", _X, zero=("y/2",)),
    Case("batch_norm_of_one_value", "BatchNorm x -> y { batch_norm_param { use_global_stats: false } }", {"x": (1, 3)}),
    Case("batch_norm_of_the_batch", "BatchNorm x -> y { batch_norm_param { use_global_stats: false } }", _X),
    Case(
        "batch_norm_in_place",
        "Power:start data -> x {}\nBatchNorm:bn x -> x {}\nScale:scale x -> x { scale_param { "
        "bias_term: true } }\nReLU:relu x -> x {}",
        {"data": (2, 3, 4, 4)},
    ),
    Case("batch_norm_scale_bias", "BatchNorm x -> y { batch_norm_param { scale_bias: true } }", _X),
    Case("bn", "BN x -> y { bn_param { eps: 0.01 momentum: 0.9 } }", _X),
    Case("bn_matrix", "BN x -> y { bn_param { momentum: 0.9 } }", {"x": (2, 3)}),
    Case("bn_of_segnet", "BN x -> y { bn_param { bn_mode: INFERENCE } }", _X),
    Case("bn_of_segnet_learning", "BN x -> y { bn_param { bn_mode: LEARN } }", _X),
    Case("lrn", "LRN x -> y { lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 } }", {"x": (2, 7, 3, 3)}),
    Case("lrn_within", "LRN x -> y { lrn_param { local_size: 3 alpha: 2 k: 2 norm_region: WITHIN_CHANNEL } }", _X),
    Case("mvn", "MVN x -> y {}", _X),
    Case("mvn_eps", "MVN x -> y { mvn_param { eps: 0.5 across_channels: true } }", _X),
    Case("mvn_mean", "MVN x -> y { mvn_param { normalize_variance: false } }", _X),
    Case("mvn_of_a_matrix", "MVN x -> y { mvn_param { across_channels: true } }", {"x": (2, 6)}),
    Case("normalize", "Normalize x -> y { norm_param { across_spatial: false channel_shared: false } }", _X),
    Case("normalize_all", "Normalize x -> y { norm_param { eps: 0.1 } }", _X),
    Case("normalize_channels", "Normalize x -> y,norm {}", _X),
    Case("bias", "Bias x -> y {}", _X),
    Case("bias_of_all_axes", "Bias x -> y { bias_param { axis: 0 num_axes: -1 } }", _X),
    Case("bias_scalar", "Bias x -> y { bias_param { num_axes: 0 } }", _X),
    Case("bias_of_a_bottom", "Bias x,b -> y { bias_param { axis: 2 } }", {**_X, "b": (7,)}),
    Case("scale", "Scale x -> y { scale_param { bias_term: true } }", _X),
    Case("scale_axis", "Scale x -> y { scale_param { axis: -2 num_axes: 2 bias_term: true } }", _X),
    Case("scale_of_items", "Scale x -> y { scale_param { axis: 0 num_axes: 2 } }", _X),
    Case("scale_scalar", "Scale x -> y { scale_param { num_axes: 0 bias_term: true } }", _X),
    Case("scale_of_a_bottom", "Scale x,a -> y { scale_param { axis: 0 bias_term: true } }", {**_X, "a": (2, 3)}),
    Case(
        "scale_of_a_scalar_bottom", "Reduction z -> a {}\nScale x,a -> y { scale_param { axis: 0 } }", {**_X, "z": (3,)}
    ),
]

_PRODUCTS = [
    Case("inner_product", "InnerProduct x -> y { inner_product_param { num_output: 4 } }", _X),
    Case(
        "inner_product_axis",
        "InnerProduct x -> y { inner_product_param { num_output: 4 axis: 2 bias_term: false } }",
        _X,
    ),
    Case(
        "inner_product_last",
        "InnerProduct x -> y { inner_product_param { num_output: 4 axis: -1 transpose: true } }",
        _X,
    ),
    Case("inner_product_all", "InnerProduct x -> y { inner_product_param { num_output: 4 axis: 0 } }", _X),
    Case("embed", "Embed x -> y { embed_param { input_dim: 7 num_output: 4 } }", {"x": (3, 2)}, {"x": 7}),
    Case(
        "shared_weights",
        'InnerProduct x -> a { param { name: "w" } inner_product_param { num_output: 4 bias_term: false } }\n'
        'InnerProduct z -> b { param { name: "w" } inner_product_param { num_output: 4 bias_term: false } }\n'
        "Eltwise a,b -> y {}",
        {"x": (2, 3), "z": (2, 3)},
    ),
    Case(
        "parameter",
        "Parameter -> p { parameter_param { shape { dim: 2 dim: 3 } } }\nEltwise x,p -> y {}",
        {"x": (2, 3)},
    ),
]

_LOSSES = [
    Case("softmax_loss", "SoftmaxWithLoss x,label -> loss {}", _LABELS, {"label": 5}),
    Case(
        "softmax_loss_places",
        "SoftmaxWithLoss x,label -> loss { loss_param { ignore_label: 1 } }",
        {"x": (2, 4, 3, 3), "label": (2, 3, 3)},
        {"label": 4},
    ),
    Case(
        "softmax_loss_axis",
        "SoftmaxWithLoss x,label -> loss { softmax_param { axis: -1 } loss_param { normalization: BATCH_SIZE } }",
        {"x": (2, 3, 4), "label": (2, 3)},
        {"label": 4},
    ),
    Case(
        "softmax_loss_none",
        "SoftmaxWithLoss x,label -> loss { loss_param { normalization: NONE } }",
        _LABELS,
        {"label": 5},
    ),
    Case(
        "softmax_loss_full",
        "SoftmaxWithLoss x,label -> loss { loss_param { normalization: FULL ignore_label: 0 } }",
        _LABELS,
        {"label": 3},
    ),
    Case(
        "softmax_loss_all_ignored",
        "SoftmaxWithLoss x,label -> loss { loss_param { ignore_label: 0 } }",
        _LABELS,
        {"label": 1},
    ),
    Case("accuracy", "Accuracy x,label -> y { accuracy_param { top_k: 2 } }", _LABELS, {"label": 5}),
    Case(
        "accuracy_ties",
        "Accuracy x,label -> y,classes { accuracy_param { ignore_label: 1 } }",
        {"x": (9, 3), "label": (9,)},
        {"x": 2, "label": 3},
    ),
    Case("accuracy_places", "Accuracy x,label -> y {}", {"x": (2, 4, 3, 3), "label": (2, 3, 3)}, {"label": 4}),
    Case("euclidean_loss", "EuclideanLoss x,z -> loss {}", {"x": (3, 4, 2), "z": (3, 8)}),
    Case(
        "contrastive_loss",
        "ContrastiveLoss x,z,s -> loss { contrastive_loss_param { margin: 3 } }",
        {"x": (4, 3), "z": (4, 3), "s": (4,)},
        {"s": 2},
    ),
    Case(
        "contrastive_loss_legacy",
        "ContrastiveLoss x,z,s -> loss { contrastive_loss_param { margin: 6 legacy_version: true } }",
        {"x": (4, 3), "z": (4, 3), "s": (4,)},
        {"s": 2},
    ),
    Case("hinge_loss", "HingeLoss x,label -> loss {}", _LABELS, {"label": 5}),
    Case("hinge_loss_l2", "HingeLoss x,label -> loss { hinge_loss_param { norm: L2 } }", _LABELS, {"label": 5}),
    Case(
        "sigmoid_loss",
        "SigmoidCrossEntropyLoss x,t -> loss { loss_param { ignore_label: 0 normalization: VALID } }",
        {"x": (3, 4), "t": (3, 4)},
        {"t": 2},
    ),
    Case("sigmoid_loss_default", "SigmoidCrossEntropyLoss x,t -> loss {}", {"x": (3, 4), "t": (3, 4)}, {"t": 2}),
    Case("multinomial_loss", "Softmax x -> p {}\nMultinomialLogisticLoss p,label -> loss {}", _LABELS, {"label": 5}),
    Case(
        "infogain_loss",
        "InfogainLoss x,label,h -> loss,prob { loss_weight: 1 loss_weight: 0 }",
        {**_LABELS, "h": (1, 1, 5, 5)},
        {"label": 5},
    ),
    Case(
        "infogain_loss_places",
        "InfogainLoss x,label,h -> loss { loss_param { ignore_label: 2 } }",
        {"x": (2, 4, 3, 3), "label": (2, 3, 3), "h": (1, 1, 4, 4)},
        {"label": 4},
    ),
    Case(
        "smooth_l1_loss",
        "SmoothL1Loss x,z,v,w -> loss { smooth_l1_loss_param { sigma: 2 } }",
        {"x": (3, 4), "z": (3, 4), "v": (3, 4), "w": (3, 4)},
    ),
    *(
        Case(f"{kind}_of_axes_of_1_{number}", f"{kind} {bottoms} -> loss {{}}", _AXES_OF_1)
        for number, (kind, bottoms) in enumerate(
            [
                ("EuclideanLoss", "x,z"),
                ("SigmoidCrossEntropyLoss", "x,z"),
                ("SmoothL1Loss", "x,z,v,w"),
                ("SmoothL1Loss", "z,x,v,w"),
            ]
        )
    ),
]

_SEQUENCE = {"x": (5, 2, 3), "cont": (5, 2)}
_CONT = {"cont": [[0, 0], [1, 1], [1, 0], [1, 1], [0, 1]]}

_RECURRENT = [
    Case("lstm", "LSTM x,cont -> y { recurrent_param { num_output: 4 } }", _SEQUENCE, given=_CONT),
    Case(
        "lstm_static",
        "LSTM x,cont,s -> y { recurrent_param { num_output: 4 } }",
        {**_SEQUENCE, "s": (2, 3)},
        given=_CONT,
    ),
    Case(
        "lstm_exposed",
        "LSTM x,cont,h,c -> y,ht,ct { recurrent_param { num_output: 4 expose_hidden: true } }",
        {**_SEQUENCE, "h": (1, 2, 4), "c": (1, 2, 4)},
        given={"cont": [[1, 0], *_CONT["cont"][1:]]},
    ),
    Case(
        "lstm_maps",
        "LSTM x,cont -> y { recurrent_param { num_output: 4 } }",
        {"x": (3, 2, 2, 2), "cont": (3, 2)},
        {"cont": 2},
    ),
    Case("rnn", "RNN x,cont -> y { recurrent_param { num_output: 4 } }", _SEQUENCE, given=_CONT),
    Case(
        "rnn_static_exposed",
        "RNN x,cont,s,h -> y,ht { recurrent_param { num_output: 4 expose_hidden: true } }",
        {**_SEQUENCE, "s": (2, 3), "h": (1, 2, 4)},
        given=_CONT,
    ),
    Case("lstm_unit", "LSTMUnit c,g,cont -> ct,ht {}", {"c": (1, 3, 2), "g": (1, 3, 8), "cont": (1, 3)}, {"cont": 2}),
]

_RESIZINGS = [
    Case("interp", "Interp x -> y { interp_param { height: 11 width: 5 } }", _X),
    Case("interp_zoom", "Interp x -> y { interp_param { zoom_factor: 3 pad_beg: -1 pad_end: -2 } }", _X),
    Case("interp_shrink", "Interp x -> y { interp_param { shrink_factor: 3 } }", {"x": (1, 2, 7, 10)}),
    Case("upsample", "Upsample x -> y { upsample_param { scale: 3 } }", _X),
    Case(
        "upsample_mask",
        "Pooling x -> p,mask { pooling_param { kernel_size: 3 stride: 2 } }\nUpsample p,mask -> "
        "y { upsample_param { upsample_h: 9 upsample_w: 8 } }",
        {"x": (2, 3, 9, 8)},
    ),
    Case("reorg", "Reorg x -> y { reorg_param { stride: 2 } }", {"x": (2, 8, 4, 6)}),
    Case("reorg_reverse", "Reorg x -> y { reorg_param { stride: 2 reverse: true } }", {"x": (2, 8, 3, 4)}),
    Case("channel_norm", "ChannelNorm x -> y {}", _X),
]

_ROIS = {"rois": [[0, 1, 0, 5, 4], [1, 2, 3, 9, 7], [0, 3, 3, 3, 3], [1, 0, 2, 2, 10]]}
_SCORES = {"loc": (2, 24), "conf": (2, 18), "prior": (1, 2, 24)}
_PRIORS = {
    "prior": [
        *np.tile([0.1, 0.1, 0.5, 0.5, 0.15, 0.1, 0.55, 0.5, 0.4, 0.3, 0.9, 0.8], 2),
        *np.tile([0.1, 0.1, 0.2, 0.2], 6),
    ]
}


def _detections(name: str, fields: str, inputs: Mapping[str, tuple[int, ...]] = _SCORES) -> Case:
    layers = f"DetectionOutput loc,conf,prior -> y {{ detection_output_param {{ num_classes: 3 {fields} }} }}"
    return Case(f"detections_{name}", layers, inputs, given=_PRIORS)


_DETECTIONS = [
    Case(
        "prior_box",
        "PriorBox x,data -> y { prior_box_param { min_size: 4 max_size: 9 aspect_ratio: 2 flip: "
        "true clip: true variance: 0.1 } }",
        {"x": (1, 2, 3, 4), "data": (1, 3, 20, 30)},
    ),
    Case(
        "prior_box_clustered",
        "PriorBoxClustered x,data -> y { prior_box_param { width: 4 width: 9 height: 3 height: 5 variance: 0.1 } }",
        {"x": (1, 2, 3, 4), "data": (1, 3, 20, 30)},
    ),
    _detections(
        "plain",
        "nms_param { nms_threshold: 0.45 top_k: 4 } code_type: CENTER_SIZE keep_top_k: 5 confidence_threshold: 0.01",
    ),
    _detections("all", "nms_param { nms_threshold: 0.3 } code_type: CORNER"),
    _detections(
        "corner_size", "nms_param { nms_threshold: 0.45 } code_type: CORNER_SIZE background_label_id: 1 keep_top_k: 200"
    ),
    _detections(
        "falling",
        "nms_param { nms_threshold: 0.9 eta: 0.7 top_k: 5 } code_type: CENTER_SIZE variance_encoded_in_target: true",
    ),
    _detections(
        "apart",
        "share_location: false nms_param { nms_threshold: 0.45 } code_type: CENTER_SIZE",
        {**_SCORES, "loc": (2, 72)},
    ),
    _detections(
        "apart_falling",
        "share_location: false nms_param { nms_threshold: 0.8 eta: 0.8 } code_type: CENTER_SIZE",
        {**_SCORES, "loc": (2, 72)},
    ),
    _detections("none", "nms_param { nms_threshold: 0.45 } code_type: CENTER_SIZE confidence_threshold: 100"),
    Case(
        "roi_pooling",
        "ROIPooling x,rois -> y { roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 } }",
        {"x": (2, 3, 6, 5), "rois": (4, 5)},
        given=_ROIS,
    ),
    Case(
        "roi_pooling_four_axes",
        "ROIPooling x,rois -> y { roi_pooling_param { pooled_h: 2 pooled_w: 2 } }",
        {"x": (2, 3, 12, 12), "rois": (4, 5, 1, 1)},
        given=_ROIS,
    ),
    Case(
        "psroi_pooling",
        "PSROIPooling x,rois -> y { psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.5 } }",
        {"x": (2, 18, 6, 5), "rois": (4, 5)},
        given=_ROIS,
    ),
    Case(
        "proposal",
        "Softmax s -> p {}\nProposal p,d,im -> rois,scores { proposal_param { ratio: 1 ratio: 2 "
        "scale: 24 scale: 48 post_nms_topn: 9 min_size: 4 } }\n"
        "ROIPooling p,rois -> r { roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: "
        "0.0625 } }\nInnerProduct r -> y { inner_product_param { num_output: 3 } }",
        {"s": (1, 8, 5, 6), "d": (1, 16, 5, 6), "im": (1, 4)},
        given={"im": [80, 96, 1, 1]},
    ),
]

CASES = [
    *_NEURONS,
    *_ARRANGEMENTS,
    *_COMBINATIONS,
    *_CONVOLUTIONS,
    *_POOLINGS,
    *_NORMALIZATIONS,
    *_PRODUCTS,
    *_LOSSES,
    *_RECURRENT,
    *_RESIZINGS,
    *_DETECTIONS,
]
