import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.errors import FillerParameterError, InvalidArgument, NetError, RegionError, UnknownBlob
from filler_server.engine.caffe_net import CaffeNet
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.net import RegionOf, net_tensors
from filler_server.engine.region import Region
from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt.reader import read_net
from filler_server.rng.caffe.mt19937 import EngineState

F32 = np.dtype(np.float32)

NET = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 } } }
layer {
  name: "a" type: "InnerProduct" bottom: "data" top: "a"
  param { name: "w" } param { name: "b" }
  inner_product_param { num_output: 4 weight_filler { type: "msra" } bias_filler { type: "uniform" } }
}
layer {
  name: "b" type: "InnerProduct" bottom: "data" top: "b"
  param { name: "w" } param { name: "other" }
  inner_product_param { num_output: 4 weight_filler { type: "constant" value: 3 } bias_filler { type: "uniform" } }
}
layer {
  name: "c" type: "InnerProduct" bottom: "data" top: "c"
  param { name: "w" }
  inner_product_param { num_output: 4 bias_term: false }
}
"""
PERMISSIVE = b"""
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 } } }
layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 2 dim: 4 } } }
layer {
  name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
  inner_product_param { num_output: 4 bias_term: false weight_filler { type: "positive_unitball" } }
}
layer {
  name: "b" type: "InnerProduct" bottom: "y" top: "b" param { name: "w" share_mode: PERMISSIVE }
  inner_product_param { num_output: 6 bias_term: false weight_filler { type: "constant" value: 3 } }
}
"""


def tensors(
    plan: NetPlan,
    *,
    seed: int = 5,
    dtype: Any = F32,
    selection: Sequence[tuple[str, RegionOf]] | None = None,
) -> dict[str, ComputedTensor]:
    return {tensor.name: tensor for tensor in net_tensors(plan, seed=seed, dtype=np.dtype(dtype), selection=selection)}


def values(tensor: ComputedTensor) -> Any:
    out = np.empty(tensor.count, tensor.dtype)
    tensor.read(0, out)
    return out.reshape(tensor.shape)


@pytest.fixture(scope="module")
def plan() -> NetPlan:
    return plan_net(read_net(NET))


def test_all_blobs_in_the_order_of_the_plan(plan: NetPlan) -> None:
    found = tensors(plan)
    assert list(found) == ["a/0", "a/1", "b/0", "b/1", "c/0"]
    assert {name: tensor.shape for name, tensor in found.items()} == {
        "a/0": (4, 6),
        "a/1": (4,),
        "b/0": (4, 6),
        "b/1": (4,),
        "c/0": (4, 6),
    }
    assert all(tensor.region.is_whole for tensor in found.values())


def test_a_blob_that_shares_values_gives_those_of_its_owner(plan: NetPlan) -> None:
    found = tensors(plan)
    assert [tensor.owner for tensor in found.values()] == [None, None, "a/0", None, "a/0"]
    for name in ("b/0", "c/0"):
        np.testing.assert_array_equal(values(found[name]), values(found["a/0"]))
    assert (values(found["b/1"]) != values(found["a/1"])).all()


def test_a_blob_that_shares_values_does_so_when_it_alone_is_selected(plan: NetPlan) -> None:
    (tensor,) = tensors(plan, selection=[("b/0", Region.whole)]).values()
    np.testing.assert_array_equal(values(tensor), values(tensors(plan)["a/0"]))


def test_values_shared_under_another_shape() -> None:
    found = tensors(plan_net(read_net(PERMISSIVE)))
    assert (found["a/0"].shape, found["b/0"].shape) == ((4, 6), (6, 4))
    owned, shared = values(found["a/0"]), values(found["b/0"])
    # The filler saw the owner's rows: these are what sums to 1.
    np.testing.assert_allclose(owned.sum(axis=1), 1, rtol=1e-6)
    assert shared.tobytes() == owned.tobytes()
    part = values(tensors(plan_net(read_net(PERMISSIVE)), selection=[("b/0", column)])["b/0"])
    np.testing.assert_array_equal(part, shared[:, 1:3])


def column(shape: tuple[int, ...]) -> Region:
    return Region.box(shape, [(0, None), (1, 3)])


def test_a_selection_is_sent_in_its_own_order(plan: NetPlan) -> None:
    whole = tensors(plan)
    picked = net_tensors(
        plan,
        seed=5,
        dtype=F32,
        selection=[("b/1", Region.whole), ("a/0", column), ("a/0", lambda shape: Region.flat(shape, 7, None))],
    )
    assert [tensor.name for tensor in picked] == ["b/1", "a/0", "a/0"]
    np.testing.assert_array_equal(values(picked[0]), values(whole["b/1"]))
    np.testing.assert_array_equal(values(picked[1]), values(whole["a/0"])[:, 1:3])
    np.testing.assert_array_equal(values(picked[2]), values(whole["a/0"]).ravel()[7:])


def test_seed_and_name_select_the_values(plan: NetPlan) -> None:
    one, same, other = tensors(plan), tensors(plan), tensors(plan, seed=6)
    assert values(one["a/0"]).tobytes() == values(same["a/0"]).tobytes()
    assert (values(one["a/0"]) != values(other["a/0"])).any()
    renamed = tensors(plan_net(read_net(NET.replace(b'"a"', b'"z"'))))
    assert (values(renamed["z/0"]) != values(one["a/0"])).any()
    # No layer before or after it changes a blob.
    assert values(tensors(plan_net(read_net(NET[: NET.index(b'layer {\n  name: "b"')])))["a/0"]).tobytes() == (
        values(one["a/0"]).tobytes()
    )


def test_a_plan_that_is_used_again_gives_what_a_new_one_gives(plan: NetPlan) -> None:
    for seed, dtype in [(5, np.float32), (6, np.float32), (6, np.float64), (2**64 - 1, np.float16), (5, np.float32)]:
        again = tensors(plan, seed=seed, dtype=dtype)
        fresh = tensors(plan_net(read_net(NET)), seed=seed, dtype=dtype)
        assert list(again) == list(fresh)
        for name, tensor in again.items():
            assert (tensor.dtype, tensor.owner) == (np.dtype(dtype), fresh[name].owner)
            assert values(tensor).tobytes() == values(fresh[name]).tobytes()
    for seed in (-1, 2**64):
        with pytest.raises(InvalidArgument, match=f"seed={seed}"):
            tensors(plan, seed=seed)


@pytest.mark.parametrize(("name", "near"), [("a/00", "a/0'"), ("conv1/weights", "")])
def test_an_unknown_blob_is_refused_with_the_nearest(plan: NetPlan, name: str, near: str) -> None:
    with pytest.raises(UnknownBlob) as caught:
        tensors(plan, selection=[("a/0", Region.whole), (name, Region.whole)])
    assert str(caught.value).endswith(f"Received: name='{name}'")
    assert (f"(did you mean '{near}" in str(caught.value)) == bool(near)


def test_a_region_outside_its_blob_is_refused(plan: NetPlan) -> None:
    with pytest.raises(RegionError, match=r"Received: region=0:5,0:, shape=\[4, 6\]"):
        tensors(plan, selection=[("b/0", lambda shape: Region.box(shape, [(0, 5), (0, None)]))])


def test_a_filler_that_cannot_fill_its_blob_is_refused() -> None:
    with pytest.raises(FillerParameterError, match="std"):
        tensors(plan_net(read_net(NET.replace(b'type: "msra"', b'type: "gaussian" std: -1'))))


UNKNOWN = NET.replace(b'"Input"', b'"Data"').replace(
    b"input_param { shape { dim: 2 dim: 6 } }", b'data_param { source: "d" batch_size: 2 }'
)


def test_a_blob_of_unknown_shape_is_refused_with_the_flag_that_settles_it() -> None:
    plan = plan_net(read_net(UNKNOWN))
    with pytest.raises(NetError, match=r"blob 'a/0'.* inputs={'data': "):
        tensors(plan)
    # Everything else can be had.
    found = tensors(plan, selection=[("a/1", Region.whole), ("b/1", Region.whole)])
    assert [tensor.shape for tensor in found.values()] == [(4,), (4,)]


def given_net(field: str) -> bytes:
    numbers = " ".join(f"{field}: {number}" for number in range(24))
    biases = "blobs { shape { dim: 4 } data: 1 data: 2 data: 3 data: 4 }"
    blobs = f'name: "a" blobs {{ shape {{ dim: 4 dim: 6 }} {numbers} }} {biases}'.encode()
    return NET.replace(b'name: "a"', blobs, 1)


@pytest.mark.parametrize("field", ["data", "double_data"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_values_that_the_net_holds_itself(field: str, dtype: Any) -> None:
    found = tensors(plan_net(read_net(given_net(field))), dtype=dtype)
    want = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(values(found["a/0"]).astype(np.float64), want)
    assert values(found["a/0"]).dtype == dtype
    # Those who share them get them too.
    np.testing.assert_array_equal(values(found["b/0"]).astype(np.float64), want)
    assert found["b/0"].owner == "a/0"


def test_given_values_stand_in_memory_once() -> None:
    net = read_net(NET).net
    net.layer[1].inner_product_param.bias_term = False
    del net.layer[1].param[1]
    net.layer[1].blobs.add(data=np.arange(240_000)).shape.dim[:] = [40_000, 6]
    for layer in net.layer[1:]:
        layer.inner_product_param.num_output = 40_000
    plan = plan_net(net)
    selection = [("a/0", Region.whole), ("b/0", column)] * 100
    tracemalloc.start()
    try:
        found = net_tensors(plan, seed=0, dtype=np.dtype(np.float64), selection=selection)
        assert tracemalloc.get_traced_memory()[0] < 240_000 * 4 + 200_000
    finally:
        tracemalloc.stop()
    assert values(found[-1])[-1].tolist() == [239_995, 239_996]


def test_half_precision_that_cannot_hold_a_filler_is_refused() -> None:
    net = NET.replace(b'type: "msra"', b'type: "constant" value: 1e6')
    tensors(plan_net(read_net(net)), dtype=ml_dtypes.bfloat16)
    with pytest.raises(InvalidArgument, match=r"reach 1e\+06 and float16 ends at 65504"):
        tensors(plan_net(read_net(net)), dtype=np.float16)


def test_every_blob_of_the_projects_own_nets_can_be_read(nets: Path) -> None:
    for name in ("lenet", "shared_three_ways", "inline_blobs", "bias", "scale", "prelu", "parameter", "embed"):
        plan = plan_net(read_net((nets / f"{name}.prototxt").read_bytes()))
        for tensor in tensors(plan).values():
            out = np.empty(min(tensor.count, 1000), F32)
            tensor.read(tensor.count - out.size, out)
            assert np.isfinite(out).all()


def test_an_error_names_its_blob() -> None:
    text = b"""
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
            inner_product_param { num_output: 4 weight_filler { type: "gaussian" sparse: 9 } } }
    """
    planned = plan_net(read_net(text))
    with pytest.raises(FillerParameterError, match=r"^blob 'ip/0': sparse of filler type 'gaussian'") as caught:
        net_tensors(planned, seed=1, dtype=np.dtype(np.float32))
    assert caught.value.metadata == {"field": "sparse", "blob": "ip/0"}
    with pytest.raises(FillerParameterError, match=r"^blob 'ip/0': "):
        CaffeNet(planned, EngineState.seeded(1), dtype=np.dtype(np.float32))
