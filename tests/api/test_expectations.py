import math

import pytest

from filler_server.api.expectations import expected
from filler_server.net.plan import Blob, NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt.reader import read_net

NET = b"""
name: "n"
layer { name: "d" type: "Data" top: "d" data_param { source: "s" batch_size: 2 } }
layer { name: "i" type: "Input" top: "i" input_param { shape { dim: [2, 6] } } }
layer {
  name: "open" type: "Convolution" bottom: "d" top: "open"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } }
}
layer {
  name: "good" type: "InnerProduct" bottom: "i" top: "good"
  param { name: "w" }
  inner_product_param { num_output: 3 weight_filler { type: "msra" } bias_filler { type: "uniform" max: 2 } }
}
layer {
  name: "same" type: "InnerProduct" bottom: "i" top: "same"
  param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false }
}
layer {
  name: "bad" type: "InnerProduct" bottom: "i" top: "bad"
  inner_product_param { num_output: 3 weight_filler { type: "no_such" } bias_filler { type: "gaussian" std: -1 } }
}
layer {
  name: "own" type: "InnerProduct" bottom: "i" top: "own"
  inner_product_param { num_output: 1 bias_term: false weight_filler { type: "no_such" } }
  blobs { shape { dim: [1, 6] } data: [1, 2, 3, 4, 5, 6] }
}
"""


@pytest.fixture
def plan() -> NetPlan:
    return expected(plan_net(read_net(NET)))


@pytest.fixture
def blobs(plan: NetPlan) -> dict[str, Blob]:
    return {blob.name: blob for blob in plan.blobs}


def test_a_plan_keeps_everything_else(plan: NetPlan) -> None:
    bare = plan_net(read_net(NET))
    assert [layer.name for layer in plan.layers] == [layer.name for layer in bare.layers]
    assert [layer.operation for layer in plan.layers] == [layer.operation for layer in bare.layers]
    # 4 biases of `open`, 18 + 3, none that is shared, 18 + 3, 6.
    assert plan.parameters == bare.parameters == 4 + 21 + 21 + 6
    assert all(blob.std is None for blob in bare.blobs)


def test_what_theory_expects_of_blobs(blobs: dict[str, Blob]) -> None:
    good = blobs["good/0"]
    assert (good.shape, good.count, good.fan_in, good.fan_out) == ((3, 6), 18, 6, 3)
    assert good.mean == 0
    assert good.std == pytest.approx(math.sqrt(2 / 6))
    assert blobs["good/1"].mean == pytest.approx(1)
    assert blobs["good/1"].std == pytest.approx(2 / math.sqrt(12))
    assert (blobs["same/0"].owner, good.owner) == ("good/0", None)


def test_nothing_is_expected_of_what_is_unknown_given_or_cannot_be_filled(blobs: dict[str, Blob]) -> None:
    unknown = blobs["open/0"]
    assert unknown.shape == (4, None, 3, 3)
    assert (unknown.count, unknown.fan_in, unknown.fan_out, unknown.mean, unknown.std) == (None,) * 5
    assert blobs["own/0"].given
    for name in ("own/0", "bad/0", "bad/1"):
        assert blobs[name].count
        assert (blobs[name].mean, blobs[name].std) == (None, None)


def test_blobs_that_cannot_be_filled_are_warned_of(plan: NetPlan) -> None:
    found = [(warning.layer, warning.line, warning.message[:15]) for warning in plan.warnings]
    assert found == [("open", 5, "the shape of bl"), ("bad", 19, "blob 'bad/0': u"), ("bad", 19, "blob 'bad/1': s")]


SHARED = """
layer { name: "i" type: "Input" top: "i" input_param { shape { dim: [2, 6] } } }
layer {
  name: "first" type: "InnerProduct" bottom: "i" top: "first" param { name: "w" } %s
  inner_product_param { num_output: 4 bias_term: false weight_filler { type: "xavier" } }
}
layer {
  name: "second" type: "InnerProduct" bottom: "%s" top: "second" param { name: "w" share_mode: PERMISSIVE }
  inner_product_param { num_output: %d bias_term: false weight_filler { type: "gaussian" std: 5 } }
}
"""


def shared(own: str = "", bottom: str = "first", num_output: int = 6) -> dict[str, Blob]:
    text = SHARED % (own, bottom, num_output)
    return {blob.name: blob for blob in expected(plan_net(read_net(text.encode()))).blobs}


@pytest.mark.parametrize(("bottom", "num_output"), [("first", 6), ("i", 4)])
def test_values_that_are_shared_are_those_of_their_owner(bottom: str, num_output: int) -> None:
    found = shared(bottom=bottom, num_output=num_output)
    first, second = found["first/0"], found["second/0"]
    assert first.std == pytest.approx(math.sqrt(1 / 6))
    assert second.owner == "first/0"
    assert (second.mean, second.std) == (first.mean, first.std)
    # Fans are those of the shape that the layer itself has.
    assert second.fan_in == (4 if bottom == "first" else 6)


def test_of_values_that_the_prototxt_holds_for_the_owner_nothing_is_known() -> None:
    given = f"blobs {{ shape {{ dim: [4, 6] }} data: {list(range(24))} }}"
    second = shared(given)["second/0"]
    assert (second.owner, second.given) == ("first/0", False)
    assert (second.mean, second.std) == (None, None)


def test_of_an_owner_that_cannot_be_filled_nothing_is_known() -> None:
    text = (SHARED % ("", "first", 6)).replace('type: "xavier"', 'type: "no_such"')
    second = next(blob for blob in expected(plan_net(read_net(text.encode()))).blobs if blob.owner)
    assert (second.mean, second.std) == (None, None)


def test_the_answer_is_kept_with_the_plan() -> None:
    bare = plan_net(read_net(NET))
    assert expected(bare) is expected(bare)
