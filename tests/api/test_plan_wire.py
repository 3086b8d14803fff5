"""Plans over the wire: what arrives equals what was sent."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import DataLoss
from caffe_filler.v1 import filler_pb2
from filler_server.api.expectations import expected
from filler_server.api.plan_wire import from_wire, to_wire
from filler_server.net.operations import Operation, Unknown
from filler_server.net.operations.activations import ReLU
from filler_server.net.plan import Layer, NetPlan, Top, Value
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from tests.net.layers.operation_cases import OPERATIONS

NETS = Path(__file__).resolve().parents[1] / "nets"
FILES = sorted(path.name for path in NETS.glob("*.prototxt"))
CASES = [(name, phase) for name in FILES for phase in (0, 1) if (name, phase) != ("mnist_autoencoder.prototxt", 1)]
"""Nets and phases; the one left out has no data without a stage."""
EMPTY = plan_net(read_net(b'name: "n"'))


def over_the_wire(plan: NetPlan) -> NetPlan:
    return from_wire(filler_pb2.PlanNetResponse.FromString(to_wire(plan).SerializeToString()))


def one_layer(operation: Operation) -> NetPlan:
    return replace(EMPTY, layers=(Layer("it", "It", (), (Top("t", None),), (), operation=operation),))


@pytest.mark.parametrize(("name", "phase"), CASES)
def test_every_net(name: str, phase: int) -> None:
    plan = expected(plan_net(read_net((NETS / name).read_bytes()), phase=phase))  # type: ignore[arg-type]
    found = over_the_wire(plan)
    assert found == plan
    assert found.as_dict() == plan.as_dict()
    assert (found.edges, found.inputs, found.outputs) == (plan.edges, plan.inputs, plan.outputs)


@pytest.mark.parametrize("operation", [case[2] for case in OPERATIONS], ids=repr)
def test_every_operation(operation: Operation) -> None:
    (layer,) = over_the_wire(one_layer(operation)).layers
    assert layer.operation == operation
    assert list(map(type, layer.operation.attributes().values())) == list(map(type, operation.attributes().values()))


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of the type of an attribute."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(values(arguments[0]), max_size=4).map(tuple)
        return st.tuples(*map(values, arguments))
    if arguments:
        return st.one_of(*map(values, arguments))
    if isinstance(hint, type) and issubclass(hint, Operation):
        return operations(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(-(1 << 63), (1 << 63) - 1),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=9),
    }
    return simple[hint]


def operations(kind: type[Operation]) -> st.SearchStrategy[Operation]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.names()})


@given(st.sampled_from(sorted(Operation.kinds)).flatmap(lambda name: operations(Operation.kinds[name])))
def test_any_attributes(operation: Operation) -> None:
    assert over_the_wire(one_layer(operation)).layers[0].operation == operation


def test_draws_and_what_is_unknown_arrive() -> None:
    text = (
        'layer { name: "d" type: "Input" top: "x" }'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 3 } }'
    )
    plan = plan_net(read_net(text.encode()))
    plan = replace(plan, layers=tuple(replace(layer, draws=number) for number, layer in enumerate(plan.layers)))
    plan = replace(plan, sequential=True)
    found = over_the_wire(plan)
    assert found == plan
    assert next(found.blobs).unknown == next(plan.blobs).unknown
    assert "give inputs={'x': (D, D, ..)}" in str(next(found.blobs).unknown)


def test_an_operation_of_a_newer_server_is_unknown() -> None:
    message = to_wire(one_layer(ReLU()))
    operation = message.layers[0].operation
    operation.attributes.add(name="softness", value={"number": 1})
    assert from_wire(message).layers[0].operation == Unknown(
        reason="this version knows the operation ReLU with other attributes: softness"
    )
    del operation.attributes[:]
    assert from_wire(message).layers[0].operation == Unknown(
        reason="this version knows the operation ReLU with other attributes: negative_slope"
    )
    operation.attributes.add(name="negative_slope", value={"text": "steep"})
    assert from_wire(message).layers[0].operation == Unknown(
        reason="the attribute negative_slope of the operation ReLU is of another kind"
    )
    operation.type = "Softer"
    assert from_wire(message).layers[0].operation == Unknown(reason="this version does not know the operation 'Softer'")


def test_an_older_server_tells_no_producers() -> None:
    plan = plan_net(read_net((NETS / "in_place.prototxt").read_bytes()))
    message = to_wire(plan)
    for layer in message.layers:
        layer.ClearField("producers")
        layer.ClearField("operation")
    found = from_wire(message)
    assert [layer.producers for layer in found.layers] == [layer.producers for layer in plan.layers]
    assert {type(layer.operation) for layer in found.layers} == {Unknown}


@pytest.mark.parametrize("value", [Value(2, 0), Value(1, 0), Value(0, 1)])
def test_an_edge_starts_at_a_value_of_a_layer_before(value: Value) -> None:
    text = b'layer { name: "d" type: "Input" top: "x" } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    message = to_wire(plan_net(read_net(text)))
    message.layers[1].producers[0].layer, message.layers[1].producers[0].top = value
    with pytest.raises(DataLoss, match="reads a value that no layer makes"):
        from_wire(message)


def test_each_bottom_has_one_producer() -> None:
    text = b'layer { name: "d" type: "Input" top: "x" } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    message = to_wire(plan_net(read_net(text)))
    message.layers[1].producers.add(layer=0, top=0)
    with pytest.raises(DataLoss, match="bottoms=1, producers=2"):
        from_wire(message)
