import re

import pytest

from caffe_filler.interface import interface
from filler_client import FillerClient
from filler_server.models.graph import Graph, Node, graph
from filler_server.models.refusal import NoCounterpart, Refusal, refusal_error, refusals, tops_before

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }
layer { name: "odd" type: "Python" bottom: "relu" top: "odd" }
layer { name: "tanh" type: "TanH" bottom: "odd" top: "tanh" }
layer { name: "late" type: "Python" bottom: "tanh" bottom: "data" top: "late" }
layer { name: "side" type: "Sigmoid" bottom: "relu" top: "the side" }
"""


@pytest.fixture
def net() -> Graph:
    shapes = {"odd": (1, 3, 8, 8), "late": (1, 3)}
    return graph(FillerClient.embedded().plan_net(NET, phase="TEST", tops=shapes), {})


def python(node: Node) -> None:
    if node.type == "Python":
        raise NoCounterpart("it is code")


def test_all_are_named_with_the_tops_that_can_be_had(net: Graph) -> None:
    refused = refusals(net.nodes, python)
    assert [refusal.node.name for refusal in refused] == ["odd", "late"]
    assert tops_before(net, [refusal.node for refusal in refused]) == ["relu", "the side"]
    error = refusal_error(net, refused, "ONNX")
    assert error.layer is None
    assert str(error) == (
        "ONNX has no counterpart of 2 layers: layer 'odd' (Python, line 4): it is code; "
        "layer 'late' (Python, line 6): it is code. tops=['relu', 'the side'] stops before that"
    )
    with interface("cli"):
        assert "--top relu --top 'the side' stops" in str(refusal_error(net, refused, "ONNX"))


def test_one_alone(net: Graph) -> None:
    error = refusal_error(net, [Refusal(net.nodes[1], "it is code")], "PyTorch")
    assert (error.layer, error.line) == ("odd", 4)


def test_a_net_that_begins_with_it(net: Graph) -> None:
    assert "stops" not in str(refusal_error(net, [Refusal(net.nodes[0], "no")], "PyTorch"))


def test_many(net: Graph) -> None:
    nodes = [Node(f"n{number}", "ReLU", net.nodes[0].operation, (), ()) for number in range(60)]
    message = str(refusal_error(net, [Refusal(node, "no") for node in nodes], "PyTorch"))
    assert re.search(r"of 60 layers.*'n49' \(ReLU\): no; and 10 more", message)
