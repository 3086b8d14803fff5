from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import TEST, TRAIN, ClipParameter, FillerParameter, LayerParameter, NetParameter
from caffe_filler.errors import InvalidArgument, PrototxtError, RegionError, ShapeError
from caffe_filler.v1 import filler_pb2
from filler_client import Flat
from filler_client._requests import (
    check_seed,
    fill_net_request,
    fill_request,
    filler_parameter,
    net_bytes,
    plan_request,
    region_message,
)

MSRA = FillerParameter(type="msra")
int32: Any = np.int32


@pytest.mark.parametrize(
    ("filler", "message"),
    [
        ("msra", MSRA),
        ('type: "msra"', MSRA),
        ("type: 'gaussian' std: 0.01 sparse: 3", FillerParameter(type="gaussian", std=0.01, sparse=3)),
        (
            'type: "xavier"\nvariance_norm: AVERAGE  # a comment',
            FillerParameter(type="xavier", variance_norm=FillerParameter.AVERAGE),
        ),
        ("", FillerParameter()),
        (MSRA, MSRA),
        ("no_such_type", FillerParameter(type="no_such_type")),
    ],
)
def test_fillers(filler: str | FillerParameter, message: FillerParameter) -> None:
    assert filler_parameter(filler) == message


@pytest.mark.parametrize(
    ("filler", "line", "column"),
    [
        ('type: "msra" stdd: 3', 1, 14),
        ('type: "msra"\nstd: many', 2, 6),
        ('type: "msra"\n  variance_norm: SIDEWAYS', 2, 18),
        ('type: "msra', 1, 7),
        ("{}", 1, 1),
    ],
)
def test_a_filler_that_is_no_prototxt(filler: str, line: int, column: int) -> None:
    with pytest.raises(PrototxtError) as caught:
        filler_parameter(filler)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"{line}:{column}: ")
    assert str(caught.value).endswith(f"Received: {filler!r}")
    assert str(caught.value).count(f"{line}:{column}") == 1


@pytest.mark.parametrize("filler", [3, None, b"msra", "\udc80", 'type: "\udc80"'])
def test_what_is_no_filler(filler: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: filler="):
        filler_parameter(filler)


def test_nets(tmp_path: Path) -> None:
    text = 'name: "é"'
    path = tmp_path / "net.prototxt"
    path.write_text(text, encoding="utf-8")
    net = NetParameter(name="é")
    assert net_bytes(text) == net_bytes(path) == net_bytes(text.encode()) == text.encode()
    assert net_bytes(bytearray(text.encode())) == net_bytes(memoryview(text.encode())) == text.encode()
    assert net_bytes(net) == net.SerializeToString()
    # What lacks a required field, its reader refuses, as it refuses such a file.
    clip = NetParameter(layer=[LayerParameter(type="Clip", clip_param=ClipParameter(min=0))])
    assert net_bytes(clip) == clip.SerializePartialToString()
    with pytest.raises(FileNotFoundError, match="missing"):
        net_bytes(tmp_path / "missing.prototxt")
    for wrong in (None, 3, ["layer"], "\udc80"):
        with pytest.raises(InvalidArgument, match="Received: net="):
            net_bytes(wrong)  # type: ignore[arg-type]


def test_a_plan_by_default() -> None:
    request = plan_request("name: 'a'")
    assert request == filler_pb2.PlanNetRequest(net=b"name: 'a'", state={"phase": TRAIN, "level": 0})
    assert request.state.HasField("phase")
    assert request.state.HasField("level")


def test_a_plan_of_a_state_with_shapes() -> None:
    request = plan_request(
        b"",
        phase="TEST",
        level=-2,
        stages=["a", "b"],
        inputs={"data": (10, None, 227, int32(227)), "label": []},
        tops={"rois": np.array([5, 4])},  # type: ignore[dict-item]
    )
    assert request == filler_pb2.PlanNetRequest(
        state={"phase": TEST, "level": -2, "stage": ["a", "b"]},
        inputs=[{"name": "data", "shape": {"dim": [10, -1, 227, 227]}}, {"name": "label", "shape": {}}],
        tops=[{"name": "rois", "shape": {"dim": [5, 4]}}],
    )


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"phase": "training"}, "phase='training'"),
        ({"phase": 2}, "phase=2"),
        ({"stages": "deploy"}, "stages='deploy'"),
        ({"stages": [1]}, "stage=1"),
        ({"stages": ["\udc80"]}, "stage='\\udc80'"),
        ({"level": 2**31}, f"level={2**31}"),
        ({"level": 0.5}, "level=0.5"),
        ({"inputs": {"data": (1, 2.5)}}, "data=(1, 2.5)"),
        ({"inputs": {"data": "10,3"}}, "data='10,3'"),
        ({"inputs": {"data": (2**63,)}}, f"data=({2**63},)"),
        ({"tops": {"data": (-2, 3)}}, "data=(-2, 3)"),
        ({"tops": {7: (2, 3)}}, "name=7"),
    ],
)
def test_what_makes_no_plan(arguments: Any, received: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan_request("", **arguments)
    assert str(caught.value).endswith(f"Received: {received}")


def test_a_blob_by_default() -> None:
    assert fill_request("msra", (64, 3)) == filler_pb2.FillRequest(blobs=[{"filler": MSRA, "shape": {"dim": [64, 3]}}])


def test_a_blob_with_everything() -> None:
    request = fill_request(
        MSRA, [int32(64), 3, 7], seed=2**64 - 1, name="conv1/0", dtype=ml_dtypes.bfloat16, region=np.s_[0:32, 1:]
    )
    axes = [{"start": 0, "stop": 32}, {"start": 1}]
    assert request == filler_pb2.FillRequest(
        blobs=[{"filler": MSRA, "shape": {"dim": [64, 3, 7]}, "name": "conv1/0", "region": {"box": {"axes": axes}}}],
        seed=2**64 - 1,
        dtype=filler_pb2.BFLOAT16,
    )
    assert not request.HasField("start")
    assert not request.blobs[0].region.box.axes[1].HasField("stop")


@pytest.mark.parametrize("shape", [(), [], np.array([], np.int64)])
def test_a_shape_without_axes(shape: Any) -> None:
    assert list(fill_request("msra", shape).blobs[0].shape.dim) == []


@pytest.mark.parametrize("shape", [5, [5], np.int32(5), np.array([5], np.uint64)])
def test_a_shape_of_one_axis(shape: Any) -> None:
    assert list(fill_request("msra", shape).blobs[0].shape.dim) == [5]


@pytest.mark.parametrize(
    ("shape", "received"),
    [
        ((3, 0), "shape=[3, 0]"),
        ((-1,), "shape=[-1]"),
        ((2**63,), f"shape=[{2**63}]"),
        ((3, 2.5), "shape=[3, 2.5]"),
        ((3, None), "shape=[3, None]"),
        ("3,4", "shape=['3,4']"),
        (None, "shape=[None]"),
    ],
)
def test_what_is_no_shape(shape: Any, received: str) -> None:
    with pytest.raises(ShapeError) as caught:
        fill_request("msra", shape)
    assert str(caught.value).endswith(f"Received: {received}")


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", None, np.float32(3)])
def test_what_is_no_seed(seed: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fill_request("msra", (3,), seed=seed)
    assert str(caught.value).endswith(f"Received: seed={seed!r}")
    with pytest.raises(InvalidArgument):
        fill_net_request("", seed=seed)


@given(st.integers(0, 2**64 - 1))
def test_seeds(seed: int) -> None:
    assert check_seed(seed) == seed
    number: Any = np.uint64(seed)
    assert type(check_seed(number)) is int
    assert check_seed(number) == seed


@pytest.mark.parametrize("dtype", ["int32", "f8 ", None, object, "float128"])
def test_what_is_no_dtype(dtype: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: dtype="):
        fill_request("msra", (3,), dtype=dtype)


@pytest.mark.parametrize("name", [3, None, b"conv1/0", "\ud800"])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(InvalidArgument, match="Received: name="):
        fill_request("msra", (3,), name=name)
    with pytest.raises(InvalidArgument, match="Received: name="):
        fill_net_request("", blobs=[name])


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Flat(), {"flat": {"start": 0}}),
        (Flat(3), {"flat": {"start": 3}}),
        (Flat(np.int64(3), np.int64(7)), {"flat": {"start": 3, "stop": 7}}),  # type: ignore[arg-type]
        (Flat(0, 0), {"flat": {"start": 0, "stop": 0}}),
        (np.s_[1:2, :], {"box": {"axes": [{"start": 1, "stop": 2}, {"start": 0}]}}),
        (np.s_[:, 3:], {"box": {"axes": [{"start": 0}, {"start": 3}]}}),
        (np.s_[1:5:1, :2], {"box": {"axes": [{"start": 1, "stop": 5}, {"start": 0, "stop": 2}]}}),
        ([(1, 2), (0, None)], {"box": {"axes": [{"start": 1, "stop": 2}, {"start": 0}]}}),
        ([slice(2), (3, 4)], {"box": {"axes": [{"start": 0, "stop": 2}, {"start": 3, "stop": 4}]}}),
        ((), {"box": {}}),
        (np.s_[2:3], {"box": {"axes": [{"start": 2, "stop": 3}]}}),
    ],
)
def test_regions(region: Any, message: Any) -> None:
    assert region_message(region) == filler_pb2.Region(**message)


@pytest.mark.parametrize(
    "region",
    [
        np.s_[0:4:2, :],
        np.s_[0:4:-1, :],
        np.s_[-2:, :],
        np.s_[:-2, :],
        np.s_[3, :],
        np.s_[..., 2:],
        [(0, 2**63)],
        [(0.5, 2)],
        [("0", 2)],
        [(0, 1, 2)],
        Flat(-1),
        Flat(0, -1),
        Flat(0, 2**63),
        "0:4",
        5,
        {"flat": 3},
    ],
)
def test_what_is_no_region(region: Any) -> None:
    with pytest.raises(RegionError) as caught:
        region_message(region)
    assert str(caught.value).endswith(f"Received: region={region!r}")


NET = "name: 'a'"
PLAN = plan_request(NET)


def test_a_net_by_default() -> None:
    assert fill_net_request(NET) == filler_pb2.FillNetRequest(net=PLAN)


@pytest.mark.parametrize(
    ("blobs", "message"),
    [
        (["a/0", "b/1"], [{"name": "a/0"}, {"name": "b/1"}]),
        ((name for name in ("b/0", "a/0")), [{"name": "b/0"}, {"name": "a/0"}]),
        (
            {"a/0": None, "b/0": Flat(2, 3)},
            [{"name": "a/0"}, {"name": "b/0", "region": {"flat": {"start": 2, "stop": 3}}}],
        ),
        (["a/0", "a/0"], [{"name": "a/0"}]),
    ],
)
def test_selections(blobs: Any, message: Any) -> None:
    request = fill_net_request(NET, seed=7, dtype="f16", blobs=blobs)
    assert request == filler_pb2.FillNetRequest(net=PLAN, seed=7, dtype=filler_pb2.FLOAT16, blobs=message)


@pytest.mark.parametrize(("blobs", "received"), [("a/0", "blobs='a/0'"), ([], "blobs=[]"), ({}, "blobs=[]")])
def test_what_is_no_selection(blobs: Any, received: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fill_net_request(NET, blobs=blobs)
    assert str(caught.value).endswith(f"Received: {received}")
