import math

import ml_dtypes
import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.v1 import filler_pb2
from filler_server.api.replies import _encoded_header, blob_header, encoded_header, list_fillers, plan_reply
from filler_server.engine.region import Region
from filler_server.fillers import factory, register
from filler_server.net.planner import plan_net
from filler_server.prototxt.reader import read_net
from tests.flat_index import FlatIndexFiller, flat_index_blob

Header = filler_pb2.BlobHeader


@pytest.mark.parametrize(
    ("region", "message", "count"),
    [
        (Region.whole((4, 5)), None, 20),
        (Region.box((4, 5), [(0, 4), (0, 5)]), None, 20),
        (
            Region.box((4, 5), [(1, 3), (0, 5)]),
            {"box": {"axes": [{"start": 1, "stop": 3}, {"start": 0, "stop": 5}]}},
            10,
        ),
        (Region.flat((4, 5), 3, 9), {"flat": {"start": 3, "stop": 9}}, 6),
        (Region.flat((4, 5), 0, None), {"flat": {"start": 0, "stop": 20}}, 20),
        (Region.flat((4, 5), 20, None), {"flat": {"start": 20, "stop": 20}}, 0),
    ],
)
def test_headers(region: Region, message: dict[str, object] | None, count: int) -> None:
    source = flat_index_blob((4, 5), region, ml_dtypes.bfloat16, name="a/0", owner="b/0")
    expected = Header(
        name="a/0", shape={"dim": [4, 5]}, region=message, dtype=filler_pb2.BFLOAT16, bytes=2 * count, owner="b/0"
    )
    for _ in range(2):
        assert blob_header(source) == expected
        assert Header.FromString(encoded_header(source)) == expected


def test_headers_of_long_names_are_not_kept() -> None:
    before = _encoded_header.cache_info().currsize
    source = flat_index_blob((2,), name="a" * 257)
    assert Header.FromString(encoded_header(source)) == blob_header(source)
    assert _encoded_header.cache_info().currsize == before


def test_a_header_of_a_blob_of_no_axes() -> None:
    assert blob_header(flat_index_blob((), name="a")) == Header(name="a", shape={}, bytes=4)


def test_defaults_are_prototxt_that_says_the_same() -> None:
    fillers = list_fillers().fillers
    assert fillers
    for filler in fillers:
        text = f'type: "{filler.type}" ' + " ".join(f"{field.name}: {field.default_value}" for field in filler.fields)
        parsed = text_format.Parse(text, FillerParameter())
        for field in filler.fields:
            assert getattr(parsed, field.name) == getattr(FillerParameter(), field.name)


def test_a_filler_of_somebody_elses_without_a_docstring_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "_fillers", dict(factory._fillers))

    class Undocumented(FlatIndexFiller):
        type = "undocumented"
        fields = ("mean", "variance_norm")

    register(Undocumented)
    last = list_fillers().fillers[-1]
    assert (last.type, last.description) == ("undocumented", "")
    assert [(field.name, field.default_value) for field in last.fields] == [
        ("mean", "0.0"),
        ("variance_norm", "FAN_IN"),
    ]


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


def test_a_plan() -> None:
    plan = plan_reply(plan_net(read_net(NET)))
    assert plan.name == "n"
    assert [(layer.name, layer.type, layer.line) for layer in plan.layers][2] == ("open", "Convolution", 5)
    blobs = {blob.name: blob for layer in plan.layers for blob in layer.blobs}
    assert list(blobs) == ["open/0", "open/1", "good/0", "good/1", "same/0", "bad/0", "bad/1", "own/0"]
    # 4 biases of `open`, 18 + 3, none that is shared, 18 + 3, 6.
    assert plan.parameters == 4 + 21 + 21 + 6
    top = plan.layers[2].tops[0]
    assert (top.name, list(top.shape.dim), top.shape.unknown_rank) == ("open", [2, 4, -1, -1], False)


def test_what_is_asked_of_one_plan_is_not_in_the_answer_to_another() -> None:
    plan = plan_net(read_net(NET))
    drawn = plan_reply(plan, range(len(plan.layers)))
    assert drawn.sequential
    assert [layer.draws for layer in drawn.layers] == list(range(len(plan.layers)))
    drawn.ClearField("layers")
    assert plan_reply(plan) == plan_reply(plan_net(read_net(NET)))


def test_what_theory_expects_of_blobs() -> None:
    blobs = {blob.name: blob for layer in plan_reply(plan_net(read_net(NET))).layers for blob in layer.blobs}
    good = blobs["good/0"]
    assert (list(good.shape.dim), good.count, good.fan_in, good.fan_out) == ([3, 6], 18, 6, 3)
    assert good.mean == 0
    assert good.std == pytest.approx(math.sqrt(2 / 6))
    assert blobs["good/1"].mean == pytest.approx(1)
    assert blobs["good/1"].std == pytest.approx(2 / math.sqrt(12))
    assert (blobs["same/0"].owner, good.owner) == ("good/0", "")


def test_nothing_is_expected_of_what_is_unknown_given_or_cannot_be_filled() -> None:
    blobs = {blob.name: blob for layer in plan_reply(plan_net(read_net(NET))).layers for blob in layer.blobs}
    unknown = blobs["open/0"]
    assert list(unknown.shape.dim) == [4, -1, 3, 3]
    assert not any(unknown.HasField(name) for name in ("count", "fan_in", "fan_out", "mean", "std"))
    assert blobs["own/0"].given
    for name in ("own/0", "bad/0", "bad/1"):
        assert blobs[name].HasField("count")
        assert not blobs[name].HasField("std")


def test_blobs_that_cannot_be_filled_are_warned_of() -> None:
    warnings = plan_reply(plan_net(read_net(NET))).warnings
    found = [(warning.layer, warning.line, warning.message[:15]) for warning in warnings]
    assert found == [("open", 5, "the shape of bl"), ("bad", 19, "blob 'bad/0': u"), ("bad", 19, "blob 'bad/1': s")]


def test_a_top_of_unknown_rank() -> None:
    net = b'layer { name: "x" type: "SomebodysOwn" top: "x" }'
    (layer,) = plan_reply(plan_net(read_net(net))).layers
    assert layer.tops[0].shape == filler_pb2.PartialShape(unknown_rank=True)


def test_header_types_are_those_of_the_source() -> None:
    for dtype, wire in ((np.float32, 0), (np.float64, 1), (np.float16, 2)):
        assert blob_header(flat_index_blob((2,), dtype=dtype)).dtype == wire
