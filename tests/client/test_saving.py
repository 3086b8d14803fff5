"""Nets written by a client, and the public functions on files of weights."""

import asyncio
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

import filler_client
from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import DataLoss, FillerError, InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_client import AsyncFillerClient, FillerClient
from filler_client._received import received_tensors
from tests.processes import ServerProcess

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "sc" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
"""
FCN = """
name: "fcn"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 4, 6, 6] } } }
layer { name: "fc6" type: "Convolution" bottom: "data" top: "fc6"
        convolution_param { num_output: 8 kernel_size: 6 weight_filler { type: "xavier" } } }
"""
FC6 = {"fc6/0": np.arange(8 * 144, dtype=np.float32).reshape(8, 144), "fc6/1": np.arange(8, dtype=np.float32)}


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.fixture
def client() -> Any:
    with FillerClient.embedded() as client:
        yield client


@pytest.mark.parametrize("ending", ["caffemodel", "h5", "npz", "safetensors", "pt", "prototxt"])
def test_a_net_is_what_its_stream_holds(client: FillerClient, net: Path, tmp_path: Path, ending: str) -> None:
    if ending == "pt":
        pytest.importorskip("torch")
    path = tmp_path / f"w.{ending}"
    saved = client.save_net(net, path, seed=7)
    assert (saved.path, saved.files, saved.tensors, saved.merge) == (path, (path,), 9, None)
    want = dict(client.fill_net(net, seed=7))
    with filler_client.open_weights(path) as weights:
        assert {tensor.name for tensor in weights.tensors} == want.keys()
        for tensor in weights.tensors:
            np.testing.assert_array_equal(tensor.array().reshape(want[tensor.name].shape), want[tensor.name])


@pytest.mark.parametrize("first", ["caffemodel", "h5", "npz", "safetensors", "prototxt"])
@pytest.mark.parametrize("second", ["caffemodel", "h5", "npz", "safetensors", "prototxt"])
def test_values_that_lie_in_a_file_come_into_each_format(
    client: FillerClient, net: Path, tmp_path: Path, first: str, second: str
) -> None:
    source, target = tmp_path / f"a.{first}", tmp_path / f"b.{second}"
    client.save_net(net, source, seed=7)
    filler_client.convert(source, target, net=net)
    want = dict(client.fill_net(net, seed=7))
    with filler_client.open_weights(target) as weights:
        assert {tensor.name for tensor in weights.tensors} == want.keys()
        for tensor in weights.tensors:
            np.testing.assert_array_equal(tensor.array(), want[tensor.name])


@pytest.mark.parametrize("options", [{}, {"names": "torch"}, {"dtype": "f16", "stream": "caffe"}])
def test_servers_and_async_clients_write_the_same_bytes(
    client: FillerClient, server: ServerProcess, net: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    client.save_net(net, tmp_path / "embedded.safetensors", seed=7, **options)
    with FillerClient(server.address) as remote:
        remote.save_net(net, tmp_path / "remote.safetensors", seed=7, **options)

    async def write() -> None:
        async with AsyncFillerClient(server.address) as remote:
            await remote.save_net(net, tmp_path / "async.safetensors", seed=7, **options)

    asyncio.run(write())
    embedded = (tmp_path / "embedded.safetensors").read_bytes()
    assert (tmp_path / "remote.safetensors").read_bytes() == embedded
    assert (tmp_path / "async.safetensors").read_bytes() == embedded


def test_names_of_torch_are_one_mapping(client: FillerClient, net: Path, tmp_path: Path) -> None:
    """Filled, converted, and copied from trained weights: the same tensors."""
    filled, trained = tmp_path / "filled.safetensors", tmp_path / "w.caffemodel"
    client.save_net(net, filled, seed=7, names="torch")
    client.save_net(net, trained, seed=7)
    filler_client.convert(trained, tmp_path / "converted.safetensors", names="torch", net=net)
    client.save_net(net, tmp_path / "copied.safetensors", weights=trained, names="torch")
    want = load_file(filled)
    assert set(want) == {
        *("conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
        *("fc.weight", "fc.bias"),
    }
    assert want["bn.running_var"].tolist() == [1] * 4
    assert want["bn.running_mean"].tolist() == [0] * 4
    for name in ("converted", "copied"):
        found = load_file(tmp_path / f"{name}.safetensors")
        assert found.keys() == want.keys()
        for key, array in want.items():
            np.testing.assert_array_equal(found[key], array, err_msg=f"{name}: {key}")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dicts_come_back(client: FillerClient, net: Path, tmp_path: Path, prefix: str) -> None:
    """A BatchNorm2d becomes a BatchNorm of factor 1 and a Scale, by conversion and by fine-tuning alike."""
    rng = np.random.default_rng(0)
    shapes = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "fc.weight": (2, 144), "fc.bias": (2,)}
    shapes |= {f"bn.{role}": (4,) for role in ("weight", "bias", "running_mean", "running_var")}
    state = {prefix + name: rng.uniform(1, 2, shape).astype(np.float32) for name, shape in shapes.items()}
    source = tmp_path / "x.safetensors"
    filler_client.save_weights(state, source)
    filler_client.convert(source, tmp_path / "a.caffemodel", net=net)
    client.save_net(net, tmp_path / "b.caffemodel", weights=source)
    roles = {"conv/0": "conv.weight", "conv/1": "conv.bias", "bn/0": "bn.running_mean", "bn/1": "bn.running_var"}
    roles |= {"sc/0": "bn.weight", "sc/1": "bn.bias", "fc/0": "fc.weight", "fc/1": "fc.bias"}
    for name in ("a", "b"):
        with filler_client.open_weights(tmp_path / f"{name}.caffemodel") as weights:
            found = {tensor.name: np.array(tensor.array()) for tensor in weights.tensors}
        assert found.pop("bn/2").tolist() == [1]
        assert found.keys() == roles.keys()
        for blob, role in roles.items():
            np.testing.assert_array_equal(found[blob], state[prefix + role], err_msg=f"{name}: {blob}")


def test_states_that_do_not_map_are_errors(client: FillerClient, net: Path, tmp_path: Path) -> None:
    source = tmp_path / "x.safetensors"
    filler_client.save_weights({"stem.weight": np.ones((4, 3, 3, 3), np.float32)}, source)
    with pytest.raises(FillerError, match=r"stem\.weight"):
        filler_client.convert(source, tmp_path / "a.caffemodel", net=net)
    assert not (tmp_path / "a.caffemodel").exists()


def test_shapes_of_as_many_values_are_taken_on_request(client: FillerClient, tmp_path: Path) -> None:
    net, source, target = tmp_path / "fcn.prototxt", tmp_path / "fc6.h5", tmp_path / "w.caffemodel"
    net.write_text(FCN)
    filler_client.save_weights(FC6, source)
    with pytest.raises(FillerError, match=r"\[8, 4, 6, 6\].*\[8, 144\]"):
        filler_client.convert(source, target, net=net)
    with pytest.raises(FillerError, match="fc6/0"):
        client.save_net(net, target, weights=source)
    assert not target.exists()
    filler_client.convert(source, target, net=net, reshape=True)
    client.save_net(net, tmp_path / "n.caffemodel", weights=source, reshape=True)
    for path in (target, tmp_path / "n.caffemodel"):
        with filler_client.open_weights(path) as weights:
            assert weights["fc6/0"].shape == (8, 4, 6, 6)
            np.testing.assert_array_equal(weights["fc6/0"].array().ravel(), FC6["fc6/0"].ravel())


def test_the_net_must_be_covered(client: FillerClient, net: Path, tmp_path: Path) -> None:
    source = tmp_path / "fc.h5"
    filler_client.save_weights({"fc/0": np.ones((2, 144), np.float32)}, source)
    with pytest.raises(FillerError, match=r"layer .conv. has 2 blobs in the net and 0 in the file"):
        filler_client.convert(source, tmp_path / "w.caffemodel", net=net)


def test_large_nets_are_written_as_shards(client: FillerClient, net: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    saved = client.save_net(net, path, seed=7, max_shard_bytes=800)
    assert saved.path == tmp_path / "w.safetensors.index.json"
    assert len(saved.files) > 2
    assert sorted(saved.files) == sorted(tmp_path.glob("w*"))
    with filler_client.open_weights(saved.path) as weights:
        assert len(weights.tensors) == 9
    # A later file of the same name leaves nothing of the earlier ones.
    assert client.save_net(net, path, seed=7).files == (path,)
    assert list(tmp_path.glob("w*")) == [path]
    with pytest.raises(InvalidArgument, match="safetensors"):
        client.save_net(net, tmp_path / "w.npz", max_shard_bytes=800)


def test_options_are_checked_before_anything_is_written(client: FillerClient, net: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="names='tf'"):
        client.save_net(net, tmp_path / "w.npz", names="tf")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="zip"):
        client.save_net(net, tmp_path / "w.zip")
    assert list(tmp_path.iterdir()) == [net]


@pytest.mark.parametrize("kind", ["dataset", "attribute", "characters"])
def test_the_net_in_an_hdf5_file(client: FillerClient, tmp_path: Path, kind: str) -> None:
    """As MATLAB and tools for U-Nets keep it: text, or one number for each character."""
    path = tmp_path / "net.modeldef.h5"
    with h5py.File(path, "w") as file:
        if kind == "attribute":
            file.attrs["model_prototxt"] = NET
        else:
            text = NET if kind == "dataset" else np.array([[ord(character)] for character in NET], np.uint16)
            file["model_prototxt"] = text
    client.save_net(path, tmp_path / "a.h5", seed=7)
    client.save_net(NET, tmp_path / "b.h5", seed=7)
    filler_client.convert(tmp_path / "a.h5", tmp_path / "c.caffemodel", net=path)
    for name in ("b.h5", "c.caffemodel"):
        assert all(line.verdict == "equal" for line in filler_client.diff(tmp_path / "a.h5", tmp_path / name))
    with pytest.raises(InvalidArgument, match="model_prototxt"):
        client.plan_net(tmp_path / "a.h5")


def test_diff_and_inspect(client: FillerClient, net: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    client.save_net(net, first, seed=7)
    client.save_net(net, second, seed=8)
    assert all(line.verdict == "equal" for line in filler_client.diff(first, first))
    differ = {line.name for line in filler_client.diff(first, second) if line.verdict != "equal"}
    assert differ == {"conv/0", "fc/0"}
    inspected = filler_client.inspect(first)
    assert [tensor.name for tensor in inspected.file.tensors][:2] == ["conv/0", "conv/1"]
    assert [found.zeros for found in inspected.statistics][:2] == [0, 4]
    assert filler_client.inspect(first, values=False).statistics == ()


def test_received_tensors_are_read_anywhere(client: FillerClient) -> None:
    """In order they come from one stream; elsewhere the stream is asked for again."""
    tensor = client.tensor("msra", (16, 9), seed=7)
    array = client.fill("msra", (16, 9), seed=7)
    for start, stop in ((0, 10), (10, 20), (100, 144), (5, 9), (50, 60)):
        out = np.empty(stop - start, np.float32)
        tensor.read(start, out)
        np.testing.assert_array_equal(out, array.ravel()[start:stop])


def test_received_tensors_check_what_comes(client: FillerClient) -> None:
    request = filler_pb2.FillRequest(
        blobs=[filler_pb2.BlobSpec(filler=FillerParameter(type="msra"), shape=BlobShape(dim=[8]), name="a")]
    )
    for name, shape in (("b", (8,)), ("a", (9,))):
        (tensor,) = received_tensors(request, [(name, shape)], client.pieces)
        with pytest.raises(DataLoss, match="Received: 'a' with 32"):
            tensor.array()
    (tensor,) = received_tensors(request, [("a", (8,))], lambda _: iter(()))
    with pytest.raises(DataLoss, match="ended"):
        tensor.array()
