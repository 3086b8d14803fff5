"""Fine-tuning: blobs from files of weights, the others filled, the same from every client."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, WeightsError
from filler_client import AsyncFillerClient, FillerClient
from tests.processes import ServerProcess

OLD = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 1, 8, 8] } } }
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } bias_filler { type: "uniform" } }
}
layer {
  name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "gaussian" std: 0.1 } }
}
"""
NEW = (
    OLD.replace('"ip"', '"ip_new"').replace("num_output: 10", "num_output: 3")
    + 'layer { name: "last" type: "PReLU" bottom: "ip_new" top: "last" }'
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of the old net, as an .npz."""
    with FillerClient.embedded() as client:
        np.savez(tmp_path / "old.npz", **client.init_net(OLD, seed=1))  # type: ignore[arg-type]
    return tmp_path / "old.npz"


def test_weights_are_files() -> None:
    with pytest.raises(InvalidArgument, match=r"paths of files here\. Received: a dict"):
        FillerClient.embedded().plan_finetune(NEW, {"ip/0": np.ones(3)})  # type: ignore[arg-type]


@pytest.fixture(params=["embedded", "remote"])
def client(request: pytest.FixtureRequest, server: ServerProcess) -> Any:
    with FillerClient.embedded() if request.param == "embedded" else FillerClient(server.address) as made:
        yield made


@pytest.mark.parametrize("stream", ["philox", "caffe"])
def test_what_the_file_lacks_is_filled_as_in_the_whole_net(client: FillerClient, weights: Path, stream: Any) -> None:
    got = dict(client.finetune_net(NEW, weights, seed=2, stream=stream))
    old, new = np.load(weights), client.init_net(NEW, seed=2, stream=stream)
    assert list(got) == list(new)
    for name, array in got.items():
        want = old[name] if name.startswith("conv/") else new[name]
        np.testing.assert_array_equal(array, want)
    assert not np.array_equal(old["conv/0"], new["conv/0"])


def test_the_plan_reads_no_values_and_checks_nothing(client: FillerClient, weights: Path) -> None:
    plan = client.plan_finetune(NEW, [weights])
    assert {blob.name: blob.action for blob in plan.blobs} == {
        "conv/0": "copied",
        "conv/1": "copied",
        "ip_new/0": "filled",
        "ip_new/1": "filled",
        "last/0": "filled",
    }
    assert [unused.name for unused in plan.unused] == ["ip/0", "ip/1"]
    conflicting = client.plan_finetune(OLD.replace("num_output: 10", "num_output: 3"), str(weights))
    assert [blob.action for blob in conflicting.blobs] == ["copied", "copied", "conflict", "conflict"]


def test_shapes_that_differ(client: FillerClient, weights: Path) -> None:
    net = OLD.replace("num_output: 10", "num_output: 3")
    with pytest.raises(InvalidArgument, match=r"blob 'ip/0' has the shape \[3, 144\] in the net and \[10, 144\]"):
        next(client.finetune_net(net, weights))
    got = dict(client.finetune_net(net, weights, ignore_shape=True, seed=5))
    np.testing.assert_array_equal(got["ip/0"], client.init_net(net, seed=5)["ip/0"])
    np.testing.assert_array_equal(got["conv/0"], np.load(weights)["conv/0"])


def test_a_file_that_has_all_asks_for_nothing(weights: Path) -> None:
    with FillerClient.embedded() as client:
        got = dict(client.finetune_net(OLD, weights, dtype="float64"))
        assert all(array.dtype == np.float64 for array in got.values())
        for name, array in np.load(weights).items():
            np.testing.assert_array_equal(got[name], array)


def test_arrays_of_the_caller(client: FillerClient, weights: Path) -> None:
    out = {name: np.empty_like(array) for name, array in client.init_net(NEW).items()}
    got = dict(client.finetune_net(NEW, weights, out=out))
    assert all(got[name] is array for name, array in out.items())
    np.testing.assert_array_equal(out["conv/0"], np.load(weights)["conv/0"])
    with pytest.raises(InvalidArgument, match=r"blob 'conv/0' needs an array of shape"):
        list(client.finetune_net(NEW, weights, out={"conv/0": np.empty((3, 3), np.float32)}))


def test_what_is_wrong_is_said(client: FillerClient, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no file of weights is named"):
        client.plan_finetune(NEW, [])
    with pytest.raises(TypeError, match="unexpected keyword argument 'blobs'"):
        list(client.finetune_net(NEW, weights, blobs=["conv/0"]))  # type: ignore[call-arg]
    with pytest.raises(FileNotFoundError):
        client.plan_finetune(NEW, tmp_path / "missing")
    (tmp_path / "page").write_text("<html>")
    with pytest.raises(WeightsError, match="page: the file is a web page"):
        list(client.finetune_net(NEW, [weights, tmp_path / "page"]))


def test_a_filler_is_not_named_for_what_a_file_has(client: FillerClient, weights: Path, tmp_path: Path) -> None:
    named = {"conv/0": "constant"}
    for call in (
        lambda: list(client.finetune_net(NEW, weights, fillers=named)),
        lambda: client.save_net(NEW, tmp_path / "new.npz", weights=weights, fillers=named),
    ):
        with pytest.raises(InvalidArgument, match=r"come from a file of weights\. Received: name='conv/0'"):
            call()
    assert dict(client.finetune_net(NEW, weights, fillers={"*": "constant"}))["conv/0"].any()


def test_the_asynchronous_client_does_the_same(server: ServerProcess, weights: Path) -> None:
    async def finetune() -> tuple[Any, dict[str, Any]]:
        async with AsyncFillerClient(server.address) as client:
            plan = await client.plan_finetune(NEW, weights)
            found = {name: array async for name, array in client.finetune_net(NEW, weights, seed=2)}
            whole = {name: array async for name, array in client.finetune_net(OLD, weights, seed=2)}
            assert all(np.array_equal(array, np.load(weights)[name]) for name, array in whole.items())
            with pytest.raises(InvalidArgument, match="in the net and"):
                await anext(aiter(client.finetune_net(OLD.replace("num_output: 10", "num_output: 3"), weights)))
            return plan, found

    plan, got = asyncio.run(finetune())
    with FillerClient.embedded() as client:
        assert plan == client.plan_finetune(NEW, weights)
        want = dict(client.finetune_net(NEW, weights, seed=2))
    assert list(got) == list(want)
    assert all(np.array_equal(got[name], array) for name, array in want.items())
