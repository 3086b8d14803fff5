from collections.abc import Callable

import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import NetError
from caffe_filler.interface import interface
from filler_server.net.named_fillers import NamedFillers
from filler_server.net.plan import NetPlan
from tests.growth import growth

Plan = Callable[..., NetPlan]

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 6] } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
        inner_product_param { num_output: 6 weight_filler { type: "identity" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
        inner_product_param { num_output: 6 weight_filler { type: "identity" } } }
layer { name: "c*d" type: "InnerProduct" bottom: "b" top: "c" inner_product_param { num_output: 1 bias_term: false }
        blobs { shape { dim: [1, 6] } data: [1, 2, 3, 4, 5, 6] } }
layer { name: "e" type: "BatchNorm" bottom: "c" top: "e" }
"""
MSRA, XAVIER = FillerParameter(type="msra"), FillerParameter(type="xavier")


def types(net: NetPlan) -> dict[str, str]:
    return {blob.name: blob.filler.type for blob in net.blobs}


def test_a_filler_is_named_for_a_blob(plan: Plan) -> None:
    own, net = plan(NET), plan(NET, fillers={"a/0": MSRA, "e/2": XAVIER})
    assert types(net) == {**types(own), "a/0": "msra", "e/2": "xavier"}
    assert own != net
    assert [layer.has_filler for layer in own.layers] == [False, True, True, False, False]
    assert [layer.has_filler for layer in net.layers] == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("fillers", "named"),
    [
        ({"*/0": MSRA}, {"a/0": "msra", "e/0": "msra"}),
        ({"*": MSRA}, dict.fromkeys(["a/0", "a/1", "b/1", "e/0", "e/1", "e/2"], "msra")),
        ({"*/0": MSRA, "a/0": XAVIER}, {"a/0": "xavier", "e/0": "msra"}),
        ({"*/0": MSRA, "a*": XAVIER}, {"a/0": "msra", "a/1": "xavier", "e/0": "msra"}),
        ({"b*1": MSRA}, {"b/1": "msra"}),
    ],
)
def test_a_star_is_any_text_of_blobs_that_are_filled(
    plan: Plan, fillers: dict[str, FillerParameter], named: dict[str, str]
) -> None:
    assert types(plan(NET, fillers=fillers)) == {**types(plan(NET)), **named}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/2", r"^fillers: the net has no such blob \(did you mean '[ae]/.'\?\). Received: name='a/2'$"),
        ("z*", r"^fillers: no blob of the net that is filled has such a name.*\. Received: name='z\*'$"),
        ("c*", r"^fillers: no blob of the net that is filled has such a name.* Received: name='c\*'$"),
        ("b/0", r"^fillers: the values of this blob are those of 'a/0'\. Received: name='b/0'$"),
        ("c*d/0", r"^fillers: the net holds the values of this blob\. Received: name='c\*d/0'$"),
    ],
)
def test_a_name_without_a_blob_to_fill_is_refused(plan: Plan, name: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        plan(NET, fillers={name: MSRA})
    with interface("cli"), pytest.raises(NetError, match=message.replace("^fillers", "^--filler")):
        plan(NET, fillers={name: MSRA})


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("*", ["", "a", "a/0"], []),
        ("a*", ["a", "ab/0"], ["", "ba"]),
        ("*0", ["0", "a/0"], ["a/01"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("a*b*c", ["abc", "a-b-c", "abbc"], ["ac", "acb", "abcd"]),
        ("a**b", ["ab", "axb"], ["b"]),
        ("*ab*ab*", ["abab", "xabxabx"], ["ab", "aba"]),
    ],
)
def test_stars(pattern: str, texts: list[str], others: list[str]) -> None:
    fillers = NamedFillers({pattern: MSRA})
    assert all(fillers.named(text) is MSRA for text in texts)
    assert not any(fillers.named(text) for text in others)


def matching(length: int) -> Callable[[], object]:
    fillers, text = NamedFillers({"*a" * (length // 2) + "b": MSRA}), "a" * length
    return lambda: fillers.named(text)


def test_many_stars_are_not_tried_in_every_place() -> None:
    assert matching(4000)() is None
    assert growth(matching, 400_000, times=10) < 20
