import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerParameterError, InvalidArgument, NetError, RegionError, UnknownBlob
from filler_server.engine import caffe_net
from filler_server.engine.caffe_net import CaffeNet
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.region import Region
from filler_server.net.draws import DataDraws
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.net.registry import exactly, layer_type, layer_type_names, register, unknown_seeds
from filler_server.prototxt import read_net
from filler_server.rng.caffe import kernels
from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from tests.engine import caffe_golden
from tests.engine.caffe_golden import F32, F64, digest
from tests.net.test_golden import load, options

FROZEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "caffe_nets_v1.json").read_text())["runs"]
START = EngineState.seeded(1701)

NET = b"""
layer {
  name: "data" type: "Data" top: "data" data_param { source: "d" batch_size: 2 } transform_param { mirror: true }
}
layer {
  name: "a" type: "InnerProduct" bottom: "data" top: "a" param { name: "w" }
  inner_product_param { num_output: 40 weight_filler { type: "gaussian" sparse: 7 } bias_filler { type: "uniform" } }
}
layer {
  name: "b" type: "InnerProduct" bottom: "a" top: "b"
  inner_product_param { num_output: 50 weight_filler { type: "positive_unitball" } bias_filler { value: 3 } }
}
layer {
  name: "c" type: "InnerProduct" bottom: "data" top: "c" param { name: "w" }
  inner_product_param { num_output: 40 weight_filler { type: "msra" } }
}
layer {
  name: "d" type: "InnerProduct" bottom: "c" top: "d"
  inner_product_param { num_output: 60 weight_filler { type: "msra" } bias_filler { type: "xavier" } }
}
"""
NAMES = ["a/0", "a/1", "b/0", "b/1", "c/0", "c/1", "d/0", "d/1"]


@pytest.fixture(scope="module")
def plan() -> NetPlan:
    return plan_net(read_net(NET), inputs={"data": (2, 30)})


def values(tensor: ComputedTensor) -> Any:
    out = np.empty(tensor.count, tensor.dtype)
    tensor.read(0, out)
    return out


def net(plan: NetPlan, dtype: Any = F32, **given: Any) -> CaffeNet:
    return CaffeNet(plan, START, dtype=np.dtype(dtype), **given)


def whole(plan: NetPlan, dtype: Any = F32, **given: Any) -> dict[str, Any]:
    return {tensor.name: values(tensor) for tensor in net(plan, dtype, **given).tensors()}


@pytest.mark.parametrize("name", FROZEN)
def test_weights_and_draws_are_the_frozen_ones(name: str) -> None:
    assert caffe_golden.frozen(caffe_golden.run(name)) == FROZEN[name]


def test_the_nets_of_a_solver_are_one_sequence() -> None:
    train, test = FROZEN["lenet solver"]
    assert train["draws"] == test["draws"]
    assert train["blobs"]["conv1/0"] != test["blobs"]["conv1/0"]
    # Backwards, the second net first.
    first, second = caffe_golden.run("lenet solver")
    assert [digest(tensor) for tensor in second.tensors()] == list(test["blobs"].values())
    assert [digest(tensor) for tensor in first.tensors()] == list(train["blobs"].values())
    assert second.end_state().draws == 2 * first.end_state().draws == 2 * sum(train["draws"].values())


def recorded(shared: Path) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Nets, options of the planner, and what real Caffe made of them."""
    golden = shared / "golden"
    for case in load(golden / "nets" / "index.json"):
        given = {
            "phase": caffe_pb2.Phase.Value(case["phase"]),
            "level": case["level"],
            "stages": case["stages"],
            "inputs": {name: tuple(dims) for name, dims in case["inputs"].items()},
        }
        file = golden / "nets" / "prototxt" / case["prototxt"].replace("/", "__")
        yield file, given, load(golden / "nets" / case["file"])
    for case in load(golden / "nets_small" / "index.json"):
        if "file" in case:
            folder = golden / "nets_small"
            yield folder / case["prototxt"], options(case["args"]), load(folder / case["file"])
    for path in sorted((golden / "corpus").glob("*/*.json")):
        record = load(path)
        file = shared / "corpus" / path.relative_to(golden / "corpus").with_suffix("")
        yield file, {"phase": caffe_pb2.Phase.Value(record["phase"])}, record


def test_weights_and_draws_are_those_of_caffe(shared: Path) -> None:
    nets = blobs = 0
    for file, given, record in recorded(shared):
        plan = plan_net(read_net(file.read_bytes()), **given)
        data_draws = DataDraws.NONE if record["data"] == "replaced" else DataDraws.EMULATE
        found = CaffeNet(plan, EngineState.seeded(record["seed"]), dtype=F32, data_draws=data_draws)
        names = {layer.name for layer in plan.layers}
        layers = [layer for layer in record["layers"] if layer["type"] != "Split" or layer["name"] in names]
        expected = [blob["sha256"] for layer in layers for blob in layer["params"]]
        assert [digest(tensor) for tensor in found.tensors()] == expected, file
        assert [draws for _, draws in found.layer_draws()] == [layer["draws"] for layer in layers], file
        nets, blobs = nets + 1, blobs + len(expected)
    assert nets >= 131
    assert blobs >= 5000


def test_a_net_that_caffe_refuses_for_its_filler_is_refused(shared: Path) -> None:
    text = (shared / "golden" / "nets_small" / "err_scale_sparse.prototxt").read_bytes()
    with pytest.raises(FillerParameterError, match="sparse"):
        net(plan_net(read_net(text)))


def test_draws_of_each_layer(plan: NetPlan) -> None:
    drawn = {layer.name: draws for layer, draws in net(plan).layer_draws()}
    assert list(drawn) == ["data", "a", "b", "c", "d"]
    # Two for the transformer and one for the thread; ziggurats now and then draw more than one output for a value.
    assert drawn["data"] == 3
    assert 40 * 30 * 2 + 40 < drawn["a"] < 40 * 30 * 2.1 + 40
    assert drawn["b"] == 50 * 40
    assert 40 * 30 < drawn["c"] < 40 * 30 * 1.1
    assert sum(drawn.values()) == net(plan).end_state().draws


def test_data_layers_may_draw_nothing(plan: NetPlan) -> None:
    silent = net(plan, data_draws=DataDraws.NONE)
    assert silent.layer_draws()[0][1] == 0
    ahead = CaffeNet(plan, START.skip(3), dtype=F32, data_draws=DataDraws.NONE)
    expected = whole(plan)
    for tensor in ahead.tensors():
        assert values(tensor).tobytes() == expected[tensor.name].tobytes()
    assert values(silent.tensors()[0]).tobytes() != expected["a/0"].tobytes()


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("profile", list(Profile))
def test_any_order_of_reading_gives_the_same(plan: NetPlan, dtype: Any, profile: Profile) -> None:
    expected = whole(plan, dtype, profile=profile)
    assert list(expected) == NAMES
    order = random.Random(5)
    for _ in range(4):
        tensors = net(plan, dtype, profile=profile).tensors()
        windows = [(tensor, start) for tensor in tensors for start in range(0, tensor.count, 301)]
        order.shuffle(windows)
        for tensor, start in windows:
            out = np.empty(min(301, tensor.count - start), dtype)
            tensor.read(start, out)
            assert out.tobytes() == expected[tensor.name][start : start + out.size].tobytes()


def test_few_places_to_go_back_to_give_the_same(plan: NetPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(plan)
    monkeypatch.setattr(caffe_net, "_MOST_PLACES", 2)
    few = net(plan)
    tensors = few.tensors()
    for tensor in [*reversed(tensors), *tensors]:
        assert values(tensor).tobytes() == expected[tensor.name].tobytes()
    assert len(few._states) <= 2


def test_profiles_differ(plan: NetPlan) -> None:
    found = [whole(plan, profile=profile) for profile in Profile]
    assert found[0]["a/0"].tobytes() == found[1]["a/0"].tobytes() != found[2]["a/0"].tobytes()


def test_reading_in_order_draws_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (lenet, _) = caffe_golden.run("lenet solver")
    drawn = []
    fill = kernels.fill

    def watched(window: Any, out: Any, starts: Any, bounds: Any, index: int, distribution: kernels.Distribution) -> int:
        drawn.append(fill(window, out, starts, bounds, index, distribution))
        return drawn[-1]

    monkeypatch.setattr(kernels, "fill", watched)
    for tensor in lenet.tensors():
        digest(tensor, window=7000)
    lenet.layer_draws()
    assert sum(drawn) == sum(FROZEN["lenet solver"][0]["draws"].values()) - 1


def test_shared_blobs_draw_and_give_the_owner_s_values(plan: NetPlan) -> None:
    found = {tensor.name: tensor for tensor in net(plan).tensors()}
    assert found["c/0"].owner == "a/0"
    assert values(found["c/0"]).tobytes() == values(found["a/0"]).tobytes()
    one = net(plan).tensors(
        [("c/0", Region.whole), ("c/0", lambda shape: Region.flat(shape, 100, 200)), ("d/0", Region.whole)]
    )
    assert values(one[0]).tobytes() == values(found["a/0"]).tobytes()
    assert values(one[1]).tobytes() == values(found["a/0"])[100:200].tobytes()
    assert values(one[2]).tobytes() == values(found["d/0"]).tobytes()


def test_regions(plan: NetPlan) -> None:
    expected = whole(plan)
    (part, rows) = net(plan).tensors(
        [
            ("d/0", lambda shape: Region.box(shape, [(10, 20), (5, 9)])),
            ("b/0", lambda shape: Region.box(shape, [(30, 50), (1, None)])),
        ]
    )
    np.testing.assert_array_equal(values(part).reshape(10, 4), expected["d/0"].reshape(60, 40)[10:20, 5:9])
    np.testing.assert_array_equal(values(rows).reshape(20, 39), expected["b/0"].reshape(50, 40)[30:, 1:])
    with pytest.raises(RegionError):
        net(plan).tensors([("d/0", lambda shape: Region.box(shape, [(0, 61), (0, None)]))])
    with pytest.raises(UnknownBlob):
        net(plan).tensors([("d/2", Region.whole)])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_float32_rounded(plan: NetPlan, dtype: Any) -> None:
    expected, rounded = whole(plan), whole(plan, dtype)
    assert rounded
    assert rounded.keys() == expected.keys()
    for name, got in rounded.items():
        assert got.tobytes() == expected[name].astype(dtype).tobytes()


def test_values_that_do_not_fit_are_refused() -> None:
    plan = plan_net(read_net(NET.replace(b"value: 3", b"value: 1e6")), inputs={"data": (2, 30)})
    with pytest.raises(InvalidArgument, match="float16 ends at 65504"):
        net(plan, np.float16).tensors()


def test_the_start_is_asked_for_when_the_first_number_is_drawn(plan: NetPlan) -> None:
    calls = []

    def start() -> EngineState:
        calls.append(1)
        return START

    found = {tensor.name: tensor for tensor in CaffeNet(plan, start, dtype=F32).tensors()}
    assert values(found["b/1"]).tolist() == [3] * 50
    assert not calls
    values(found["b/0"])
    values(found["a/0"])
    assert len(calls) == 1


def test_what_comes_after_an_unknown_shape_is_refused_with_the_option_that_settles_it(nets: Path) -> None:
    document = read_net((nets / "unknown_dims.prototxt").read_bytes())
    found = net(plan_net(document))
    with pytest.raises(NetError, match=r"numbers after blob 'conv1/0'.* inputs={'data': "):
        found.tensors([("conv2/0", Region.whole)])
    with pytest.raises(NetError, match=r"numbers after blob 'conv1/0'.* inputs={'data': "):
        found.end_state()
    assert {draws for layer, draws in found.layer_draws() if layer.blobs and layer.name != "known"} == {None}
    # Once the shape of a blob that draws is known, so is everything up to the next one.
    found = net(plan_net(document, inputs={"data": (16, 3, None, None)}))
    assert [tensor.name for tensor in found.tensors([("conv1/0", Region.whole), ("known/0", Region.whole)])]
    with pytest.raises(NetError, match=r"blob 'unknown/0'"):
        found.end_state()


RECURRENT = """
layer { name: "x" type: "Input" top: "x" }
layer { name: "c" type: "Input" top: "c" }
layer {
  name: "lstm" type: "LSTM" bottom: "x" bottom: "c" top: "h"
  recurrent_param { num_output: 7 weight_filler { type: "%s" } }
}
layer { name: "after" type: "InnerProduct" bottom: "h" top: "y" inner_product_param {
  num_output: 3 axis: 2 weight_filler { type: "xavier" } } }
"""


def test_each_timestep_draws() -> None:
    text = (RECURRENT % "gaussian").encode()
    one, five = (net(plan_net(read_net(text), inputs={"x": (steps, 2, 3)})) for steps in (1, 5))
    weights = [{tensor.name: values(tensor) for tensor in found.tensors()} for found in (one, five)]
    for name in ("lstm/0", "lstm/1", "lstm/2"):
        assert weights[0][name].tobytes() == weights[1][name].tobytes()
    assert weights[0]["after/0"].tobytes() != weights[1]["after/0"].tobytes()
    assert five.layer_draws()[2][1] - one.layer_draws()[2][1] > 4 * 28 * 7


def test_an_unknown_number_of_timesteps_matters_where_they_draw() -> None:
    plan = plan_net(read_net((RECURRENT % "gaussian").encode()), inputs={"x": (None, 2, 3)})
    found = net(plan)
    assert len(found.tensors([("lstm/2", Region.whole)])) == 1
    with pytest.raises(NetError, match=r"layer 'lstm'.*'x' by inputs or tops.*Received: timesteps"):
        found.tensors()
    plan = plan_net(read_net((RECURRENT % "constant").encode()), inputs={"x": (None, 2, 3)})
    assert len(net(plan).tensors()) == 5


def test_blobs_that_the_net_holds_draw_nothing(nets: Path) -> None:
    plan = plan_net(read_net((nets / "inline_blobs.prototxt").read_bytes()))
    drawn = {layer.name: draws for layer, draws in net(plan).layer_draws() if draws}
    held = {layer.name for layer in plan.layers if any(blob.given for blob in layer.blobs)}
    assert held
    assert not held & set(drawn)


def test_memory_is_bounded() -> None:
    text = b"""
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4000 } } }
    layer { name: "a" type: "InnerProduct" bottom: "x" top: "y"
      inner_product_param { num_output: 4000 weight_filler { type: "gaussian" sparse: 9 } } }
    layer { name: "b" type: "InnerProduct" bottom: "y" top: "z"
      inner_product_param { num_output: 4000 weight_filler { type: "xavier" } } }
    """
    plan = plan_net(read_net(text))
    whole(plan_net(read_net(text.replace(b"4000", b"40"))))
    tracemalloc.start()
    try:
        for tensor in net(plan).tensors():
            digest(tensor, window=1 << 16)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_data_layer_of_which_the_draws_are_not_known_hides_what_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    types = {name: layer_type(name) for name in layer_type_names()}
    monkeypatch.setattr("filler_server.net.registry._types", types)

    @register("Feed", bottoms=exactly(0), tops=exactly(1), seeds=unknown_seeds)
    def feed(layer: LayerContext) -> SetUp:
        return SetUp([(2, 3)])

    weight = 'inner_product_param { num_output: 2 bias_term: false weight_filler { type: "gaussian" } }'
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
        f'layer {{ name: "first" type: "InnerProduct" bottom: "x" top: "y" {weight} }}\n'
        'layer { name: "feed" type: "Feed" top: "z" }\n'
        f'layer {{ name: "last" type: "InnerProduct" bottom: "z" top: "w" {weight} }}\n'
    )
    plan = plan_net(read_net(text.encode()))
    start = EngineState.seeded(1)
    net = CaffeNet(plan, start, dtype=np.dtype("f4"))
    (first,) = net.tensors([("first/0", Region.whole)])
    assert first.array().any()
    with pytest.raises(NetError, match=r"'feed'.*not known how much such a layer draws.*type='Feed'"):
        net.tensors()
    assert [draws is None for _, draws in net.layer_draws()] == [False, False, True, True]
    silent = CaffeNet(plan, start, dtype=np.dtype("f4"), data_draws=DataDraws.NONE)
    (_, a), (_, b), (_, c), (_, d) = silent.layer_draws()
    assert (a, c) == (0, 0)
    assert b is not None
    assert d is not None
    assert min(b, d) >= 6
    assert [draws for _, draws in CaffeNet(plan, start, dtype=np.dtype("f4"), data_draws=5).layer_draws()][:3] == [
        0,
        b,
        5,
    ]
