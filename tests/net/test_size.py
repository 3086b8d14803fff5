"""Bounds on plans: the length of its net bounds what a plan takes."""

import tracemalloc

import pytest

from caffe_filler.caffe.caffe_pb2 import BlobProto, BlobShape, NetParameter
from caffe_filler.errors import LimitExceeded
from filler_server.net.planner import plan_net
from filler_server.net.size import most_bytes, plan_bytes

SMALL = 1 << 20
OVER = r"^over the limit plan_bytes=\d+\. Received: \d+$"


def net_of(kind: str, *, dims: list[int], tops: int = 1, name: str = "l", layers: int = 1) -> NetParameter:
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d"]).input_param.shape.add(dim=dims)
    for layer in range(layers):
        net.layer.add(name=name, type=kind, bottom=["d"], top=[f"{layer}.{top}" for top in range(tops)])
    return net


def with_blobs(name: str, blobs: int) -> NetParameter:
    net = net_of("ReLU", dims=[1], name=name)
    net.layer[1].blobs.extend([BlobProto(shape=BlobShape(), data=[0])] * blobs)
    return net


def sharers(name: str, count: int) -> NetParameter:
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d"]).input_param.shape.add(dim=[1, 1])
    for layer_name in (name, *map(str, range(count))):
        layer = net.layer.add(name=layer_name, type="Bias", bottom=["d"], top=["d"])
        layer.param.add(name="p")
        layer.bias_param.num_axes = 1
    return net


def unknown_shapes() -> NetParameter:
    """Layers that are warned about, each in many more words than it has: the option that would help is long."""
    net = NetParameter()
    data = "d" * 4000
    net.layer.add(name="d", type="Data", top=[data]).data_param.batch_size = 1
    for index in range(1000):
        net.layer.add(name=str(index), type="Scale", bottom=["x" if index else data], top=["x"])
    return net


TOO_MUCH = {
    "a name for every blob": lambda: with_blobs("n" * 4000, 1000),
    "an owner for every blob": lambda: sharers("o" * 4000, 1000),
    "a shape for every top of Split": lambda: net_of("Split", dims=[1] * 32, tops=5000),
    "a shape for every top of Slice": lambda: net_of("Slice", dims=[1, 5000, *[1] * 30], tops=5000),
    "tops": lambda: net_of("Split", dims=[1], tops=50_000),
    "blobs": lambda: with_blobs("n", 30_000),
    "layers with a shape each": lambda: net_of("ReLU", dims=[1] * 32, layers=5000),
    "a warning for every layer": unknown_shapes,
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_more_than_a_net_of_this_length_has_reason_for(case: str) -> None:
    net = TOO_MUCH[case]()
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match=OVER) as caught:
            plan_net(net, plan_bytes=SMALL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.value == most_bytes(net.ByteSize(), SMALL)
    assert peak < 3 * caught.value.value


def test_the_size_of_a_plan_is_about_what_it_takes() -> None:
    net = net_of("Split", dims=[2, 3, 4, 5], tops=20_000)
    plan_net(net)
    tracemalloc.start()
    plan = plan_net(net)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.3 * kept < plan_bytes(plan) < 3 * kept


def test_what_may_be_made_of_a_net_can_be_set() -> None:
    net = net_of("Split", dims=[2], tops=10)
    assert plan_net(net, plan_bytes=10_000).layers
    with pytest.raises(LimitExceeded, match=OVER):
        plan_net(net, plan_bytes=100)
