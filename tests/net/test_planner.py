from collections.abc import Callable

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError, ShapeError
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from tests.growth import growth

Plan = Callable[..., NetPlan]

DATA = 'layer { name: "data" type: "Data" top: "data" data_param { batch_size: 8 } transform_param { crop_size: 7 } }\n'
CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 } }\n"
)
IP = 'layer { name: "ip" type: "InnerProduct" bottom: "%s" top: "ip" inner_product_param { num_output: 5 } }\n'


def messages(net: NetPlan) -> list[str]:
    return [problem.message for problem in net.warnings]


def shapes(net: NetPlan) -> dict[str, object]:
    return {top.name: top.shape for layer in net.layers for top in layer.tops} | {
        blob.name: blob.shape for blob in net.blobs
    }


def test_an_unknown_dimension_costs_only_the_blobs_that_need_it(plan: Plan) -> None:
    net = plan('name: "small" ' + DATA + CONV + IP % "conv")
    assert net.name == "small"
    assert shapes(net) == {
        "data": (8, None, 7, 7),
        "conv": (8, 4, 5, 5),
        "ip": (8, 5),
        "conv/0": (4, None, 3, 3),
        "conv/1": (4,),
        "ip/0": (5, 100),
        "ip/1": (5,),
    }
    assert messages(net) == [
        "the shape of blob 'conv/0', [4, ?, 3, 3], cannot be known: give inputs={'data': (8, C, 7, 7)}"
    ]
    assert (net.warnings[0].layer, net.warnings[0].line) == ("conv", 2)
    assert net.parameters == 4 + 500 + 5


def test_inputs_settle_it(plan: Plan) -> None:
    net = plan(DATA + CONV + IP % "conv", inputs={"data": (2, 3, 9, 9)})
    assert (shapes(net)["conv/0"], shapes(net)["ip/0"]) == ((4, 3, 3, 3), (5, 196))
    assert net.warnings == ()


def test_inputs_overrule_an_input_layer_but_for_what_they_leave_open(plan: Plan) -> None:
    text = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }'
    net = plan(text + CONV + IP % "conv", inputs={"data": (None, 2, 5, 5)})
    assert shapes(net)["conv"] == (1, 4, 3, 3)
    assert shapes(net)["ip/0"] == (5, 36)
    assert net.warnings == ()


def test_an_input_of_unknown_rank(plan: Plan) -> None:
    net = plan('layer { name: "in" type: "Input" top: "data" }' + CONV + IP % "conv")
    assert shapes(net) == {
        "data": None,
        "conv": None,
        "ip": (None, 5),
        "conv/0": None,
        "conv/1": (4,),
        "ip/0": (5, None),
        "ip/1": (5,),
    }
    assert messages(net) == [
        "the shape of blob 'conv/0', ?, cannot be known: give inputs={'data': (D, D, ..)}",
        "the shape of blob 'ip/0', [5, ?], cannot be known: give inputs={'data': (D, D, ..)}",
    ]


def test_every_origin_is_named(plan: Plan) -> None:
    net = plan(
        'layer { name: "a" type: "Input" top: "a" } layer { name: "b" type: "Input" top: "b" }'
        'layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" top: "cat" }' + IP % "cat"
    )
    assert messages(net) == [
        "the shape of blob 'ip/0', [5, ?], cannot be known: give inputs={'a': (D, D, ..), 'b': (D, D, ..)}"
    ]


def test_only_what_a_blob_needs_is_asked_for(plan: Plan) -> None:
    """Of two bottoms in one, the weight needs the channels of one and the batch size of none."""
    net = plan(
        'layer { name: "a" type: "Input" top: "a" } layer { name: "b" type: "Input" top: "b" }'
        'layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" top: "cat" }' + IP % "cat",
        inputs={"a": (None, 3), "b": (4, None)},
    )
    assert shapes(net)["cat"] == (4, None)
    assert messages(net) == ["the shape of blob 'ip/0', [5, ?], cannot be known: give inputs={'b': (4, D)}"]


def test_an_unknown_type_is_reported_and_the_rest_is_planned(plan: Plan) -> None:
    text = DATA + CONV + 'layer { name: "x" type: "Covolution" bottom: "conv" top: "x" top: "y" }\n' + IP % "x"
    net = plan(text, inputs={"data": (8, 3, 7, 7)})
    assert messages(net) == [
        "unknown layer type 'Covolution' (did you mean 'Convolution'?): taken to have no learnable blobs; the shape of "
        "its tops is unknown, give tops={'x': (D, D, ..)}",
        "the shape of blob 'ip/0', [5, ?], cannot be known: give tops={'x': (D, D, ..)}",
    ]
    assert (net.warnings[0].layer, net.warnings[0].line) == ("x", 3)
    assert net.layers[2].blobs == ()
    net = plan(text, inputs={"data": (8, 3, 7, 7)}, tops={"x": (8, 6)})
    assert shapes(net)["ip/0"] == (5, 6)
    assert shapes(net)["y"] is None
    assert messages(net) == [
        "unknown layer type 'Covolution' (did you mean 'Convolution'?): taken to have no learnable blobs"
    ]


def test_an_unknown_type_in_place_keeps_the_shape(plan: Plan) -> None:
    net = plan(
        DATA
        + CONV
        + 'layer { name: "x" type: "Unheard" bottom: "conv" top: "conv" param { } loss_weight: 1 }'
        + IP % "conv",
        inputs={"data": (8, 3, 7, 7)},
    )
    assert shapes(net)["ip/0"] == (5, 100)
    assert messages(net) == ["unknown layer type 'Unheard': taken to have no learnable blobs"]


def test_an_unknown_source_is_an_input(plan: Plan) -> None:
    text = 'layer { name: "data" type: "TripletData" top: "data" }' + CONV
    assert messages(plan(text))[0].endswith("give inputs={'data': (D, D, ..)}")
    assert shapes(plan(text, inputs={"data": (8, 3, 7, 7)}))["conv/0"] == (4, 3, 3, 3)


def test_python_tops_are_declared(plan: Plan) -> None:
    text = (
        'layer { name: "data" type: "Python" top: "data" }\n'
        'layer { name: "rois" type: "Python" bottom: "data" top: "rois" param { name: "w" } }\n' + IP % "rois"
    )
    assert messages(plan(text)) == ["the shape of blob 'ip/0', [5, ?], cannot be known: give tops={'rois': (D, D, ..)}"]
    net = plan(text, inputs={"data": (1, 3, 600, 800)}, tops={"rois": (300, 5)})
    assert shapes(net)["ip/0"] == (5, 5)
    assert net.warnings == ()


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Pooling" pooling_param { pool: AVE global_pooling: true }',
        'type: "Pooling" pooling_param { kernel_size: 3 }',
        'type: "LRN"',
        'type: "MVN"',
        'type: "SPP" spp_param { pyramid_height: 3 }',
        'type: "Flatten"',
        'type: "Reshape" reshape_param { shape { dim: 0 dim: -1 } }',
        'type: "Softmax"',
        'type: "ArgMax"',
        'type: "Tile" tile_param { tiles: 2 }',
        'type: "Reduction" reduction_param { axis: 1 }',
        'type: "PReLU"',
        'type: "BatchNorm"',
        'type: "Scale" scale_param { bias_term: true }',
        'type: "Bias" bias_param { num_axes: -1 }',
        'type: "Im2col" convolution_param { kernel_size: 3 }',
        'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 }',
        'type: "Embed" embed_param { num_output: 4 input_dim: 9 }',
        'type: "ConvolutionDepthwise" convolution_param { kernel_size: 3 }',
    ],
)
@pytest.mark.parametrize("shape", [None, (None,) * 4, (2, None, None, None), (None, 6, 8, None)])
def test_unknown_dimensions_never_make_a_layer_fail(plan: Plan, layer: str, shape: object) -> None:
    """A net with an open dimension has the shapes of the net with it known."""
    text = f'layer {{ name: "in" type: "Input" top: "a" }} layer {{ name: "it" bottom: "a" top: "it" {layer} }}'
    blind = shapes(plan(text, inputs={"a": shape}))
    seeing = shapes(plan(text, inputs={"a": (2, 6, 8, 8)}))
    assert blind.keys() == seeing.keys()
    for name, dims in blind.items():
        known = seeing[name]
        assert isinstance(known, tuple)
        if isinstance(dims, tuple):
            assert len(dims) == len(known)
            assert all(mine in (None, theirs) for mine, theirs in zip(dims, known, strict=True))


@pytest.mark.parametrize("shape", [None, (None, None), (2, None), (None, 6)])
@pytest.mark.parametrize(
    ("layer", "may_be_a_matrix"),
    [
        ('type: "SoftmaxWithLoss"', "ab"),
        ('type: "EuclideanLoss"', "ab"),
        ('type: "SigmoidCrossEntropyLoss"', "ab"),
        ('type: "HingeLoss"', "ab"),
        ('type: "Accuracy"', "ab"),
        ('type: "Concat"', "ab"),
        ('type: "Eltwise"', "ab"),
        ('type: "Crop" crop_param { axis: 1 }', "ab"),
        ('type: "Scale"', "ab"),
        ('type: "SmoothL1Loss"', "ab"),
        ('type: "BatchReindex"', "a"),
        ('type: "Filter"', "a"),
        ('type: "LSTM" recurrent_param { num_output: 3 }', "b"),
    ],
)
def test_one_unknown_bottom_of_two_never_makes_a_layer_fail(
    plan: Plan, layer: str, may_be_a_matrix: str, shape: object
) -> None:
    text = (
        'layer { name: "in" type: "Input" top: "a" top: "b" } '
        f'layer {{ name: "it" bottom: "a" bottom: "b" top: "it" {layer} }}'
    )
    for bottom in may_be_a_matrix:
        assert len(plan(text, inputs={bottom: shape}).layers[1].tops) == 1


def test_checks_that_can_be_made_are_made(plan: Plan) -> None:
    with pytest.raises(NetError, match=r"must have the same shape"):
        plan(
            'layer { name: "in" type: "Input" top: "a" top: "b" } '
            'layer { name: "it" type: "Eltwise" bottom: "a" bottom: "b" top: "it" }',
            inputs={"a": (None, 3), "b": (None, 4)},
        )


def test_an_unknown_batch_hides_nothing_from_reshape(plan: Plan) -> None:
    text = (
        'layer { name: "in" type: "Input" top: "a" } '
        'layer { name: "it" type: "Reshape" bottom: "a" top: "it" reshape_param { shape { dim: 0 dim: %s } } }'
    )
    assert shapes(plan(text % "-1", inputs={"a": (None, 6, 4)}))["it"] == (None, 24)
    assert shapes(plan(text % "24", inputs={"a": (None, 6, 4)}))["it"] == (None, 24)
    with pytest.raises(NetError, match="output count must match input count"):
        plan(text % "23", inputs={"a": (None, 6, 4)})
    with pytest.raises(NetError, match="must be divisible"):
        plan(text % "-1 dim: 5", inputs={"a": (None, 6, 4)})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"inputs": {"dat": (1,)}},
            "inputs: no input of the net has this name (did you mean 'data'?); there are: 'data'. Received",
        ),
        (
            {"inputs": {"conv": (1,)}},
            "inputs: no input of the net has this name; there are: 'data'. Received: name='conv'",
        ),
        ({"tops": {"nope": (1,)}}, "tops: no top of the net has this name; there are: 'data', 'conv'. Received"),
    ],
)
def test_a_name_that_does_not_exist(plan: Plan, options: dict[str, dict[str, tuple[int, ...]]], words: str) -> None:
    with pytest.raises(NetError) as caught:
        plan(DATA + CONV, **options)
    assert words in caught.value.message
    assert caught.value.layer is None


@pytest.mark.parametrize("shape", [(1, -3), (1,) * 33, (65536, 65536), (1.5,), "10"])
def test_a_declared_shape_that_cannot_be(plan: Plan, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"inputs data: .*Received: shape="):
        plan(DATA + CONV, inputs={"data": shape})


def test_a_parameter_layer_is_no_input(plan: Plan) -> None:
    with pytest.raises(NetError, match=r"inputs: no input of the net has this name; there are: none"):
        plan('layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }', inputs={"p": (4,)})


def test_problems_of_the_reader_come_first(plan: Plan) -> None:
    net = plan(DATA.replace("batch_size: 8", "batch_size: 8 unheard: 1") + CONV)
    assert "unheard" in messages(net)[0]
    assert "'conv/0'" in messages(net)[1]


def test_a_message_is_as_good_as_a_document() -> None:
    document = read_net((DATA + CONV).encode())
    from_message, from_document = plan_net(document.net), plan_net(document)
    assert [layer.blobs for layer in from_message.layers] == [layer.blobs for layer in from_document.layers]
    assert [layer.line for layer in from_message.layers] == [None, None]
    assert [layer.line for layer in from_document.layers] == [1, 2]


def test_old_formats_are_upgraded_first() -> None:
    with pytest.raises(NetError, match=r"must be upgraded first. Received: layers=0, input=\['data'\]"):
        plan_net(caffe_pb2.NetParameter(input=["data"]))


def test_an_empty_net(plan: Plan) -> None:
    net = plan("")
    assert (net.layers, net.parameters, net.warnings, net.state.phase) == ((), 0, (), caffe_pb2.TEST)


def residual_net(blocks: int, join: str) -> str:
    lines = ['layer { name: "data" type: "Input" top: "x0" input_param { shape { dim: 1 dim: 8 dim: 4 dim: 4 } } }']
    for index in range(1, blocks + 1):
        bottom, top = f"x{index - 1}", f"x{index}"
        lines += [
            f'layer {{ name: "conv{index}" type: "Convolution" bottom: "{bottom}" top: "c{index}" '
            "convolution_param { num_output: 8 kernel_size: 3 pad: 1 bias_term: false } }",
            f'layer {{ name: "bn{index}" type: "BatchNorm" bottom: "c{index}" top: "c{index}" }}',
            f'layer {{ name: "scale{index}" type: "Scale" bottom: "c{index}" top: "c{index}" }}',
            f'layer {{ name: "relu{index}" type: "ReLU" bottom: "c{index}" top: "c{index}" }}',
            f'layer {{ name: "join{index}" type: "{join}" bottom: "{bottom}" bottom: "c{index}" top: "{top}" }}',
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("join", ["Eltwise", "Concat", "Unheard"])
def test_the_work_grows_as_the_net_does_up_to_the_largest_known(join: str) -> None:
    documents = {blocks: read_net(residual_net(blocks, join).encode()) for blocks in (1068 // 12, 1068)}
    assert len(documents[1068].net.layer) == 5341
    assert growth(lambda blocks: lambda: plan_net(documents[blocks]), 1068, times=12) < 24


def test_a_dense_net_of_unknown_types_stays_small() -> None:
    """Every top depends on all before it; what is asked for must not grow with them."""
    lines = ['layer { name: "x0" type: "Unheard" top: "x0" }']
    for index in range(1, 1000):
        lines.append(f'layer {{ name: "u{index}" type: "Unheard" bottom: "x{index - 1}" top: "u{index}" }}')
        lines.append(
            f'layer {{ name: "x{index}" type: "Concat" bottom: "x{index - 1}" bottom: "u{index}" top: "x{index}" }}'
        )
        lines.append(
            f'layer {{ name: "ip{index}" type: "InnerProduct" bottom: "x{index}" top: "ip{index}" '
            "inner_product_param { num_output: 2 } }"
        )
    net = plan_net(read_net("\n".join(lines).encode()))
    assert max(len(message) for message in messages(net)) < 500
