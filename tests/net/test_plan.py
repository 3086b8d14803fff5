"""Plans as people and programs see them: edges, values, tables, plain values."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import InvalidArgument
from filler_server.net.plan import Edge, Layer, NetPlan, Value, unique_names
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net

Plan = Callable[..., NetPlan]

NETS = Path(__file__).resolve().parents[1] / "nets"
FILES = sorted(path.name for path in NETS.glob("*.prototxt"))
CASES = [(name, phase) for name in FILES for phase in (0, 1) if (name, phase) != ("mnist_autoencoder.prototxt", 1)]
"""Nets and phases; the one left out has no data without a stage."""
INPUT = 'layer { name: "in" type: "Input" top: "data" top: "label" input_param { shape { dim: [2, 6] } } }\n'
IP = 'layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s" inner_product_param { num_output: 3 } }\n'


def net(name: str, phase: int = 0) -> NetPlan:
    return plan_net(read_net((NETS / name).read_bytes()), phase=phase)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "phase"), CASES)
def test_every_bottom_has_one_producer_that_stands_before_it(name: str, phase: int) -> None:
    plan = net(name, phase)
    for index, layer in enumerate(plan.layers):
        assert len(layer.producers) == len(layer.bottoms)
        for bottom, value in zip(layer.bottoms, layer.producers, strict=True):
            assert value.layer < index
            assert plan.top(value).name == bottom
            # Nothing between them makes a value of this name.
            between = plan.layers[value.layer + 1 : index]
            assert all(top.name != bottom for other in between for top in other.tops)
    values = [Value(index, top) for index, layer in enumerate(plan.layers) for top in range(len(layer.tops))]
    read = [edge.value for edge in plan.edges]
    assert [value for value in values if value not in read] == list(plan.outputs)
    assert sorted(edge for value in values for edge in plan.readers(value)) == sorted(plan.edges)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=12), st.data())
def test_in_place_layers_make_new_values(plan: Plan, steps: list[tuple[str, bool]], data: st.DataObject) -> None:
    """A chain of layers, some in place: the last value of a name feeds its readers."""
    text = 'layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: [2, 6] } } }\n'
    name, values = "x0", [Value(0, 0)]
    for index, (_, in_place) in enumerate(steps, start=1):
        top = name if in_place else f"x{index}"
        text += f'layer {{ name: "l{index}" type: "ReLU" bottom: "{name}" top: "{top}" }}\n'
        name = top
        values.append(Value(index, 0))
    planned = plan(text)
    assert planned.edges == tuple(Edge(value, value.layer + 1, 0) for value in values[:-1])
    assert planned.outputs == (values[-1],)
    chosen = data.draw(st.sampled_from(values[:-1]))
    assert planned.readers(chosen) == (Edge(chosen, chosen.layer + 1, 0),)
    assert planned.readers(values[-1]) == ()


def test_a_value_with_several_readers(plan: Plan) -> None:
    planned = plan(INPUT + IP % ("a", "data", "a") + IP % ("b", "data", "b") + IP % ("c", "a", "c"))
    data = Value(0, 0)
    assert planned.readers(data) == (Edge(data, 1, 0), Edge(data, 2, 0))
    assert planned.inputs == (Value(0, 0), Value(0, 1))
    assert planned.outputs == (Value(0, 1), Value(2, 0), Value(3, 0))


def test_one_layer_may_read_a_value_twice(plan: Plan) -> None:
    planned = plan(INPUT + 'layer { name: "e" type: "Eltwise" bottom: "data" bottom: "data" top: "e" }')
    assert planned.readers(Value(0, 0)) == (Edge(Value(0, 0), 1, 0), Edge(Value(0, 0), 1, 1))


def test_a_blob_that_is_a_top_is_no_input(plan: Plan) -> None:
    planned = plan(
        INPUT + 'layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }'
        'layer { name: "n" type: "Nobodys" top: "n" }'
    )
    assert planned.inputs == (Value(0, 0), Value(0, 1), Value(2, 0))


LOSS = 'layer { name: "loss" type: "%s" bottom: "ip" bottom: "%s" %s }\n'
TWO_TOPS = 'layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b" %s }\n'


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        (LOSS % ("EuclideanLoss", "ip2", 'top: "l"'), (1.0,)),
        (LOSS % ("EuclideanLoss", "ip2", ""), (1.0,)),
        (LOSS % ("EuclideanLoss", "ip2", 'top: "l" loss_weight: 0.5'), (0.5,)),
        (LOSS % ("EuclideanLoss", "ip2", 'top: "l" loss_weight: 0'), (0.0,)),
        (IP % ("last", "ip", "last"), (0.0,)),
        (TWO_TOPS % "loss_weight: 0 loss_weight: 2", (0.0, 2.0)),
        (TWO_TOPS % "", (0.0, 0.0)),
    ],
)
def test_loss_weights(plan: Plan, text: str, weights: tuple[float, ...]) -> None:
    planned = plan(INPUT + IP % ("ip", "data", "ip") + IP % ("ip2", "data", "ip2") + text)
    assert planned.layers[-1].loss_weights == weights


def test_a_loss_that_another_layer_reads_goes_through_a_split(plan: Plan) -> None:
    """`InsertSplits` hands the weight to the Split layer; then the layer has none of its own but that of a loss."""
    text = INPUT + TWO_TOPS % "loss_weight: 3 loss_weight: 2" + IP % ("c", "a", "c")
    assert plan(text).layers[1].loss_weights == (3.0, 0.0)
    loss = IP % ("ip", "data", "ip") + IP % ("ip2", "data", "ip2") + LOSS
    text = INPUT + loss % ("EuclideanLoss", "ip2", 'top: "l" loss_weight: 0.5')
    text += 'layer { name: "r" type: "ReLU" bottom: "l" top: "r" }'
    assert plan(text).layers[3].loss_weights == (1.5,)


def test_plans_of_one_net_are_equal() -> None:
    assert net("lenet.prototxt") == net("lenet.prototxt")
    assert net("lenet_train_test.prototxt", 0) != net("lenet_train_test.prototxt", 1)


def test_a_plan_without_definitions_says_so() -> None:
    with pytest.raises(InvalidArgument, match="a plan from a server has no definitions of its layers"):
        _ = Layer("a", "ReLU", (), (), ()).parameter


def test_repr_is_one_short_line() -> None:
    plan = net("lenet.prototxt", 1)
    assert repr(plan) == "NetPlan('LeNet', TEST, 9 layers, 8 blobs, 431,080 parameters)"
    assert repr(plan.layers[1]) == (
        "Layer('conv1', Convolution(kernel=(5, 5), stride=(1, 1), pad=(0, 0), dilation=(1, 1), num_output=20), "
        "data -> conv1 (64, 20, 24, 24))"
    )
    assert repr(plan.layers[1].blobs[0]) == "Blob('conv1/0', (20, 1, 5, 5), xavier)"


def test_a_table_has_a_line_for_each_layer_and_blob() -> None:
    lines = str(net("lenet.prototxt", 1)).splitlines()
    assert lines[0] == "LeNet (TEST)"
    assert lines[1].split()[:6] == ["layer,", "blob", "type,", "shape", "tops,", "filler"]
    assert lines[3].split() == ["conv1", "Convolution", "conv1", "64x20x24x24"]
    assert lines[4].split() == ["conv1/0", "20x1x5x5", "xavier", "500"]
    assert lines[-1] == "431,080 parameters"


@pytest.mark.parametrize("name", FILES)
def test_tables_fit_80_columns(name: str) -> None:
    lines = str(net(name)).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


HOSTILE = 'name: "<b>\\n&" layer { name: "<script>\\033[2J" type: "Input" top: "<i>" input_param { shape { dim: 1 } } }'


def test_names_cannot_steer_a_terminal_or_a_notebook(plan: Plan) -> None:
    planned = plan(HOSTILE)
    assert str(planned).isascii()
    assert "\x1b" not in str(planned)
    html = planned._repr_html_()
    assert "<script>" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    for shown in (planned, *planned.layers):
        assert repr(shown).isprintable()


def test_html_is_a_table() -> None:
    html = net("lenet.prototxt", 1)._repr_html_()
    assert html.startswith("<table>")
    assert html.count("<tr>") == 1 + 9 + 4 * 2
    assert '<td style="text-align: right">500</td>' in html


@pytest.mark.parametrize("name", FILES)
def test_plain_values_are_json(name: str) -> None:
    plan = net(name)
    document = plan.as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [layer["name"] for layer in document["layers"]] == [layer.name for layer in plan.layers]
    assert document["parameters"] == plan.parameters


def test_plain_values(plan: Plan) -> None:
    planned = plan(
        'layer { name: "d" type: "Input" top: "x" }\n'
        'layer { name: "c" type: "Convolution" bottom: "x" top: "x" convolution_param { num_output: 4 kernel_h: 3 '
        'kernel_w: 2 weight_filler { type: "gaussian" std: 0.5 } bias_term: false } }\n'
        'layer { name: "n" type: "Clip" bottom: "x" top: "y" clip_param { min: -inf max: 0.1 } }\n',
        stages=["deploy"],
        phase=1,
    )
    document = planned.as_dict()
    assert (document["phase"], document["level"], document["stages"]) == ("TEST", 0, ["deploy"])
    assert document["edges"] == [
        {"value": [0, 0], "reader": 1, "bottom": 0},
        {"value": [1, 0], "reader": 2, "bottom": 0},
    ]
    assert (document["inputs"], document["outputs"]) == ([[0, 0]], [[2, 0]])
    _, convolution, clip = document["layers"]
    assert convolution["operation"] == {
        "type": "Convolution",
        "kernel": [3, 2],
        "stride": [1, 1],
        "pad": [0, 0],
        "dilation": [1, 1],
        "num_output": 4,
        "group": 1,
        "axis": 1,
        "bias": False,
        "squeeze": False,
    }
    assert convolution["blobs"] == [
        {
            "name": "c/0",
            "shape": [4, None, 3, 2],
            "filler": 'type: "gaussian" std: 0.5',
            "given": False,
            "owner": None,
            "count": None,
            "fan_in": None,
            "fan_out": None,
            "mean": None,
            "std": None,
        }
    ]
    assert clip["operation"] == {"type": "Clip", "lower": "-inf", "upper": 0.1}
    assert clip["tops"] == [{"name": "y", "shape": None}]


def test_the_first_of_a_name_keeps_it() -> None:
    assert unique_names(["conv", "ip", "conv", "conv"]) == ["conv", "ip", "conv#2", "conv#3"]


def test_a_name_that_looks_numbered_is_no_collision() -> None:
    assert unique_names(["a", "a", "a#2", "a"]) == ["a", "a#3", "a#2", "a#4"]
    assert unique_names(["a#2", "a#2", "a", "a"]) == ["a#2", "a#2#2", "a", "a#3"]


def test_no_name_at_all_is_a_name() -> None:
    assert unique_names(["", ""]) == ["", "#2"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "a#2#2", "b", ""]), max_size=12))
def test_names_are_unique_and_lone_ones_are_kept(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    for name, result in zip(names, unique, strict=True):
        if names.count(name) == 1:
            assert result == name


def test_blobs_of_layers_with_one_name_are_told_apart(plan) -> None:  # type: ignore[no-untyped-def]
    net = plan(
        """
        layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: 4 } }
        layer { name: "ip" type: "InnerProduct" bottom: "b" top: "c" inner_product_param { num_output: 5 } }
        """
    )
    assert [(blob.name, blob.shape) for blob in net.blobs] == [
        ("ip/0", (4, 3)),
        ("ip/1", (4,)),
        ("ip#2/0", (5, 4)),
        ("ip#2/1", (5,)),
    ]
    assert net.parameters == 12 + 4 + 20 + 5
