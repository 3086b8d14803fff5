"""Fields that a file leaves out, and those that its reader passed over."""

from collections.abc import Callable

import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, NetError, PrototxtError
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net

Plan = Callable[..., NetPlan]

OPEN = """
input: "data"
input: "label"
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 } }
"""


def test_an_input_without_a_shape_is_none_until_it_is_declared(plan: Plan) -> None:
    with pytest.raises(NetError) as caught:
        plan(OPEN)
    assert "Unknown bottom blob 'data'" in caught.value.message
    assert "it is an input of the net without a shape: give inputs={'data': (D, D, ..)}" in caught.value.message
    net = plan(OPEN, inputs={"data": (2, 3)})
    assert [(layer.name, layer.type, layer.line) for layer in net.layers] == [
        ("input", "Input", None),
        ("ip", "InnerProduct", 4),
    ]
    assert net.layers[1].blobs[0].shape == (5, 3)
    assert [str(problem) for problem in net.warnings] == [
        "2:1: input 'data', 'label' has neither input_shape nor input_dim, so it is not a blob of the net"
    ]
    assert plan(OPEN, inputs={"data": (2, 3), "label": (2,)}).warnings == ()


def test_an_input_without_a_shape_that_a_layer_makes_is_that_layer_s(plan: Plan) -> None:
    net = plan('input: "x" layer { name: "d" type: "Input" top: "x" }', inputs={"x": (1, 2)})
    assert [layer.name for layer in net.layers] == ["d"]
    assert net.layers[0].tops[0].shape == (1, 2)


IMPORT = """
layer { name: "d" type: "Input" top: "d" }
layer { name: "part" type: "Import" }
layer { name: "ip" type: "InnerProduct" bottom: "part/out" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "r" type: "ReLU" bottom: "part/out" top: "r" }
"""


def test_a_layer_that_imports_others_may_make_what_no_layer_makes(plan: Plan) -> None:
    net = plan(IMPORT)
    assert [top.name for top in net.layers[1].tops] == ["part/out"]
    assert [problem.message for problem in net.warnings] == [
        "unknown layer type 'Import': taken to have no learnable blobs and to make 'part/out'; "
        "the shape of its tops is unknown, give inputs={'part/out': (D, D, ..)}",
        "the shape of blob 'ip/0', [5, ?], cannot be known: give inputs={'part/out': (D, D, ..)}",
    ]
    assert plan(IMPORT, inputs={"part/out": (1, 9)}).layers[2].blobs[0].shape == (5, 9)
    with pytest.raises(NetError, match="Unknown bottom blob 'part/out'"):
        plan(IMPORT.replace('"Import"', '"Import" top: "elsewhere"'))


PHASES = """
layer { name: "a" type: "Input" top: "a" exclude { phase: RUN } }
layer { name: "b" type: "Input" top: "b" include { phase: RUN } }
layer { name: "c" type: "Input" top: "c" include { phase: RUN } include { phase: TRAIN } }
layer { name: "d" type: "Input" top: "d" exclude { phase: RUN stage: "x" } exclude { stage: "y" } }
layer { name: "e" type: "Input" top: "e" exclude { phase: RUN } exclude { } }
"""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"phase": caffe_pb2.TEST}, ["a", "d"]),
        ({"phase": caffe_pb2.TRAIN}, ["a", "c", "d"]),
        ({"phase": caffe_pb2.TEST, "stages": ["y"]}, ["a"]),
        ({"phase": caffe_pb2.TEST, "stages": ["x"]}, ["a", "d"]),
    ],
)
def test_a_rule_for_the_phase_of_a_fork_is_never_met(plan: Plan, options: dict[str, object], names: list[str]) -> None:
    net = plan(PHASES, **options)
    assert [layer.name for layer in net.layers] == names
    assert len([problem for problem in net.warnings if "Phase has no value RUN" in problem.message]) == 5


def test_the_first_report_is_the_error_of_strict_planning() -> None:
    document = read_net(
        b'layer { name: "d" type: "Input" top: "d" magic: 1 }\nlayer { name: "x" type: "Magic" bottom: "d" }'
    )
    assert len(plan_net(document).warnings) == 2
    with pytest.raises(PrototxtError, match=r"^1:42: LayerParameter has no field magic, passed over$"):
        plan_net(document, strict=True)
    document = read_net(b'layer { name: "d" type: "Input" top: "d" }\nlayer { name: "x" type: "Magic" bottom: "d" }')
    with pytest.raises(NetError, match=r"^line 2, layer 'x': unknown layer type 'Magic'"):
        plan_net(document, strict=True)


_INPUT = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 2, 3, 4] } } }\n'


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            'type: "Permute" permute_param { order: 3 }',
            "2:56: LayerParameter has no field permute_param, passed over",
        ),
        (
            'type: "ReLU6"',
            "line 2, layer 'x': layer type 'ReLU6' is one of forks, which BVLC's Caffe does not have. "
            "Received: type='ReLU6'",
        ),
        (
            'type: "Pooling" pooling_param { kernel_size: 1 ceil_mode: false }',
            "2:87: PoolingParameter has no field ceil_mode, passed over",
        ),
        ('type: "CuDNNReLU"', "line 2, layer 'x': layer type 'CuDNNReLU' is taken for 'ReLU'"),
        (
            'type: "Bias" bias_param { filler { type: "truncated_gaussian" } }',
            "line 2, layer 'x': blob 'x/0': BVLC's Caffe has no filler of this type; there are constant, gaussian, "
            "uniform, positive_unitball, xavier, msra, bilinear. Received: type='truncated_gaussian'",
        ),
    ],
)
def test_strict_planning_refuses_what_only_forks_understand(layer: str, words: str) -> None:
    document = read_net(f'{_INPUT}layer {{ name: "x" bottom: "d" top: "x" {layer} }}'.encode())
    assert None not in (plan_net(document).layers[1].tops[0].shape or (None,))
    with pytest.raises(InvalidArgument) as caught:
        plan_net(document, strict=True)
    assert str(caught.value) == words


def test_types_of_forks_are_refused_in_binary_nets_too() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Parse(f'{_INPUT}layer {{ name: "x" type: "ReLU6" bottom: "d" top: "x" }}', net)
    document = read_net(net.SerializeToString(), strict=True)
    assert plan_net(document).layers[1].tops[0].shape == (1, 2, 3, 4)
    with pytest.raises(NetError, match="layer type 'ReLU6' is one of forks"):
        plan_net(document, strict=True)


def test_a_misspelled_field_of_a_fork_s_block_is_refused_with_its_place() -> None:
    text = 'layer { name: "x" type: "Normalize" bottom: "d" top: "x" norm_param { scale_fillr { value: 20 } } }'
    document = read_net((_INPUT + text).encode())
    with pytest.raises(PrototxtError) as caught:
        plan_net(document)
    assert str(caught.value) == (
        "2:58: norm_param has no field scale_fillr (did you mean scale_filler?); lenient=True passes over it. "
        "Received: scale_fillr"
    )
    plan = plan_net(document, lenient=True)
    assert [problem.message for problem in plan.warnings] == [
        "norm_param has no field scale_fillr (did you mean 'scale_filler'?), passed over"
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'layer { name: "m" type: "MemoryData" top: "m" max_boxes: 1\n memory_data_param { label_type: 2 } }',
            "line 1, layer 'm': MemoryData Layer produces 2 top blob(s) as output. Received: bottoms=[], tops=['m']. "
            "Passed over in this layer: max_boxes (line 1), memory_data_param.label_type (line 2)",
        ),
        (
            _INPUT + 'layer { name: "f" type: "Flatten" bottom: "e" top: "f" mem_source: "a" }',
            "line 2, layer 'f': Unknown bottom blob 'e' (layer 'f', bottom index 0): "
            "inputs={'e': (D, D, ..)} makes it an input of the net. Received: bottom='e'. "
            "Passed over in this layer: mem_source (line 2)",
        ),
        (
            _INPUT + 'layer { name: "p" type: "Pooling" bottom: "d" top: "p" '
            "pooling_param { stride: 0 kernel_size: 1 ceil_mode: false shrink: 1 } }",
            "line 2, layer 'p': Stride dimensions cannot be zero. Received: stride=[0, 0]. "
            "Passed over in this layer: pooling_param.shrink (line 2)",
        ),
    ],
)
def test_an_error_names_what_was_passed_over_in_its_layer(text: str, words: str) -> None:
    with pytest.raises(NetError) as caught:
        plan_net(read_net(text.encode()))
    assert str(caught.value) == words


def test_several_sizes_of_a_window_are_those_of_its_axes(plan: Plan) -> None:
    text = _INPUT + 'layer { name: "p" type: "Pooling" bottom: "d" top: "p" pooling_param { %s } }'
    lines = plan(text % "kernel_size: 3 kernel_size: 2 stride: 1 stride: 2")
    assert lines.layers[1].tops == plan(text % "kernel_size: [3, 2] stride: [1, 2]").layers[1].tops
    assert lines.layers[1].tops[0].shape == (1, 2, 1, 2)
    assert lines.warnings == ()


def test_v0_nets_are_planned_around_unknown_types(plan: Plan) -> None:
    net = plan(
        'input: "d" input_dim: [2, 3, 8, 8]\n'
        'layers { layer { name: "u" type: "unheard_of" } bottom: "d" top: "u" }\n'
        'layers { layer { name: "i" type: "innerproduct" num_output: 4 } bottom: "u" top: "i" }\n'
        'layers { layer { name: "c" type: "conv" num_output: 5 kernelsize: 3 } bottom: "d" top: "c" }'
    )
    assert [blob.shape for blob in net.blobs] == [(4, None), (4,), (5, 3, 3, 3), (5,)]
    assert any("give tops={'u': (D, D, ..)}" in warning.message for warning in net.warnings)


@pytest.mark.parametrize(("number", "name", "bottoms"), [(34, "MVN", 2), (33, "Slice", 0), (39, "Deconvolution", 1)])
def test_a_number_of_a_binary_v1_file_may_be_a_type_of_a_fork(number: int, name: str, bottoms: int) -> None:
    net = caffe_pb2.NetParameter(name="\x01", input=["a", "b"], input_dim=[1, 2, 3, 4] * 2)
    net.layers.add(name="x", type=number, bottom=["a", "b"][:bottoms], top=["x"])  # type: ignore[arg-type]
    net.layers.add(name="i", type=14, bottom=["x"], top=["i"]).inner_product_param.num_output = 5  # type: ignore[arg-type]
    document = read_net(net.SerializeToString())
    planned = plan_net(document)
    assert [blob.shape for layer in planned.layers for blob in layer.blobs] == [(5, None), (5,)]
    assert f"layer type number {number}, '{name}' in BVLC's Caffe, is a fork's here" in planned.warnings[0].message
    assert plan_net(document, tops={"x": (2, 3)}).layers[-1].blobs[0].shape == (5, 3)
    with pytest.raises(NetError):
        plan_net(document, strict=True)


def test_an_error_has_the_warnings_that_explain_it() -> None:
    text = 'layer { name: "x" type: "Magic" top: "y" }\nlayer { name: "c" type: "ReLU" bottom: "nowhere" magic: 1 }'
    with pytest.raises(NetError) as caught:
        plan_net(read_net(text.encode()))
    assert [str(warning) for warning in caught.value.warnings] == [
        "2:50: layer 'c': LayerParameter has no field magic, passed over"
    ]


def test_blobs_of_old_files_have_four_axes(plan: Plan) -> None:
    blob = "blobs { num: %d channels: %d height: %d width: %d data: [%s] } "
    text = (
        'input: "d" input_dim: [1, 2, 3, 3] layer { name: "c" type: "Convolution" bottom: "d" top: "c" '
        "convolution_param { num_output: 4 kernel_size: 1 } "
    )
    weight = blob % (4, 2, 1, 1, ", ".join("1" * 8))
    net = plan(text + weight + blob % (1, 1, 1, 4, "1, 2, 3, 4") + "}")
    assert [blob.shape for blob in net.blobs] == [(4, 2, 1, 1), (4,)]
    assert all(blob.given for blob in net.blobs)
    assert [problem.message for problem in net.warnings] == [
        "blobs[1] has the four axes of old files, [1, 1, 1, 4]: taken for [4]"
    ]
    for wrong in (blob % (4, 1, 1, 1, "1, 2, 3, 4"), "blobs { shape { dim: [1, 1, 1, 4] } data: [1, 2, 3, 4] } "):
        with pytest.raises(NetError, match="Incorrect bias shape"):
            plan(text + weight + wrong + "}")
