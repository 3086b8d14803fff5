import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, NetError
from filler_client import FillerClient
from filler_server.models.graph import Graph, check, graph, wanted, with_nodes
from filler_server.net.plan import NetPlan
from filler_server.tensors import ArrayTensor, Tensor

NET = """
name: "Small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "x" param { name: "w" }
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 bias_term: false } }
layer { name: "relu" type: "ReLU" bottom: "x" top: "x" }
layer { name: "drop" type: "Dropout" bottom: "x" top: "x" }
layer { name: "again" type: "Convolution" bottom: "x" top: "y" param { name: "w" }
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 bias_term: false } }
layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "y" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
"""


def tensors(plan: NetPlan) -> dict[str, Tensor]:
    owned = [blob for blob in plan.blobs if blob.owner is None]
    return {blob.name: ArrayTensor(blob.name, np.ones(blob.known_shape, np.float32)) for blob in owned}


@pytest.fixture
def small() -> Graph:
    plan = FillerClient.embedded().plan_net(NET, phase="TEST")
    return graph(plan, tensors(plan))


def test_each_value_has_a_name_of_its_own(small: Graph) -> None:
    assert small.inputs == ("data",)
    assert small.outputs == ("pool",)
    assert [(node.name, node.bottoms, node.tops) for node in small.nodes] == [
        ("conv", ("data",), ("x@conv",)),
        ("relu", ("x@conv",), ("x@relu",)),
        ("drop", ("x@relu",), ("x",)),
        ("again", ("x",), ("y",)),
        ("sum", ("x", "y"), ("sum",)),
        ("pool", ("sum",), ("pool",)),
    ]


def test_an_input_that_is_changed_in_place_keeps_its_name() -> None:
    net = """layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 } } }
    layer { name: "one" type: "ReLU" bottom: "x" top: "x" }
    layer { name: "two" type: "ReLU" bottom: "x" top: "x" }"""
    found = graph(FillerClient.embedded().plan_net(net, phase="TEST"), {})
    assert found.inputs == ("x",)
    assert [node.tops for node in found.nodes] == [("x@one",), ("x@two",)]
    assert found.outputs == ("x@two",)
    assert wanted(found, ["x"]).outputs == ("x@two",)
    assert wanted(found, ["x@one"]).outputs == ("x@one",)


def test_shared_values_are_one_tensor(small: Graph) -> None:
    assert list(small.tensors) == ["conv/0"]
    assert [node.blobs for node in small.nodes if node.blobs] == [("conv/0",), ("conv/0",)]


def test_a_top_in_the_middle_needs_what_comes_before_it(small: Graph) -> None:
    part = wanted(small, ["y", "x@conv"])
    assert [node.name for node in part.nodes] == ["conv", "relu", "drop", "again"]
    assert part.outputs == ("y", "x@conv")
    assert "sum" not in part.shapes


@pytest.mark.parametrize(
    ("tops", "message"), [(["sums"], r"no top 'sums' \(did you mean 'sum'\?\)"), (["y", "y"], "wanted once")]
)
def test_tops_that_are_not_there(small: Graph, tops: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        wanted(small, tops)


def test_other_nodes(small: Graph) -> None:
    kept = [node for node in small.nodes if node.name != "pool"]
    part = with_nodes(wanted(small, ["sum"]), kept)
    assert part.inputs == ("data",)
    assert "pool" not in part.shapes


def test_an_input_of_unknown_shape() -> None:
    net = """layer { name: "d" type: "Data" top: "data" data_param { batch_size: 2 } }
    layer { name: "r" type: "ReLU" bottom: "data" top: "r" }"""
    plan = FillerClient.embedded().plan_net(net, phase="TEST")
    with pytest.raises(NetError, match="the shape of input 'data' is not known; inputs="):
        check(graph(plan, {}))


def test_a_blob_without_values() -> None:
    plan = FillerClient.embedded().plan_net(NET, phase="TEST")
    with pytest.raises(InvalidArgument, match="no values for 1 of the blobs that the net needs: 'conv/0'"):
        check(graph(plan, {}))


def test_what_is_missing_elsewhere_does_not_matter() -> None:
    net = """layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } }
    layer { name: "r" type: "ReLU" bottom: "data" top: "r" }
    layer { name: "ip" type: "InnerProduct" bottom: "r" top: "ip" inner_product_param { num_output: 2 } }"""
    plan = FillerClient.embedded().plan_net(net, phase="TEST", inputs={"data": (2, 3)})
    assert check(wanted(graph(plan, {}), ["r"])).inputs == ("data",)


def test_a_net_without_outputs() -> None:
    plan = FillerClient.embedded().plan_net('layer { name: "d" type: "Input" top: "data" }', phase="TEST")
    with pytest.raises(InvalidArgument, match=r"no output; tops=\['NAME'\] names one"):
        check(graph(plan, {}))


def test_a_shared_blob_has_its_own_shape_in_each_node() -> None:
    net = """
    layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 2 dim: 1 } } }
    layer { name: "one" type: "Bias" bottom: "d" top: "one" param { name: "b" share_mode: PERMISSIVE } }
    layer { name: "none" type: "Bias" bottom: "one" top: "none" param { name: "b" share_mode: PERMISSIVE }
      bias_param { num_axes: 0 } }
    """
    plan = FillerClient.embedded().plan_net(net, phase="TEST")
    small = graph(plan, tensors(plan))
    assert [small.blob_shape(node, 0) for node in small.nodes] == [(1,), ()]
