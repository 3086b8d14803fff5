# ruff: noqa: E501 - a case of the table is a line
"""Peculiarities of layer types and fields of forks; test_shapes has their shapes."""

import re
from collections.abc import Callable

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from filler_server.net.plan import Layer, NetPlan
from filler_server.net.planner import plan_net
from filler_server.net.registry import layer_type, layer_type_names
from filler_server.prototxt import read_net
from filler_server.prototxt.forks import BLOCKS
from tests.net.layers.fork_cases import FORK_CASES

IMAGE = (2, 6, 8, 10)
Plan = Callable[..., NetPlan]


@pytest.mark.parametrize(
    ("fields", "bottoms", "words"),
    [
        ('type: "Permute" permute_param { order: 1 order: 1 }', [IMAGE], "there are duplicate orders"),
        ('type: "Permute" permute_param { order: 4 }', [IMAGE], "order should be less than the input dimension"),
        ('type: "Transpose" transpose_param { dim: 1 }', [IMAGE], "dim must name every axis"),
        ('type: "ShuffleChannel" shuffle_channel_param { group: 4 }', [IMAGE], "should be multiples of group"),
        ('type: "Axpy"', [(2, 5, 1, 1), IMAGE, IMAGE], "bottom[0] and bottom[1] must agree in axes 0 and 1"),
        ('type: "Axpy"', [(2, 6, 8, 10), IMAGE, IMAGE], "bottom[0] must have one value for each channel"),
        ('type: "Axpy"', [(2, 6), IMAGE, (2, 6, 8, 9)], "bottom[1] and bottom[2] must have the same shape"),
        ('type: "PriorBox" prior_box_param { }', [IMAGE, IMAGE], "must provide min_size"),
        ('type: "PriorBox" prior_box_param { min_size: 9 max_size: 9 }', [IMAGE, IMAGE], "as many max_size as min_size, each greater"),
        ('type: "PriorBox" prior_box_param { min_size: 9 aspect_ratio: 0 }', [IMAGE, IMAGE], "aspect_ratio must not be 0"),
        ('type: "PriorBox" prior_box_param { min_size: 9 ' + "aspect_ratio: 2 " * 1001 + "}", [IMAGE, IMAGE], "more than 1000 aspect_ratio"),
        ('type: "PriorBoxClustered" prior_box_param { width: 1 height: 1 height: 1 }', [IMAGE, IMAGE], "as many height as width"),
        ('type: "DetectionOutput" detection_output_param { }', [(2, 24), (2, 126), (1, 2, 24)], "num_classes must be specified"),
        ('type: "DetectionOutput" detection_output_param { num_classes: 20 }', [(2, 24), (2, 126), (1, 2, 24)], "Number of priors must match number of confidence predictions"),
        ('type: "DetectionOutput" detection_output_param { num_classes: 20 }', [(2, 28), (2, 126), (1, 2, 24)], "Number of priors must match number of location predictions"),
        ('type: "DetectionOutput" detection_output_param { num_classes: 20 }', [IMAGE], "takes at least 3 bottom blob(s)"),
        ('type: "DetectionEvaluate" detection_evaluate_param { num_classes: 2 }', [(1, 1, 1, 7), (1, 1, 1, 7)], "bottom[1] must be [1, 1, found, 8]"),
        ('type: "ROIPooling" roi_pooling_param { pooled_h: 6 }', [IMAGE, (3, 5)], "the pooled size must be > 0"),
        ('type: "ROIPooling" roi_pooling_param { pooled_size: [1, 2, 3] }', [IMAGE, (3, 5)], "once, or once per spatial dimension"),
        ('type: "ROIPooling"', [IMAGE, (3, 5)], "the pooled size must be > 0"),
        ('type: "PSROIPooling" psroi_pooling_param { output_dim: 2 group_size: 3 }', [IMAGE, (3, 5)], "input channel number does not match"),
        ('type: "BoxAnnotatorOHEM" top: "a" top: "b"', [(30, 4), (30, 1), (30, 1), (30, 8)], "bottom[0] must have 5 channels"),
        ('type: "BoxAnnotatorOHEM" top: "a" top: "b"', [(30, 5), (30, 1), (30, 2), (30, 8)], "bottom[2] must be as bottom[0]"),
        ('type: "SmoothL1Loss"', [(2, 6), (2, 5)], "bottom[1] must have the channels, height and width of bottom[0]"),
        ('type: "Normalize" top: "a" top: "b" norm_param { }', [IMAGE], "produces 1 top blob(s)"),
        ('type: "Normalize" norm_param { }', [(6,)], "Number of axes of bottom blob must be >=2"),
        ('type: "Interp" interp_param { }', [IMAGE], "height and width must be positive"),
        ('type: "Interp" interp_param { height: 3 width: 3 pad_beg: 1 }', [IMAGE], "Only supports non-pos padding"),
        ('type: "Interp" interp_param { zoom_factor: 0 }', [IMAGE], "factors must be positive"),
        ('type: "Interp" interp_param { use_blob_size: true }', [IMAGE], "use_blob_size needs a second bottom"),
        ('type: "Upsample" upsample_param { scale: 1 }', [IMAGE, IMAGE], "scale must be greater than 1"),
        ('type: "Upsample" upsample_param { scale: 2 }', [IMAGE, (2, 6, 8, 9)], "the mask must have the shape of bottom[0]"),
        ('type: "Resample" resample_param { height: 3 }', [IMAGE], "height and width must be > 0"),
        ('type: "Reorg"', [IMAGE], "needs a positive stride"),
        ('type: "Correlation" correlation_param { kernel_size: 2 max_displacement: 1 }', [IMAGE, IMAGE], "Odd kernel size required"),
        ('type: "Correlation" correlation_param { kernel_size: 1 }', [IMAGE, IMAGE], "Max displacement is required"),
        ('type: "Correlation" correlation_param { kernel_size: 1 max_displacement: 4 }', [IMAGE, IMAGE], "don't fit in blob"),
        ('type: "FlowWarp"', [IMAGE, IMAGE], "Flow must have 2 channels"),
        ('type: "ConvolutionDepthwise" convolution_param { kernel_size: 11 }', [IMAGE], "the kernel does not fit into the padded input"),
        ('type: "Convolution3D" convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 3 }', [IMAGE], "Input must have 5 axes"),
        ('type: "Convolution3D" convolution_param { num_output: 4 kernel_size: 3 }', [(2, 3, 16, 12, 10)], "kernel_size and kernel_depth must be positive"),
        ('type: "CCCP" cccp_param { num_output: 4 group: 4 }', [IMAGE], "should be multiples of group"),
        ('type: "Lstm" lstm_param { num_output: 4 batch_size: 4 }', [(6, 7)], "Input size should be multiple of batch size"),
        ('type: "MarginInnerProduct"', [IMAGE, (2,)], "num_output must be positive"),
        ('type: "CoSData" top: "a" top: "b" cos_data_param { batch_size: 1 top { } }', [], "number of tops in this layer should be equal"),
        ('type: "ReLU6" param { }', [IMAGE], "Too many params specified"),
    ],
)  # fmt: skip
def test_one_that_does_not_fit_is_reported_and_unknown(
    plan: Plan, fields: str, bottoms: list[tuple[int, ...]], words: str
) -> None:
    names = [f"b{index}" for index in range(len(bottoms))]
    inputs = "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" }}\n' for name in names)
    wiring = "".join(f'bottom: "{name}" ' for name in names)
    top = "" if "top:" in fields else 'top: "a"'
    text = f'{inputs}layer {{ name: "it" {wiring} {top} {fields} }} layer {{ name: "s" type: "Silence" bottom: "a" }}'
    net = plan(text, inputs=dict(zip(names, bottoms, strict=True)))
    it = net.layers[len(bottoms)]
    assert it.blobs == ()
    assert it.tops[0].shape is None
    assert len(net.warnings) == 1
    message = net.warnings[0].message
    assert message.startswith(f"layer type '{it.type}' is another one here (")
    assert words in message
    option = "tops" if bottoms else "inputs"
    assert message.endswith(
        f"): taken to have no learnable blobs; the shape of its tops is unknown, give {option}={{'a': (D, D, ..)}}"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("permute_param { order: 0.5 }", "permute_param.order must be an integer in [0, 4294967295]. Received: value='0.5'"),
        ("permute_param { order: -1 }", "permute_param.order must be an integer in [0, 4294967295]. Received: value='-1'"),
        ("permute_param { order { } }", "permute_param.order must not be a block"),
        ("permute_param: 3", "permute_param must be a block"),
        ("permute_param { " + "order: 1 " * 10_001 + "}", "permute_param.order has more than 10000 values"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_their_field_are_refused(set_up: Callable[..., Layer], fields: str, words: str) -> None:
    with pytest.raises(NetError) as caught:
        set_up(f'type: "Permute" {fields}', IMAGE)
    assert f"layer 'it': {words}" in caught.value.message


FILLERS = [
    ('type: "Normalize" norm_param { }', [("constant", 1)]),
    ('type: "Normalize" norm_param { scale_filler { value: 20 } }', [("constant", 20)]),
    ('type: "BN" bn_param { scale_filler { value: 1 } shift_filler { value: 0.5 } }', [("constant", 1), ("constant", 0.5)]),
    ('type: "BN" bn_param { slope_filler { type: "gaussian" } momentum: 0.9 }', [("gaussian", 0)] + [("constant", 0)] * 3),
    ('type: "BN" bn_param { bias_filler { value: 2 } frozen: true }', [("constant", 0), ("constant", 2), ("constant", 0), ("constant", 1)]),
    ('type: "BatchNorm" batch_norm_param { scale_bias: true }', [("constant", 0), ("constant", 0), ("constant", 1), ("constant", 1), ("constant", 0)]),
    ('type: "BatchNorm" batch_norm_param { scale_filler { value: 2 } bias_filler { value: 3 } }', [("constant", 0), ("constant", 0), ("constant", 1), ("constant", 2), ("constant", 3)]),
    ('type: "CCCP" cccp_param { num_output: 1 weight_filler { type: "xavier" } }', [("xavier", 0), ("constant", 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "fillers"), FILLERS)
def test_fillers(set_up: Callable[..., Layer], fields: str, fillers: list[tuple[str, float]]) -> None:
    assert [(blob.filler.type, blob.filler.value) for blob in set_up(fields, IMAGE).blobs] == fillers


def test_fields_that_are_understood_are_not_reported(plan: Plan) -> None:
    layers = []
    for index, (fields, bottoms, tops, _) in enumerate(FORK_CASES):
        if "top:" not in fields and bottoms and tops:
            names = [f"{index}_{bottom}" for bottom in range(len(bottoms))]
            layers += [
                f'layer {{ name: "i" type: "Input" top: "{name}" input_param {{ shape {{ {" ".join(f"dim: {dim}" for dim in shape or ())} }} }} }}'
                for name, shape in zip(names, bottoms, strict=True)
            ]
            wiring = " ".join(f'bottom: "{name}"' for name in names)
            layers.append(f'layer {{ name: "l" {fields} {wiring} top: "t{index}" }}')
    net = plan("\n".join(layers))
    assert len(net.layers) > 100
    assert not [problem for problem in net.warnings if "passed over" in problem.message]


def test_fields_that_nothing_depends_on_are_reported(plan: Plan) -> None:
    text = """
    layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } } }
    layer { name: "p" type: "Permute" bottom: "d" top: "p" permute_param { order: 1 odre_by: 0 } magic: 1 }
    layer { name: "q" type: "Pooling" bottom: "d" top: "q" pooling_param { kernel_size: 1 ceil_mode: false colour: 1 } }
    layer { name: "r" type: "ReLU" bottom: "d" top: "r" pooling_param { ceil_mode: false } permute_param { } }
    layer { name: "x" type: "Permute" bottom: "d" top: "x" include { phase: TRAIN } permute_param { order: 1 } }
    """
    assert [str(problem) for problem in plan(text).warnings] == [
        "3:98: layer 'p': LayerParameter has no field magic, passed over",
        "4:108: layer 'q': PoolingParameter has no field colour, passed over",
        "5:73: layer 'r': PoolingParameter has no field ceil_mode, passed over",
        "5:92: layer 'r': LayerParameter has no field permute_param, passed over",
        "3: layer 'p': permute_param has no field odre_by, passed over",
    ]


def test_v1_names_of_forks_are_found(plan: Plan) -> None:
    text = """
    layers { name: "d" type: DUMMY_DATA top: "d" dummy_data_param { num: 1 channels: 18 height: 9 width: 9 } }
    layers { name: "i" type: DUMMY_DATA top: "i" dummy_data_param { num: 3 channels: 5 height: 1 width: 1 } }
    layers { name: "r" type: ROI_POOLING bottom: "d" bottom: "i" top: "r" roi_pooling_param { pooled_h: 6 pooled_w: 6 } }
    layers { name: "a" type: ROI_WRAPPING bottom: "d" top: "a" }
    """
    net = plan(text)
    assert [layer.type for layer in net.layers] == ["DummyData", "DummyData", "ROIPooling", "ROI_WRAPPING"]
    assert net.layers[2].tops[0].shape == (3, 18, 6, 6)
    assert [problem.message for problem in net.warnings] == [
        "V1LayerParameter.LayerType has no value ROI_WRAPPING, passed over",
        "layer type 'ROI_POOLING' is taken for 'ROIPooling'",
        "unknown layer type 'ROI_WRAPPING'" + net.warnings[2].message.removeprefix("unknown layer type 'ROI_WRAPPING'"),
    ]
    assert net.warnings[2].message.endswith(": taken to have no learnable blobs")


def test_names_of_the_current_format_are_taken_as_they_are(plan: Plan) -> None:
    net = plan(
        'layer { name: "d" type: "Input" top: "d" } layer { name: "x" type: "ROI_POOLING" bottom: "d" top: "x" }'
    )
    assert net.layers[1].type == "ROI_POOLING"
    assert "unknown layer type 'ROI_POOLING' (did you mean 'ROIPooling'?)" in net.warnings[0].message


@pytest.mark.parametrize("name", ["CuDNNReLU", "MKLReLU", "MKLDNNReLU"])
def test_types_of_one_backend_are_those_of_all(plan: Plan, name: str) -> None:
    net = plan(
        f'layer {{ name: "d" type: "Input" top: "d" }} layer {{ name: "x" type: "{name}" bottom: "d" top: "x" }}'
    )
    assert net.layers[1].type == "ReLU"
    assert net.warnings[0].message == f"layer type '{name}' is taken for 'ReLU'"


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


INPUT = field(
    100,
    field(1, b"d")
    + field(2, b"Input")
    + field(4, b"d")
    + field(143, field(1, field(1, 2) + field(1, 6) + field(1, 8))),
)


def test_fields_of_forks_in_binary_files() -> None:
    layer = field(1, b"p") + field(2, b"Permute") + field(3, b"d") + field(4, b"p")
    data = INPUT + field(100, layer + field(202, field(1, 2) + field(1, 0)))
    net = plan_net(read_net(data))
    assert net.layers[1].tops[0].shape == (8, 2, 6)
    assert net.warnings == ()
    again = plan_net(read_net(data).net)
    assert again.layers[1].tops[0].shape is None


def test_a_block_that_is_not_read_from_a_binary_file_makes_its_layer_unknown() -> None:
    layer = field(1, b"n") + field(2, b"BN") + field(3, b"d") + field(4, b"n") + field(4003, field(1, b""))
    net = plan_net(read_net(INPUT + field(100, layer)))
    assert net.layers[1].blobs == ()
    assert [str(problem) for problem in net.warnings] == [
        "layer 'n': LayerParameter has no field number 4003, passed over",
        "layer 'n': bn_param was not read (in a binary file its number differs from fork to fork): taken to have no "
        "learnable blobs",
    ]


def test_every_fork_type_says_where_it_was_read() -> None:
    for case in FORK_CASES:
        kind = layer_type(case[0].split('"')[1])
        assert kind is not None
        if kind.fork:
            assert kind.set_up.__doc__
            assert any(mark in kind.set_up.__doc__ for mark in ("/", "_layer.cpp")), kind.name


def test_every_field_that_a_layer_type_asks_for_is_known() -> None:
    asked = {path for name in layer_type_names() if (kind := layer_type(name)) for path in kind.fork_fields}
    for path in asked:
        block, _, field = path.partition(".")
        if field:
            message = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name[block].message_type
            assert message is not None
            known = message.fields_by_name.get(field)
            # Pooling's sizes are here as well: lists of them, which BVLC does not read.
            assert known is None or not known.is_repeated, path
        else:
            assert block in BLOCKS, path
    assert {path for path in asked if "." not in path} == set(BLOCKS)


@pytest.mark.parametrize(
    ("fields", "bottoms", "words"),
    [
        ('type: "ReLU"', [IMAGE, IMAGE], "ReLU Layer takes 1 bottom blob(s) as input"),
        ('type: "Scale"', [IMAGE] * 3, "Scale Layer takes at most 2 bottom blob(s) as input"),
        ('type: "Softmax"', [(4, 50), (4, 1)], "Softmax Layer takes 1 bottom blob(s) as input"),
        ('type: "ReLU" top: "a" top: "b"', [IMAGE], "ReLU Layer produces 1 top blob(s) as output"),
        ('type: "Data" top: "a" top: "b" top: "c" data_param { batch_size: 1 }', [], "Data Layer produces at most 2 top blob(s)"),
        ('type: "Pooling" top: "a" top: "b" pooling_param { pool: AVE kernel_size: 2 }', [IMAGE], "Pooling Layer produces 1 top blob(s)"),
        ('type: "Convolution" convolution_param { num_output: 1 kernel_size: 1 }', [IMAGE, IMAGE], "one top blob as output for each bottom blob"),
        ('type: "LRN"', [(1, 2, 3, 4, 5)], "Cannot use legacy accessors on Blobs with > 4 axes"),
        ('type: "MVN"', [(1, 2, 3, 4, 5)], "Cannot use legacy accessors on Blobs with > 4 axes"),
        ('type: "SPP" spp_param { pyramid_height: 2 }', [(1, 2, 3, 4, 5)], "Cannot use legacy accessors on Blobs with > 4 axes"),
    ],
)  # fmt: skip
def test_more_than_bvlc_has_is_reported_and_open_to_top(
    plan: Plan, fields: str, bottoms: list[tuple[int, ...]], words: str
) -> None:
    names = [f"b{index}" for index in range(len(bottoms))]
    inputs = "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" }}\n' for name in names)
    wiring = "".join(f'bottom: "{name}" ' for name in names)
    top = "" if "top:" in fields else 'top: "a"'
    after = 'layer { name: "ip" type: "InnerProduct" bottom: "a" top: "ip" inner_product_param { num_output: 2 } }'
    text = f'{inputs}layer {{ name: "it" {wiring} {top} {fields} }} {after}'
    shapes = dict(zip(names, bottoms, strict=True))
    net = plan(text, inputs=shapes)
    assert net.layers[-2].blobs == ()
    assert any(words in warning.message and "{'a': (D, D, ..)}" in warning.message for warning in net.warnings)
    assert [blob.shape for blob in net.blobs] == [(2, None), (2,)]
    assert [blob.shape for blob in plan(text, inputs=shapes, tops={"a": (3, 7)}).blobs] == [(2, 7), (2,)]
    with pytest.raises(NetError, match=re.escape(words)):
        plan(text, inputs=shapes, strict=True)


def test_sigmas_of_noise_are_filled_by_the_inputs_of_their_weight(set_up: Callable[..., Layer]) -> None:
    layer = set_up(
        'type: "InnerProduct" inner_product_param { num_output: 5 enable_noise: true sigma_init: 0.4 }', (2, 16)
    )
    weight, bias = (blob.filler for blob in layer.blobs[2:])
    assert (weight.type, bias.type) == ("constant", "constant")
    assert weight.value == pytest.approx(0.4 / 4)
    assert bias.value == pytest.approx(0.4 / 5**0.5)


def test_a_normalize_without_a_block_says_what_it_is_taken_for(plan: Plan) -> None:
    net = plan('layer { name: "i" type: "Input" top: "a" } layer { name: "n" type: "Normalize" bottom: "a" top: "b" }')
    assert any("taken for SSD's" in warning.message for warning in net.warnings)


def test_an_aspect_ratio_without_an_inverse_is_told(set_up: Callable[..., Layer]) -> None:
    layer = set_up('type: "PriorBox" prior_box_param { min_size: 30 aspect_ratio: 1e-45 }', (2, 6, 5, 7), IMAGE)
    assert "aspect_ratio must not be 0" in layer.operation.attributes()["reason"]
