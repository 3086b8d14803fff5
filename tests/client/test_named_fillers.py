"""Fillers that a caller names for single blobs, because the net has one that nobody here knows."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, FillerError, NetError, PrototxtError, UnknownFiller
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, save_weights
from tests.client.cli.command import fail, succeed
from tests.client.lies.server import LyingServer
from tests.processes import ServerProcess

NET = """name: "f"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "before" type: "Convolution" bottom: "x" top: "before"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "up" type: "Deconvolution" bottom: "x" top: "up"
  convolution_param { num_output: 3 group: 3 kernel_size: 3 weight_filler { type: "diagonal" diag_val: 1 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
ONE = 'type: "constant" value: 1'


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


def init(address: str | None, net: Path, **options: Any) -> dict[str, NDArray[Any]]:
    """The blobs of a net: filled in this process, or by a server, by both clients alike."""
    if address is None:
        return FillerClient.embedded().init_net(net, **options)

    async def run() -> dict[str, NDArray[Any]]:
        async with AsyncFillerClient(address) as client:
            return {name: array async for name, array in client.fill_net(net, **options)}

    with FillerClient(address) as client:
        found = client.init_net(net, **options)
    other = asyncio.run(run())
    assert {name: array.tobytes() for name, array in other.items()} == {
        name: array.tobytes() for name, array in found.items()
    }
    return found


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("stream", ["philox", "caffe"])
def test_a_filler_takes_the_place_of_one_of_a_fork(net: Path, server: ServerProcess, remote: bool, stream: str) -> None:
    address = server.address if remote else None
    with pytest.raises(UnknownFiller, match=r"^blob 'up/0': .*; fillers={'up/0': 'TYPE'} names another .* Received: "):
        init(address, net, stream=stream)
    weights = init(address, net, stream=stream, seed=3, fillers={"up/0": ONE})
    assert (weights["up/0"] == 1).all()
    plain = net.with_name("plain.prototxt")
    plain.write_text(NET.replace('type: "diagonal" diag_val: 1', ONE))
    expected = init(address, plain, stream=stream, seed=3)
    assert {name: array.tobytes() for name, array in weights.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.mark.parametrize("remote", [False, True])
def test_the_other_blobs_can_be_had_without(net: Path, server: ServerProcess, remote: bool) -> None:
    address = server.address if remote else None
    named = init(address, net, fillers={"up/0": ONE})
    assert (init(address, net, blobs=["c/0"])["c/0"] == named["c/0"]).all()
    # Caffe's numbers are one sequence: what a filler draws that nobody knows moves all that come after it.
    named = init(address, net, stream="caffe", fillers={"up/0": ONE})
    assert (init(address, net, stream="caffe", blobs=["before/0"])["before/0"] == named["before/0"]).all()
    with pytest.raises(NetError, match=r"^Caffe's numbers after this blob cannot be had: blob 'up/0': unknown filler"):
        init(address, net, stream="caffe", blobs=["c/0"])


@pytest.mark.parametrize("remote", [False, True])
def test_plans_have_it(net: Path, server: ServerProcess, remote: bool) -> None:
    with FillerClient(server.address) if remote else FillerClient.embedded() as client:
        own = client.plan_net(net)
        assert own.warnings[-1].message.startswith("blob 'up/0': unknown filler type; there are constant, ")
        assert "; fillers={'up/0': 'TYPE'} names another filler for it. Received: " in own.warnings[-1].message
        plan = client.plan_net(net, fillers={"*/0": "xavier"})
    blobs = {blob.name: blob for blob in plan.blobs}
    assert [blob.filler.type for blob in blobs.values()] == ["xavier", "constant"] * 3
    assert blobs["up/0"].std == pytest.approx((1 / 9) ** 0.5)
    assert len(plan.warnings) == len(own.warnings) - 1


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no such filler": ({"up/0": "xavir"}, UnknownFiller, r"^fillers up/0: unknown filler type \(did you mean 'xavier'"),
    "no such blob": ({"up/2": "xavier"}, NetError, r"^fillers: the net has no such blob \(did you mean 'up/[01]'\?\)"),
    "no filler": ({"up/0": 'typ: "xavier"'}, PrototxtError, "typ"),
    "bad": ({"up/0": 'type: "gaussian" std: -1'}, FillerError, "^fillers up/0: std of .* must be above 0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_ones_are_refused(net: Path, server: ServerProcess, wrong: str) -> None:
    fillers, kind, message = WRONG[wrong]
    for address in (None, server.address):
        with pytest.raises(kind, match=message):
            init(address, net, fillers=fillers)


def test_weights_are_copied_and_the_rest_is_filled(net: Path, tmp_path: Path) -> None:
    client = FillerClient.embedded()
    weights = tmp_path / "w.npz"
    save_weights({"c/0": np.full((4, 3, 3, 3), 5, np.float32), "c/1": np.zeros(4, np.float32)}, weights)
    merged = dict(client.finetune_net(net, weights, fillers={"up/0": ONE}))
    assert ((merged["c/0"] == 5).all(), (merged["up/0"] == 1).all()) == (True, True)
    saved = client.save_net(net, tmp_path / "out.npz", fillers={"*": "constant"})
    with np.load(tmp_path / "out.npz") as file:
        assert not any(file[name].any() for name in file.files)
    assert saved.warnings == ()


@pytest.mark.parametrize("remote", [False, True])
def test_the_command_line(net: Path, server: ServerProcess, tmp_path: Path, remote: bool) -> None:
    where = ["--server", server.address] if remote else []
    out = tmp_path / "out.npz"
    stderr = fail(1, "init", net, "-o", out, *where)
    assert "blob 'up/0': unknown filler type" in stderr
    assert "; --filler up/0=TYPE names another filler for it. Received: " in stderr.splitlines()[-1]
    assert not out.exists()
    succeed("init", net, "-o", out, "--filler", f"up/0={ONE}", *where)
    with np.load(out) as file:
        assert (file["up/0"] == 1).all()
    assert "--filler up/0: unknown filler type" in fail(1, "init", net, "-o", out, "--filler", "up/0=xavir", *where)
    for option in ("up/0", "=xavier", "up/0=", 'up/0=typ: "a"'):
        assert "Invalid value for '--filler'" in fail(2, "init", net, "-o", out, "--filler", option, *where)


def test_draws_are_not_known_from_the_blob_on(net: Path) -> None:
    table = succeed("plan", net, "--draws").decode()
    assert [line.split()[:3] for line in table.splitlines() if "onvolution" in line] == [
        ["before", "Convolution", "6"],
        ["up", "Deconvolution", "unknown"],
        ["c", "Convolution", "unknown"],
    ]


def test_a_server_that_plans_other_fillers_is_noticed(net: Path) -> None:
    def forget(_: Any, plan: Any) -> Any:
        plan.layers[2].blobs[0].filler.type = "diagonal"
        return plan

    with LyingServer() as server, FillerClient(server.address, retry=RetryPolicy(attempts=1)) as client:
        assert client.plan_net(net, fillers={"up/0": "xavier"}).layers[2].blobs[0].filler.type == "xavier"
        server.lie = forget
        with pytest.raises(DataLoss, match="another filler was named for blob 'up/0'"):
            client.plan_net(net, fillers={"up/0": "xavier"})
